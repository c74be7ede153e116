"""The heart: a pure function from an entity's known rows and a batch of its events to row operations.

The definition it implements, for an entity with the log *L* and a basis *b*::

    state(t, b) = fold of { e in L : offset(e) < b and valid_time(e) <= t and e not withdrawn at b }
                  ordered by (valid_time(e), offset(e))

where *e* is withdrawn at *b* if a correction or a retraction naming its id has an offset below *b*.

An event in time order costs one fold. One that is late, or that withdraws another, folds the versions after it
again; what was believed before moves to ``superseded`` with the offset that ended it. When that would store more
than ``depth`` beliefs for one entity in one batch, the entity is folded once at the end of the batch instead, and
its head remembers which beliefs were not stored (``unstored_offset``, ``unstored_valid``): these are answered by
folding the entity's own stored events. So the cost of history that is loaded in the wrong order stays bounded,
and both axes stay exact.

With ``late="append"`` log order decides: an event that contributes counts from the later of its own instant and the
latest one among the events that count just before it. The definition above then holds for these instants.

A basis is *good* if folding the events that count at it, in order, succeeds. At one that is not good the answer is that
of the last good basis before it. So rows are those of the last good basis; the first record after it parks the entity,
and that record and all that follow wait (:class:`~everwhen.projection.passage.Passage`). When one comes with which the
fold succeeds, all are put in at once: beliefs in between were never held, so the head says of them that they are not
stored, and folding finds that their bases are not good.
"""

from __future__ import annotations

import copy
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple, TypeAlias

from everwhen.errors import HandlerError, SplitEntity
from everwhen.instants import MIN_MICROS, Micros
from everwhen.projection.arrival import Arrival, Fold, Late, Loaded, Tally
from everwhen.projection.horizon import Horizon
from everwhen.projection.rows import Changes, Conflict, Head, Known, Parking, Superseded, Unstored, Version, Withdrawal

_Key: TypeAlias = tuple[Micros, int]
"""``(valid_from, offset)``: the order in which events are folded."""


class _Deferred(NamedTuple):
    """A fold that is put off to the end of the batch."""

    valid_from: Micros
    """The earliest instant that it touches."""
    by: Version
    """The last record that made it necessary."""


