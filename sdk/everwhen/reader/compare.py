"""What two generations of a projection say differently at one position of the log."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import zip_longest
from typing import Any, Literal, TypeAlias

from everwhen.errors import ArgumentError
from everwhen.instants import Micros, from_micros
from everwhen.ports.answers import AsOf, StoreReader
from everwhen.positions import Basis, Mark, Position
from everwhen.projection.rows import Head, Version
from everwhen.reader.chronicle import predates_pruning
from everwhen.reader.diff import FieldChange, field_changes
from everwhen.reader.stream import Stream

Kind: TypeAlias = Literal["state", "versions", "parked", "unknown"]
_Side: TypeAlias = tuple[Head, list[Version]] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """An entity of which two generations say different things.

    :ivar entity_id: which one.
    :ivar kind: ``state``: a version has another state; ``versions``: one of them has a version that the other has not;
        ``parked``: the histories are equal, and only one of them has an event set aside; ``unknown``: it cannot be
        told, as one of them does not keep as rows what it believed at this position, or was pruned after it.
    :ivar valid_from: where the first version that differs begins; ``None`` if that is not known.
    :ivar event_type: of the event that made this version.
    :ivar event_id: its id.
    :ivar position: its place in the log.
    :ivar changes: fields of the state that differ in it; empty where only one of them has the version.
    """

    entity_id: str
    kind: Kind
    valid_from: datetime | None = None
    event_type: str | None = None
    event_id: str | None = None
    position: Position | None = None
    changes: tuple[FieldChange, ...] = field(default=(), repr=False)


class Comparison(Stream[Difference]):
    """An iterator over the entities that differ, ordered by entity id.

    Both are asked at the last position that both have reached, whatever is projected meanwhile; where one of them was
    pruned, from the version on that it kept from before. It holds two
    connections until it is used up or closed. Not thread-safe.

    :param old: the one generation.
    :param new: the other one.
    :raises ArgumentError: if they are of different topics.
    :raises StoreUnavailable: if the database cannot be reached.
    """

    _spent = "this comparison was used up or closed; make a new one"

    def __init__(self, old: StoreReader, new: StoreReader) -> None:
        super().__init__()
        self._topic = old.generation.topic
        if new.generation.topic != self._topic:
            raise ArgumentError(
                f"generation {old.generation.number} is of topic {self._topic} and generation {new.generation.number} "
                f"of {new.generation.topic}: they have no position in common"
            )
        self.basis = _common(old.marks(), new.marks())
        """Up to where both were compared."""
        self.entities = 0
        """How many entities were compared so far."""
        self.versions = 0
        """How many versions of the one generation were compared so far."""
        self._old, self._new = (self._stack.enter_context(each.believed(self.basis)) for each in (old, new))

    def _items(self) -> Iterator[Difference]:
        for old, new in _side_by_side(self._old, self._new):
            self.entities += 1
            self.versions += 0 if old is None else len(old[1])
            difference = self._difference(old, new)
            if difference is not None:
                yield difference

    def _difference(self, old: _Side, new: _Side) -> Difference | None:
        sides = [side for side in (old, new) if side is not None]
        entity_id = sides[0][0].entity_id
        if any(_is_uncertain(head, self.basis) for head, _ in sides):
            return Difference(entity_id=entity_id, kind="unknown")
        kept_from = max((head.pruned_before for head, _ in sides if head.pruned_before is not None), default=None)
        before, after = ([] if side is None else _kept(side[1], kept_from) for side in (old, new))
        for one, other in zip_longest(before, after):
            if not _are_equal(one, other):
                return self._first(entity_id, one, other)
        if _is_parked(old, self.basis) != _is_parked(new, self.basis):
            return Difference(entity_id=entity_id, kind="parked")
        return None

    def _first(self, entity_id: str, one: Version | None, other: Version | None) -> Difference:
        either = min((row for row in (one, other) if row is not None), key=_key)
        same = one is not None and other is not None and _key(one) == _key(other)
        return Difference(
            entity_id=entity_id,
            kind="state" if same else "versions",
            valid_from=from_micros(either.valid_from),
            event_type=either.event_type,
            event_id=either.event_id,
            position=Position(self._topic, either.partition, either.offset),
            changes=tuple(field_changes(_document(one), _document(other))) if same else (),
        )


def _common(old: Basis, new: Basis) -> Basis:
    """Return the last basis that both have reached."""
    marks = {
        partition: Mark(
            min(mark.next_offset, new.next_offset(partition)), min(mark.watermark, new[partition].watermark)
        )
        for partition, mark in old.items()
        if partition in new
    }
    return Basis.of(old.topic, marks)


def _side_by_side(
    old: Iterator[tuple[Head, list[Version]]], new: Iterator[tuple[Head, list[Version]]]
) -> Iterator[tuple[_Side, _Side]]:
    """Merge two streams that are ordered by entity id."""
    one, other = next(old, None), next(new, None)
    while one is not None or other is not None:
        if other is None or (one is not None and one[0].entity_id < other[0].entity_id):
            yield one, None
            one = next(old, None)
        elif one is None or other[0].entity_id < one[0].entity_id:
            yield None, other
            other = next(new, None)
        else:
            yield one, other
            one, other = next(old, None), next(new, None)


def _is_uncertain(head: Head, basis: Basis) -> bool:
    unstored = head.unstored_offset is not None and basis.next_offset(head.partition) <= head.unstored_offset
    return unstored or predates_pruning(head, AsOf(0, basis))


def _kept(versions: list[Version], kept_from: Micros | None) -> list[Version]:
    """Return what pruning keeps: the last version before the instant, and all later ones."""
    if kept_from is None:
        return versions
    return versions[max(0, bisect_left(versions, kept_from, key=_begin) - 1) :]


def _begin(row: Version) -> Micros:
    return row.valid_from


def _is_parked(side: _Side, basis: Basis) -> bool:
    if side is None:
        return False
    head = side[0]
    return head.quarantined_offset is not None and head.quarantined_offset < basis.next_offset(head.partition)


def _key(row: Version) -> tuple[int, int, int]:
    return row.valid_from, row.partition, row.offset


def _are_equal(one: Version | None, other: Version | None) -> bool:
    if one is None or other is None or _key(one) != _key(other):
        return False
    # The order of a state's fields is not part of what it says.
    return one.state == other.state or not list(field_changes(_document(one), _document(other)))


def _document(row: Version | None) -> Any:
    return None if row is None or row.state is None else json.loads(row.state)
