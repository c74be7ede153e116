"""The store port: where versions, checkpoints and generations live.

Adapter: :mod:`everwhen.sql` (SQLite and PostgreSQL). It passes the suite in
:mod:`everwhen.testing.store_conformance`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

from everwhen.instants import Micros
from everwhen.ports.answers import StoreReader
from everwhen.ports.continuity import Applied, StoreContinuity, Trouble
from everwhen.ports.generations import Blueprint, Generation, StoreGenerations
from everwhen.ports.listening import Heard, Listening
from everwhen.ports.log import TopicDescription
from everwhen.ports.pruning import StorePruning
from everwhen.ports.quarantine import StoreQuarantine
from everwhen.ports.schema import StoreSchema
from everwhen.positions import Mark
from everwhen.projection.rows import Changes, Head, Known, Quarantined, Version, VersionValues


class Suspect(NamedTuple):
    """Records of a partition that were about to be applied by a process which was not heard of since."""

    offset: int
    """The first one's."""
    records: int
    """How many they are."""
    deaths: int
    """In how many claims that was so."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to write one partition of a generation, until somebody else claims it."""

    generation: Generation
    partition: int
    owner: str
    """A random token, new at every claim."""
    epoch: int
    mark: Mark
    """How far the partition was projected when it was claimed; the watermark is that of the log's records alone."""
    quiet_until: Micros
    """What :meth:`Store.note_quiet` had noted when it was claimed; -1 if nothing."""
    deaths: int = 0
    """How many claims before this one, since a batch was last committed, were not released."""
    suspect: Suspect | None = None
    """What :meth:`Store.suspect` had noted when it was claimed."""
    applied: Applied | None = None
    """The last record that was applied; ``None`` if that is not known."""
    trouble: Trouble | None = None
    """What :meth:`Store.note_trouble` had noted, or that the generation was built from fewer partitions."""


class Repeated(Exception):
    """A row was to be inserted of an event id that its entity has in ``versions`` already. The batch is spoilt."""


Inserter: TypeAlias = Callable[[Sequence[VersionValues]], None]
"""Adds rows to those that are inserted."""


class StoreBatch(Protocol):
    """One open transaction, in which the guarded checkpoint update has already matched."""

    @property
    def prunings(self) -> int:
        """How often entities of the partition were pruned; heads that were read before the last time may differ."""
        ...

    def heads(self, entity_ids: Collection[str]) -> dict[str, Head]:
        """Return the heads of those entities that have one."""
        ...

    def known(
        self, events: Collection[tuple[str, str]], corrected: Collection[str], pruned: Collection[str] = ()
    ) -> list[Known]:
        """Return which of these ``(entity_id, event_id)`` are known, live, withdrawn or pruned.

        :param corrected: those of the entities that have withdrawals; of the others only live events are looked for.
        :param pruned: those of the entities that were pruned; of the others nothing that was pruned is looked for.
        """
        ...

    def tails(self, since: Mapping[str, Micros]) -> dict[str, list[Version]]:
        """Return for each entity its versions from the last one that begins *before* the instant, in order.

        The version before the instant gives the state to fold from; it is absent where none is earlier.
        """
        ...

    def withdrawn(self, entity_ids: Collection[str]) -> dict[str, dict[str, int]]:
        """Return for each entity the event ids that were withdrawn, with the lowest offset that did so."""
        ...

    def quarantined(self, entity_ids: Collection[str]) -> dict[str, list[Quarantined]]:
        """Return for each entity the records that are kept aside and not discarded, in order of their positions."""
        ...

    def write(self, changes: Changes) -> None:
        """Execute the changes.

        :raises Repeated: if an inserted row's event id is there already.
        """
        ...

    def inserting(self) -> AbstractContextManager[Inserter]:
        """Take new versions while more are being folded, so that the database works meanwhile.

        Nothing else may be asked or written until the context is left; all rows are there then.

        :raises Repeated: then at the latest, if the event id of one is there already.
        """
        ...


