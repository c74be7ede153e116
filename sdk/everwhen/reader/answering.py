"""From what a store found to answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Generic, TypeAlias, TypeVar

from everwhen.instants import Micros, from_micros
from everwhen.ports.answers import AsOf, Found, HeadRow, StoreJoin, StoreReader, VersionRow
from everwhen.ports.generations import Generation
from everwhen.positions import Basis, Position
from everwhen.projection.rows import Head
from everwhen.reader.answer import Answer, History, Status, Version
from everwhen.reader.chronicle import Chronicle, predates_pruning, pruned_before
from everwhen.reader.incomplete import Incomplete, incomplete_of
from everwhen.reader.making import maker
from everwhen.reader.states import States

S = TypeVar("S")

_Covered: TypeAlias = tuple[Basis, datetime | None, Incomplete | None]
"""Basis, watermark, and what is missing."""
_answer: Callable[..., Answer[Any]] = maker(Answer)
_version: Callable[..., Version[Any]] = maker(Version)


class Answering(Generic[S]):
    """Turns what a store found into answers, all as known at one point.

    :param store: asked again where an answer needs more than was found.
    :param states: how states are shown, and folded where a belief is not kept as rows.
    :param as_of: what was known; its ``valid_at`` plays no part.

    Not thread-safe. Errors are those of :meth:`everwhen.Reader.get`.
    """

    def __init__(self, store: StoreReader | StoreJoin, states: States[S], as_of: AsOf) -> None:
        self._store = store
        self._states = states
        self._as_of = as_of
        self._is_now = as_of.is_now
        self._generation: Generation = store.generation
        self._marks: Basis | None = None
        self._by_partition: dict[int | None, _Covered] = {}

    def answer(self, entity_id: str, valid_at: Micros, found: Found) -> Answer[S]:
        """Say what is true of an entity at an instant."""
        row = found.row
        if self._is_now and row is not None and found.head is not None and _is_plain(found.head):
            basis, watermark, incomplete = self._covered(found)
            status, folded, final = Status.DELETED if row.state is None else Status.FOUND, False, False
        else:
            found, status, row, folded = self._settled(entity_id, valid_at, found)
            basis, watermark, incomplete = self._covered(found)
            final = self._is_final(status, found, incomplete)
        return _answer(
            entity_id,
            from_micros(valid_at),
            status,
            None if row is None else self.version(row),
            basis,
            watermark,
            final,
            folded,
            incomplete,
            None,
        )

    def _settled(self, entity_id: str, valid_at: Micros, found: Found) -> tuple[Found, Status, VersionRow | None, bool]:
        """Say what the answer is about, what it says, its row, and whether that was folded."""
        row, folded, good = found.row, False, True
        found, chronicle = self._with_chronicle(entity_id, found)
        if self._is_ahead(found):
            return found, Status.NOT_YET_PROJECTED, None, False
        if self._is_truncated(valid_at, found):
            return found, Status.TRUNCATED, None, False
        if chronicle is not None:
            row, good = self._fold_at(entity_id, valid_at, chronicle)
            folded = True
        return found, self._status(found, row) if good else Status.QUARANTINED, row, folded

    def history(self, entity_id: str, found: Found, rows: Sequence[VersionRow]) -> History[S]:
        """List the versions of an entity; of several at one instant the last."""
        folded, good = found.unstored, True
        found, chronicle = self._with_chronicle(entity_id, found)
        if self._is_ahead(found):
            status, rows = Status.NOT_YET_PROJECTED, ()
        else:
            predates = found.head is not None and predates_pruning(found.head, self._as_of)
            if chronicle is not None and predates:
                rows = ()
            elif chronicle is not None:
                fold = self._states.folding(entity_id, self._generation)
                rows, good = chronicle.replayed(fold).history(self._as_of), chronicle.is_good(self._as_of, fold)
            status = self.history_status(found.head, exists=bool(rows)) if good else Status.QUARANTINED
        incomplete = incomplete_of(found.marks, found.head)
        return History(
            entity_id=entity_id,
            status=status,
            versions=tuple(self.version(row) for row in _visible(_left(rows, found.head, self._as_of))),
            basis=self.pin(found.marks),
            final=self._is_final(status, found, incomplete),
            folded=folded,
            incomplete=incomplete,
            pruned_before=pruned_before(found.head),
        )

    def version(self, row: VersionRow) -> Version[S]:
        """Show a version."""
        valid_from, offset, partition, recorded_at, event_id, event_type, state, valid_to, superseded_at = row
        return _version(
            None if state is None else self._states.read(state, self._generation),
            from_micros(valid_from),
            None if valid_to is None else from_micros(valid_to),
            from_micros(recorded_at),
            None if superseded_at is None else from_micros(superseded_at),
            event_id,
            event_type,
            Position(self._generation.topic, partition, offset),
        )

    def pin(self, marks: Basis) -> Basis:
        """Return the basis under which the same question gives the same answer."""
        as_of = self._as_of
        if as_of.basis is not None:
            return as_of.basis
        return marks if as_of.known_at is None else replace(marks, known_at=as_of.known_at, troubles=())

    def _covered(self, found: Found) -> _Covered:
        """Say what an answer is computed from: in one snapshot the same for all entities of a partition."""
        marks, partition = found.marks, None if found.head is None else found.head.partition
        if marks is not self._marks:
            self._marks, self._by_partition = marks, {}
        covered = self._by_partition.get(partition)
        if covered is None:
            basis = self.pin(marks)
            watermark = _watermark(basis, found.head)
            instant = None if watermark is None else from_micros(watermark)
            covered = self._by_partition[partition] = basis, instant, incomplete_of(marks, found.head)
        return covered

    def _with_chronicle(self, entity_id: str, found: Found) -> tuple[Found, Chronicle | None]:
        """Read the rows to fold, where the belief asked for is not kept as rows.

        They are read after what was found, and may have been pruned in between: then that is what was found.
        """
        if not found.unstored or found.head is None:
            return found, None
        rows = self._store.rows(entity_id)
        if rows.head is not None and rows.head.pruned_before != found.head.pruned_before:
            pruned = rows.head
            head = found.head._replace(
                pruned_before=pruned.pruned_before, pruned_offset=pruned.pruned_offset, pruned_at=pruned.pruned_at
            )
            found = found._replace(head=head)
        return found, Chronicle(rows)

    def _fold_at(self, entity_id: str, valid_at: Micros, chronicle: Chronicle) -> tuple[VersionRow | None, bool]:
        """Fold the events that count; say if the basis asked for is good."""
        fold = self._states.folding(entity_id, self._generation)
        return chronicle.fold_at(valid_at, self._as_of, fold), chronicle.is_good(self._as_of, fold)

    def _is_ahead(self, found: Found) -> bool:
        """Whether more is asked for than is projected, in the entity's partition or, while that is unknown, in any."""
        as_of = self._as_of
        if as_of.basis is not None:
            partitions = list(found.marks) if found.head is None else [found.head.partition]
            return any(as_of.basis.next_offset(p) > found.marks.next_offset(p) for p in partitions)
        return as_of.known_at is not None and _reached(found) < as_of.known_at

    def _is_final(self, status: Status, found: Found, incomplete: Incomplete | None) -> bool:
        """Whether no later record can change the answer to this question."""
        as_of = self._as_of
        if self._is_now:
            return False
        if status in (Status.NOT_YET_PROJECTED, Status.QUARANTINED) or incomplete:
            return False
        # At the watermark itself, another record of the same recorded time may follow.
        return as_of.basis is not None or (as_of.known_at is not None and as_of.known_at < _reached(found))

    def _is_truncated(self, valid_at: Micros, found: Found) -> bool:
        """Whether the answer depends on what was pruned."""
        head = found.head
        if head is None or head.pruned_before is None:
            return False
        if valid_at < head.pruned_before:
            return True
        # Of the instants from there on everything was kept; what is before them was as it is only since the pruning.
        kept = found.row is not None and found.row.valid_from >= head.pruned_before
        return not kept and predates_pruning(head, self._as_of)

    def _status(self, found: Found, row: VersionRow | None) -> Status:
        head = found.head
        if head is None:
            return Status.NEVER_EXISTED
        if self._is_parked(head):
            return Status.QUARANTINED
        if row is not None:
            return Status.FOUND if row.state is not None else Status.DELETED
        return Status.BEFORE_FIRST if found.following is not None else Status.NEVER_EXISTED

    def history_status(self, head: Head | HeadRow | None, *, exists: bool) -> Status:
        """Say what a list of versions means.

        :param exists: whether there is any.
        """
        if head is not None and self._is_parked(head):
            return Status.QUARANTINED
        if head is not None and head.pruned_before is not None:
            return Status.TRUNCATED
        return Status.FOUND if exists else Status.NEVER_EXISTED

    def _is_parked(self, head: Head | HeadRow) -> bool:
        """Whether the event in front of which the entity is parked is part of what is asked for."""
        if head.quarantined_offset is None:
            return False
        as_of = self._as_of
        if as_of.basis is not None and head.quarantined_offset >= as_of.basis.next_offset(head.partition):
            return False
        return as_of.known_at is None or head.quarantined_at is None or head.quarantined_at <= as_of.known_at


