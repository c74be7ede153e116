"""What comes to an entity's timeline: records on their way in, what is stored already, and what became of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Literal, NamedTuple, TypeAlias

from everwhen.event import Event
from everwhen.instants import Micros
from everwhen.projection.rows import Head, Known, Version

Fold: TypeAlias = Callable[[str | None, Version], str | None]
"""Apply one event to the state before it (JSON, ``None`` where there is none); return the state after it."""

Apply: TypeAlias = Callable[[str | None, Version, Event], str | None]
"""As :data:`Fold`, with the event decoded already."""

Late: TypeAlias = Literal["refold", "append"]
"""What happens to a late event: it is put in its place, or after everything that counts so far."""


class Arrival(NamedTuple):
    """One record of the log on its way into its entity's timeline."""

    row: Version
    """The version that it begins; its ``state`` is not known yet."""
    contributes: bool = True
    """It is folded. False for a retraction and for an ignored event: these can only withdraw another."""


class Loaded(NamedTuple):
    """What the store knows of an entity, as far as one batch needs it."""

    head: Head | None = None
    """Its row of ``entities``; ``None`` for a new entity."""
    since: Micros | None = None
    """What :func:`since` said; ``None``: no versions were loaded."""
    tail: Sequence[Version] = ()
    """Its versions, as ``StoreBatch.tails`` gives them for ``since``."""
    known: Mapping[str, Known] = {}
    """Those of the batch's event ids, and of the ids that it withdraws, that the entity already has."""
    withdrawn: Mapping[str, int] = {}
    """Event id to the lowest offset that withdrew it."""


_counts: attrgetter[tuple[int, ...]] = attrgetter(
    "applied", "duplicates", "conflicts", "ignored", "late", "refolded", "parked", "healed"
)


@dataclass(slots=True)
class Tally:
    """What became of records."""

    applied: int = 0
    duplicates: int = 0
    conflicts: int = 0
    ignored: int = 0
    late: int = 0
    refolded: int = 0
    """Versions that stood already and were folded again."""
    parked: int = 0
    """Records that were kept aside, as they or one before them could not be applied."""
    healed: int = 0
    """Of these, records that were applied after all."""

    def add(self, other: Tally) -> None:
        """Add the counts of ``other``."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))

    def counts(self) -> tuple[int, ...]:
        """Return all counts."""
        return _counts(self)

    def restore(self, counts: tuple[int, ...]) -> None:
        """Go back to counts that were returned before."""
        for each, count in zip(fields(self), counts, strict=True):
            setattr(self, each.name, count)


def since(
    head: Head | None, arrivals: Iterable[Arrival], known: Mapping[str, Known], late: Late = "refold"
) -> Micros | None:
    """Say from which instant on the entity's versions must be loaded before the batch is applied.

    :return: the instant; ``None`` when every event comes after all that is stored and withdraws nothing of it.
    """
    if head is None or head.last_valid is None:
        return None
    touched: list[Micros] = []
    for row, contributes in arrivals:
        inserts = contributes and late == "refold"
        if inserts and row.valid_from < head.last_valid and row.event_id not in known:
            touched.append(row.valid_from)
        if row.withdraws is not None and (target := known.get(row.withdraws)) is not None and target.live:
            touched.append(target.valid_from)
    return min(touched, default=None)