class Store(Protocol):
    """A database that holds generations. Thread-safe."""

    @property
    def address(self) -> str:
        """Where it is, without secrets, for messages."""
        ...

    def schema(self) -> StoreSchema:
        """Open the tables themselves: to make, upgrade and check them."""
        ...

    def prepare(self, blueprint: Blueprint, number: int | None = None) -> Generation:
        """Make sure that tables and a generation for the projection are there; create what is missing.

        :param number: of the generation to return; left out, the one that answers if this code built it, else the
            newest one that this code built.
        :raises GenerationNotFound: if there is none of this number.
        :raises GenerationMismatch: if it was built by another version or other code, or all of them were.
        :raises StoreMismatch: if the tables are of another schema version.
        :raises StoreUnavailable: if the database cannot be reached.
        """
        ...

    def claim(self, generation: Generation, partitions: Sequence[int], topic: TopicDescription) -> dict[int, Claim]:
        """Take partitions over, in a transaction of its own: from here on every earlier owner is fenced.

        Partitions that the topic did not have when the generation was built are noted with their trouble, asked for
        or not.

        :raises StoreMismatch: if the tables were upgraded since they were looked at.
        :raises TopicRecreated: if the topic is another one of the same name; that is noted for all partitions.
        :raises ClusterReplaced: if it is in another cluster; nothing is noted, as the store cannot know which one is
            the right one.
        """
        ...

    def note_trouble(self, claim: Claim, trouble: Trouble | None) -> None:
        """Keep why a partition stands still, or that it does not; the next batch forgets it too.

        :raises Fenced: if the partition was claimed by somebody else.
        :raises StoreUnavailable: if the database failed.
        """
        ...

    def batch(
        self, claim: Claim, expected: int, reached: Mark, *, applied: Applied | None = None
    ) -> AbstractContextManager[StoreBatch]:
        """Open a transaction whose first statement moves the checkpoint from ``expected`` to ``reached``.

        Leaving the context commits; an exception rolls everything back.

        :param applied: the last record of the batch, kept with the checkpoint; ``None`` if there is none.
        :raises Fenced: if the partition was claimed by somebody else or stands elsewhere.
        :raises StoreUnavailable: if the database failed; whether a commit took effect is then unknown.
        """
        ...

    def next_offset(self, claim: Claim) -> int:
        """Return where a claimed partition stands, after waiting for a transaction that is still writing it.

        So it says for certain whether a batch took effect whose commit was not answered.

        :raises Fenced: if the partition was claimed by somebody else.
        :raises StoreUnavailable: if the database failed, or the transaction did not end in time.
        """
        ...

    def note_quiet(self, stands: Sequence[tuple[Claim, int]], until: Micros) -> frozenset[int]:
        """Note that no record comes any more that is recorded at or before ``until``; never go back.

        Readers see it as the watermark where it is later than that of the records. All partitions are noted in one
        transaction, which waits for no batch; a partition that was claimed by somebody else, stands elsewhere or is
        being written is passed over.

        :param stands: claims of one generation, each with the next offset at which the partition was found idle.
        :param until: microseconds.
        :return: the partitions for which it was noted.
        :raises StoreUnavailable: if the database failed.
        """
        ...

    def suspect(self, claim: Claim, offset: int, records: int) -> int:
        """Note, in a transaction of its own, that a claimed partition's next records are about to be applied.

        The next batch of the partition removes the note. Noting the same once more under one claim changes nothing.

        :param offset: of the first of them.
        :param records: how many.
        :return: in how many claims exactly this was noted, this one included, and not removed or taken back.
        :raises Fenced: if the partition was claimed by somebody else.
        :raises StoreUnavailable: if the database failed.
        """
        ...

    def take_back(self, claim: Claim, offset: int, records: int) -> None:
        """Take back what :meth:`suspect` noted under this claim: the process is alive, and the records not to blame.

        It may be said also when somebody else has claimed the partition.

        :raises StoreUnavailable: if the database failed.
        """
        ...

    def release(self, claims: Sequence[Claim]) -> None:
        """Say that these claims end in order, so that they do not count as deaths; those of somebody else stay.

        :param claims: of one generation, under none of which a batch was committed.
        :raises StoreUnavailable: if the database failed.
        """
        ...

    def requests(self, claims: Sequence[Claim]) -> list[Quarantined]:
        """Return the records of these partitions that something is asked for, in order of their positions.

        :param claims: of one generation.
        :raises StoreUnavailable: if the database failed.
        """
        ...

    def listening(self, projection: str, heard: Heard) -> AbstractContextManager[Listening]:
        """Have ``heard`` called after batches of the projection, of whatever generation, while the context lasts.

        At once: it does not wait for the database. From any thread, and perhaps never: where the database has no
        notifications, cannot be reached or loses one, only asking it helps.
        """
        ...

    def generations(self, projection: str) -> StoreGenerations:
        """Open the generations of a projection. Asks the database nothing yet."""
        ...

    def find(self, projection: str, number: int | None = None) -> Generation:
        """Return the generation that answers for the projection, or the one of a number.

        :raises ProjectionNotFound: naming the projections that are there.
        :raises GenerationNotFound: naming the generations that are there.
        """
        ...

    def standing_for(self, projection: str, number: int) -> Generation:
        """Return the generation that answers as the one of a number does: that one or, if it was dropped, its like.

        :raises ProjectionNotFound: naming the projections that are there.
        :raises GenerationNotFound: if it was never there, or other code built all that is left.
        """
        ...

    def pruning(self, projection: str, number: int | None = None) -> StorePruning:
        """Open what can be dropped of the generation that answers for the projection, or of the one of a number.

        :raises ProjectionNotFound: naming the projections that are there.
        :raises GenerationNotFound: naming the generations that are there.
        """
        ...

    def quarantine(self, projection: str, number: int | None = None) -> StoreQuarantine:
        """Open what is kept aside of the generation that answers for the projection, or of the one of a number.

        :raises ProjectionNotFound: naming the projections that are there.
        :raises GenerationNotFound: naming the generations that are there.
        """
        ...

    def continuity(self, projection: str, number: int | None = None) -> StoreContinuity:
        """Open what can be decided about the generation that answers for the projection, or the one of a number.

        :raises ProjectionNotFound: naming the projections that are there.
        :raises GenerationNotFound: naming the generations that are there.
        """
        ...

    def reader(self, projection: str, number: int | None = None) -> StoreReader:
        """Open the generation that answers for the projection, or the one of a number.

        :raises ProjectionNotFound: naming the projections that are there.
        :raises GenerationNotFound: naming the generations that are there.
        """
        ...

    def close(self) -> None:
        """Free every connection that this object opened. Idempotent."""
        ...
