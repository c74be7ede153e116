"""Every belief that was ever held of an entity."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Generic, TypeVar

from everwhen.instants import from_micros
from everwhen.positions import Basis, Position
from everwhen.reader.answer import Status, Version
from everwhen.reader.chronicle import Belief as Held
from everwhen.reader.chronicle import Step
from everwhen.reader.incomplete import Incomplete

S = TypeVar("S")


@dataclass(frozen=True, slots=True, kw_only=True)
class Belief(Version[S]):
    """A version, and the interval of knowledge in which its state was believed for its whole interval of valid time.

    A rectangle in the plane of the two axes: half-open on both, ``[valid_from, valid_to)`` by ``[known_from,
    known_to)``. Rectangles of one entity never overlap. Where a later event shortens a version, the belief ends and
    the same state is believed of the shorter interval. Several records may share one recorded time: then an interval
    of knowledge can be empty in time, and ``made_by`` and ``ended_by`` still tell the two apart.

    :ivar known_from: when the log took the record that made this belief, inclusive.
    :ivar known_to: when it took the one that ended it, exclusive; ``None`` while it is believed.
    :ivar made_by: where the record that made it stands.
    :ivar ended_by: where the record that ended it stands.
    """

    known_from: datetime
    known_to: datetime | None
    made_by: Position
    ended_by: Position | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit(Generic[S]):
    """Every belief that was ever held of one entity, in the order in which they began to be held.

    :ivar entity_id: the entity asked for.
    :ivar status: ``FOUND``, ``NEVER_EXISTED``, ``TRUNCATED`` or ``QUARANTINED``.
    :ivar beliefs: all of them, those that are held now included.
    :ivar basis: what it was computed from.
    :ivar incomplete: as for an :class:`~everwhen.Answer`.
    :ivar pruned_before: as for a :class:`~everwhen.History`.
    """

    entity_id: str
    status: Status
    beliefs: tuple[Belief[S], ...]
    basis: Basis
    incomplete: Incomplete | None = None
    pruned_before: datetime | None = None

    def __iter__(self) -> Iterator[Belief[S]]:
        return iter(self.beliefs)

    def __len__(self) -> int:
        return len(self.beliefs)

    def __getitem__(self, index: int) -> Belief[S]:
        return self.beliefs[index]


def belief(version: Version[S], held: Held) -> Belief[S]:
    """Add the interval of knowledge to a version."""

    def position(step: Step) -> Position:
        return version.position._replace(offset=step.offset)

    return Belief(
        **{field.name: getattr(version, field.name) for field in fields(Version)},
        known_from=from_micros(held.made.recorded_at),
        known_to=None if held.ended is None else from_micros(held.ended.recorded_at),
        made_by=position(held.made),
        ended_by=None if held.ended is None else position(held.ended),
    )