class Timeline:
    """One entity while a batch is applied to it.

    :param entity_id: the entity.
    :param loaded: what the store knows of it.
    :param fold: applies one event.
    :param depth: how many superseded beliefs one batch may store for this entity.
    :param changes: what the batch writes; this entity's part is added to it.
    :param tally: what became of the records; this entity's are added to it.
    :param late: what happens to late events.

    Not thread-safe. If ``fold`` raises, the object is spoilt and nothing of it may be written.
    """

    def __init__(
        self,
        entity_id: str,
        loaded: Loaded,
        fold: Fold,
        depth: int,
        changes: Changes,
        tally: Tally,
        late: Late = "refold",
    ) -> None:
        self._entity_id = entity_id
        self._head = head = loaded.head
        self._fold = fold
        self._depth = depth
        self._changes = changes
        self._tally = tally
        self._appends = late == "append"
        self._known = dict(loaded.known)
        self._withdrawn = dict(loaded.withdrawn)
        self._rows = list(loaded.tail)
        # The floor is the last version before _rows: this batch starts from its state and does not touch it.
        self._floor_valid = head.last_valid if head is not None else None
        self._floor_state = head.state if head is not None else None
        if loaded.since is not None:
            self._split_floor(loaded.since)
        self._stored = {_key(row): row for row in self._rows}
        self._withdrawals = head.withdrawals if head is not None else 0
        self._kept = 0
        self._deferred: _Deferred | None = None
        self._partition = head.partition if head is not None else None
        self._last_offset = head.last_offset if head is not None else -1
        self._lead = head.lead if head is not None else 0
        self._unstored_before = head.unstored if head is not None else Unstored()
        self._parking = head.parking if head is not None else None
        self._mended = (head.mended_offset, head.mended_from) if head is not None else (None, None)
        self._believed: Mapping[_Key, Version] | None = None
        self._horizon = Horizon.of(loaded)

    def _split_floor(self, since: Micros) -> None:
        self._floor_valid = self._floor_state = None
        if self._rows and self._rows[0].valid_from < since:
            floor = self._rows.pop(0)
            self._floor_valid, self._floor_state = floor.valid_from, floor.state

    def apply(self, arrival: Arrival) -> None:
        """Take one more record of the entity, in offset order.

        :raises SplitEntity: if the entity's earlier records came from another partition.
        :raises PrunedEvent: if it would change what was true before the history that is left.
        """
        row, contributes = arrival
        self._check_partition(row)
        self._last_offset = row.offset
        if self._is_repeated(row, contributes):
            return
        if not contributes and row.withdraws is None:
            self._tally.ignored += 1
            return
        if self._horizon is not None:
            self._horizon.check(row, self._begin_of(row) if contributes else None)
        self._known[row.event_id] = Known.of(row, live=contributes)
        self._tally.applied += 1
        withdrawn = self._withdraw(row, contributes) if row.withdraws is not None else None
        if contributes and self._appends:
            row = self._after_all(row)
        inserted = self._insert(row) if contributes else None
        if withdrawn is not None:
            self._refold(withdrawn if inserted is None else min(withdrawn, inserted), max(withdrawn, _key(row)), row)
        elif inserted is not None:
            self._fold_in(inserted, row)

    def settle(self) -> None:
        """Fold what was put off, so that an event that cannot be applied shows."""
        if self._deferred is not None:
            self._fold_deferred(self._deferred)

    def fork(self) -> Timeline:
        """Return a timeline that goes on from here without touching this one."""
        fork = copy.copy(self)
        vars(fork).update(_changes=self._changes.copy(), _tally=replace(self._tally), _rows=list(self._rows))
        vars(fork).update(_known=dict(self._known), _withdrawn=dict(self._withdrawn))
        return fork

    def waiting(self) -> Timeline:
        """Return a timeline that goes on from here, settled, and folds nothing of what it takes until :meth:`heal`."""
        fork = self.fork()
        vars(fork).update(_believed={_key(row): row for row in self._rows}, _deferred=None)
        return fork

    def heal(self, by: Version) -> _Key | None:
        """Fold all that was taken since :meth:`waiting`, which ``by`` may make possible.

        :return: ``None`` if that succeeds, and then go on as usual; else where the event stands at which it fails.
        """
        if (failing := self._fold_waiting()) is not None:
            return failing
        self._settle_waiting(by)
        self._unstored_before = Unstored(by.offset, by.recorded_at, MIN_MICROS)
        self._believed = self._deferred = None
        return None

    def park(self, parking: Parking | None, partition: int) -> None:
        """Say where the entity is parked from here on, if it is."""
        self._parking, self._partition = parking, partition

    def mend(self, at: int, since: int) -> None:
        """Say that records from ``since`` on, which were kept aside, count from the offset ``at`` on, or never will."""
        before = self._mended[1]
        self._mended = at, since if before is None else min(since, before)

    def into(self, changes: Changes, tally: Tally) -> None:
        """Add what the batch changes to those of other entities. Call once, instead of :meth:`finish`."""
        self.finish()
        changes.add(self._changes)
        tally.add(self._tally)

    def finish(self) -> None:
        """Add what the batch changes to ``changes``. Call once, after the last :meth:`apply`."""
        self.settle()
        changes, before = self._changes, self._stored
        if before:
            left = {_key(row): row for row in self._rows}
            inserted = [row for key, row in left.items() if key not in before]
            removed = [row for key, row in before.items() if key not in left]
            changes.updated += [row for key, row in left.items() if before.get(key, row) is not row]
        else:
            inserted, removed = self._rows, []
        changes.inserted += inserted
        changes.removed += removed
        changes.heads.append(self._new_head(len(inserted) - len(removed)))

    # -- one arrival ---------------------------------------------------------------------------------------------

    def _check_partition(self, row: Version) -> None:
        if self._partition is None:
            self._partition = row.partition
        elif self._partition != row.partition:
            raise SplitEntity(
                f"entity {row.entity_id!r} has records in partition {self._partition} and now in {row.partition}, "
                "whose offsets have no order between them. Publish with one partitioner (murmur2_random), and never "
                "change the number of partitions of an event topic"
            )

    def _is_repeated(self, row: Version, contributes: bool) -> bool:
        known = self._known.get(row.event_id)
        if known is None:
            return False
        # When it was decided to withdraw an event changes nothing, nor does the instant of an appended one.
        placed = contributes and not self._appends
        if known.has_content_of(row) and (not placed or known.valid_from == row.valid_from):
            self._tally.duplicates += 1
            return True
        self._tally.conflicts += 1
        self._changes.conflicts.append(Conflict.of(row))
        return True

    def _withdraw(self, by: Version, contributes: bool) -> _Key | None:
        """Take out what ``by`` names; return where it stood, ``None`` if it does not stand there."""
        assert by.withdraws is not None
        event = b"" if contributes else by.event
        place = by.offset, by.partition, by.recorded_at
        withdrawal = Withdrawal(by.entity_id, by.withdraws, *place, by.event_id, by.event_type, event)
        self._changes.withdrawals.append(withdrawal)
        self._withdrawals += 1
        self._withdrawn.setdefault(by.withdraws, by.offset)
        for index, row in enumerate(self._rows):
            if row.event_id == by.withdraws:
                del self._rows[index]
                if self._believed is not None:
                    row = self._believed.get(_key(row), row._replace(state=None))
                self._changes.superseded.append(Superseded(row, by.offset, by.recorded_at, withdrawn=True))
                return _key(row)
        return None

    def _begin_of(self, row: Version) -> Micros | None:
        """Say from when on the event will count; ``None`` if it was withdrawn before it came."""
        if row.event_id in self._withdrawn:
            return None
        left = (each for each in reversed(self._rows) if each.event_id != row.withdraws)
        latest = next((each.valid_from for each in left), self._floor_valid) if self._appends else None
        return row.valid_from if latest is None else max(row.valid_from, latest)

    def _after_all(self, row: Version) -> Version:
        latest = self._rows[-1].valid_from if self._rows else self._floor_valid
        return row if latest is None or latest <= row.valid_from else row._replace(valid_from=latest)

    def _insert(self, row: Version) -> _Key | None:
        """Put the row in its place; return where, ``None`` if it was withdrawn before it came."""
        self._lead = max(self._lead, row.valid_from - row.recorded_at)
        key = _key(row)
        if row.event_id in self._withdrawn:
            # Believed at no basis: every one that holds this record holds its withdrawal too. Kept for its bytes.
            self._changes.superseded.append(Superseded(row, row.offset, row.recorded_at, withdrawn=True))
            return None
        if not self._rows or _key(self._rows[-1]) < key:
            self._rows.append(row)
        else:
            self._rows.insert(bisect_left(self._rows, key, key=_key), row)
        return key

    # -- folding -------------------------------------------------------------------------------------------------

    def _fold_in(self, key: _Key, row: Version) -> None:
        rows = self._rows
        if rows[-1] is not row:
            self._refold(key, key, row)
        elif self._believed is not None:
            self._put_off(key, row)
        elif self._deferred is None:
            before = rows[-2].state if len(rows) > 1 else self._floor_state
            rows[-1] = row._replace(state=self._fold(before, row))
        else:
            # It may begin before the fold that was put off, where all that came after it was withdrawn since.
            self._deferred = self._deferred._replace(valid_from=min(key[0], self._deferred.valid_from))

    def _refold(self, start: _Key, settled: _Key, by: Version) -> None:
        """Fold again from ``start`` because of ``by``; nothing after ``settled`` was inserted or taken out."""
        self._tally.late += 1
        puts_off = self._deferred is not None or self._believed is not None
        if puts_off or not self._refold_exactly(start, settled, by):
            self._put_off(start, by)

    def _put_off(self, start: _Key, by: Version) -> None:
        before = self._deferred
        self._deferred = _Deferred(start[0] if before is None else min(start[0], before.valid_from), by)

    def _refold_exactly(self, start: _Key, settled: _Key, by: Version) -> bool:
        """Fold at once and keep what was believed before; False, with nothing done, if that is too much to keep."""
        index = bisect_left(self._rows, start, key=_key)
        state = self._state_before(index)
        folded: list[Version] = []
        ended: list[Superseded] = []
        for row in self._rows[index:]:
            state = self._fold(state, row)
            if row is by:
                row = row._replace(state=state)
            elif state != row.state:
                if self._kept + len(ended) == self._depth:
                    return False
                ended.append(Superseded(row, by.offset, by.recorded_at, withdrawn=False))
                row = row.refolded(state, by)
            elif _key(row) > settled:
                break  # the same state as before, so nothing after it can differ
            folded.append(row)
        self._rows[index : index + len(folded)] = folded
        self._changes.superseded += ended
        self._kept += len(ended)
        self._tally.refolded += len(ended)
        return True

    def _fold_deferred(self, deferred: _Deferred) -> None:
        by = deferred.by
        first = bisect_left(self._rows, (deferred.valid_from, -1), key=_key)
        state = self._state_before(first)
        for index in range(first, len(self._rows)):
            row = self._rows[index]
            state = self._fold(state, row)
            if row.offset >= by.offset:
                self._rows[index] = row._replace(state=state)
            elif state != row.state or _key(row) not in self._stored:
                self._rows[index] = row.refolded(state, by)
                self._tally.refolded += 1

    def _fold_waiting(self) -> _Key | None:
        """Fold from the first event on whose state may be another; return where it fails, if it does."""
        if self._deferred is None:
            return None
        rows = self._rows
        first = bisect_left(rows, (self._deferred.valid_from, -1), key=_key)
        state = self._state_before(first)
        for index in range(first, len(rows)):
            try:
                state = self._fold(state, rows[index])
            except HandlerError:
                # The states before it hold until something is put in or taken out there.
                self._deferred = self._deferred._replace(valid_from=rows[index].valid_from)
                return _key(rows[index])
            rows[index] = rows[index]._replace(state=state)
        return None

    def _settle_waiting(self, by: Version) -> None:
        """Say of the states that differ from what was believed, and of events that waited, that ``by`` made them."""
        assert self._believed is not None
        for index, row in enumerate(self._rows):
            believed = self._believed.get(_key(row))
            if believed is not None and believed.state == row.state:
                self._rows[index] = believed
            elif row.offset != by.offset:
                self._rows[index] = row._replace(refolded_offset=by.offset, refolded_at=by.recorded_at)
                self._tally.refolded += believed is not None

    def _state_before(self, index: int) -> str | None:
        return self._rows[index - 1].state if index else self._floor_state

    # -- the head ------------------------------------------------------------------------------------------------

    def _new_head(self, more: int) -> Head:
        head, rows, parking = self._head, self._rows, self._parking
        assert self._partition is not None
        first_valid = rows[0].valid_from if rows else None
        if self._floor_valid is not None and head is not None:
            first_valid = head.first_valid
        return Head(
            entity_id=self._entity_id,
            partition=self._partition,
            state=rows[-1].state if rows else self._floor_state,
            first_valid=first_valid,
            last_valid=rows[-1].valid_from if rows else self._floor_valid,
            last_offset=self._last_offset,
            versions=(head.versions if head is not None else 0) + more,
            lead=self._lead,
            withdrawals=self._withdrawals,
            **self._unstored()._asdict(),
            quarantined_offset=parking.offset if parking is not None else None,
            quarantined_at=parking.recorded_at if parking is not None else None,
            pruned_before=head.pruned_before if head is not None else None,
            failing_valid=parking.failing_valid if parking is not None else None,
            failing_offset=parking.failing_offset if parking is not None else None,
            mended_offset=self._mended[0],
            mended_from=self._mended[1],
            pruned_offset=head.pruned_offset if head is not None else None,
            pruned_at=head.pruned_at if head is not None else None,
        )

    def _unstored(self) -> Unstored:
        """What the head says about beliefs that are not stored, extended by those of this batch."""
        before, deferred = self._unstored_before, self._deferred
        return before if deferred is None else before.extended(deferred.by, deferred.valid_from)


def _key(row: Version) -> _Key:
    return row.valid_from, row.offset