def _is_plain(head: HeadRow) -> bool:
    """Whether nothing of an entity is pruned, parked or not kept as rows, as of nearly all."""
    return head.pruned_before is head.quarantined_offset is head.unstored_offset is None


def _reached(found: Found) -> Micros:
    """The recorded time up to which everything that may concern the entity is projected; -1 if nothing is."""
    partitions = list(found.marks) if found.head is None else [found.head.partition]
    return min((found.marks[p].watermark for p in partitions if p in found.marks), default=-1)


def _watermark(basis: Basis, head: Head | HeadRow | None) -> Micros | None:
    if head is None:
        return basis.watermark
    mark = basis.get(head.partition)
    return mark.watermark if mark is not None and mark.watermark >= 0 else None


def _left(rows: Iterable[VersionRow], head: Head | HeadRow | None, as_of: AsOf) -> list[VersionRow]:
    """Keep the versions of which everything is known that is valid after the instant up to which it was pruned."""
    if head is None or (before := head.pruned_before) is None:
        return list(rows)
    floor = not predates_pruning(head, as_of)
    return [
        row for row in rows if row.valid_from >= before or (floor and (row.valid_to is None or row.valid_to > before))
    ]


def _visible(rows: Iterable[VersionRow]) -> list[VersionRow]:
    """Keep the last of several versions that begin at one instant."""
    shown: list[VersionRow] = []
    for row in rows:
        if shown and shown[-1].valid_from == row.valid_from:
            shown.pop()
        shown.append(row)
    return shown
