"""What a store is asked, and what it says: part of the store port."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from everwhen.instants import Micros
from everwhen.ports.continuity import Decision
from everwhen.ports.generations import Generation
from everwhen.ports.listening import Standing
from everwhen.positions import Basis
from everwhen.projection.rows import Conflict, Head, Quarantined, Superseded, Version, Withdrawal


class VersionRow(NamedTuple):
    """A version as a reader sees it, with the interval over which it was believed.

    Of a row of ``versions`` it has what answers show: reading the others takes as long again.
    """

    valid_from: Micros
    offset: int
    partition: int
    recorded_at: Micros
    event_id: str
    event_type: str
    state: str | None
    valid_to: Micros | None
    """Where the next version begins in the belief asked for; ``None``: it has no end yet."""
    superseded_at: Micros | None
    """When a later record replaced this belief; ``None`` while it is believed."""

    @classmethod
    def of(cls, row: Version, valid_to: Micros | None, superseded_at: Micros | None) -> VersionRow:
        """Return what is shown of a whole row."""
        place = (row.valid_from, row.offset, row.partition, row.recorded_at)
        return cls(*place, row.event_id, row.event_type, row.state, valid_to, superseded_at)


class HeadRow(NamedTuple):
    """What answers depend on of an entity as a whole: these fields of its head."""

    entity_id: str
    partition: int
    unstored_offset: int | None
    unstored_valid: Micros | None
    unstored_at: Micros | None
    quarantined_offset: int | None
    quarantined_at: Micros | None
    pruned_before: Micros | None
    pruned_offset: int | None
    pruned_at: Micros | None

    @classmethod
    def of(cls, head: Head) -> HeadRow:
        """Return these fields of a whole head."""
        return cls(*[getattr(head, name) for name in cls._fields])


class Found(NamedTuple):
    """What the store says about one entity at one point of both axes."""

    marks: Basis
    """How far everything was projected in the snapshot that answered."""
    head: HeadRow | None
    row: VersionRow | None
    """``None`` where no version begins at or before the instant, or where ``unstored`` is true."""
    unstored: bool
    """The belief asked for is not kept as rows; it must be folded from the entity's events."""
    following: Micros | None = None
    """Without a row: where the first version after the instant begins; ``None``: there is none in what was known."""


@dataclass(frozen=True, slots=True)
class AsOf:
    """A point on both axes: what was true at ``valid_at``, as known now, or at ``basis``, or at ``known_at``.

    With both, only those records count that are below the basis' offsets *and* were recorded by ``known_at``.
    """

    valid_at: Micros
    basis: Basis | None = None
    known_at: Micros | None = None

    @property
    def is_now(self) -> bool:
        """Whether it is about what is known now."""
        return self.basis is None and self.known_at is None


class EntityRows(NamedTuple):
    """Everything that is stored about one entity, in one snapshot."""

    marks: Basis
    """How far everything was projected in the snapshot."""
    head: Head | None
    versions: list[Version]
    """What is believed now, ordered by ``(valid_from, offset)``."""
    superseded: list[Superseded]
    withdrawals: list[Withdrawal]
    conflicts: list[Conflict]
    """These three are in no particular order."""
    discarded: Sequence[Quarantined] = ()
    """Records that were kept aside and then left out for good, in no particular order."""


class Changed(NamedTuple):
    """An entity of which other events count than at an earlier basis."""

    valid_from: Micros
    """The earliest instant at which one of these events begins."""
    found: Found
    """What is believed now."""


class StoreJoin(Protocol):
    """Questions about many points, all to one snapshot of the store. Not thread-safe."""

    @property
    def generation(self) -> Generation:
        """The generation that answers."""
        ...

    @property
    def marks(self) -> Basis:
        """How far everything is projected in the snapshot."""
        ...

    def find(self, points: Iterable[tuple[str, Micros]]) -> Iterator[Found]:
        """Find for each entity and instant what :meth:`StoreReader.find` does, in the order given.

        Quickest where the points are sorted. Some thousands of them are taken ahead of those that are given back, and
        may still be looked for then; other questions may be put in between all the same. What the iterable of points
        raises may be taken for an error of the store.
        """
        ...

    def rows(self, entity_id: str) -> EntityRows:
        """Return everything that is stored about one entity."""
        ...


class StoreReader(Protocol):
    """Questions to one generation. Thread-safe."""

    @property
    def generation(self) -> Generation:
        """The generation that answers."""
        ...

    def marks(self) -> Basis:
        """Return how far each partition is projected."""
        ...

    def standing(self, partition: int) -> Standing | None:
        """Return where one partition stands; ``None`` if nobody has claimed it yet."""
        ...

    def knows(self, entity_id: str, event_id: str) -> bool:
        """Say whether an event of the entity came: it counts, or was withdrawn, pruned or kept aside.

        One of a type that the projection ignores leaves no trace, unless it withdraws another.
        """
        ...

    def find(self, entity_id: str, as_of: AsOf) -> Found:
        """Find the version of one entity that is valid at the instant, in one consistent snapshot."""
        ...

    def history(self, entity_id: str, as_of: AsOf) -> tuple[Found, list[VersionRow]]:
        """Return all versions believed at the basis, ordered by ``(valid_from, offset)``, ties included.

        ``as_of.valid_at`` plays no part in the rows; ``Found.row`` is ``None``.
        """
        ...

    def rows(self, entity_id: str) -> EntityRows:
        """Return everything that is stored about one entity."""
        ...

    def decisions(self) -> list[Decision]:
        """Return what was decided where the log did not go on, in the order of time."""
        ...

    def changes(self, since: Basis, valid_at: Micros) -> AbstractContextManager[tuple[Basis, Iterator[Changed]]]:
        """Stream every entity of which other events count now than at ``since``, in one snapshot.

        They are ordered by entity id; each comes with what is now believed of it at ``valid_at``.
        """
        ...

    def believed(self, basis: Basis) -> AbstractContextManager[Iterator[tuple[Head, list[Version]]]]:
        """Stream every entity with all versions believed of it at a basis, in one snapshot.

        They are ordered by entity id, by code points, and its versions by ``(valid_from, offset)``. For an entity of
        which that belief is not kept as rows there are those that are; its head tells.
        """
        ...

    def snapshot(self, as_of: AsOf) -> AbstractContextManager[tuple[Basis, Iterator[Found]]]:
        """Stream every entity that has a version at or before the instant, ordered by entity id, in one snapshot.

        Also those of which this cannot be said, as their rows are not kept.
        """
        ...

    def join(self, as_of: AsOf) -> AbstractContextManager[StoreJoin]:
        """Open a snapshot to ask about many points in; ``as_of.valid_at`` plays no part."""
        ...
