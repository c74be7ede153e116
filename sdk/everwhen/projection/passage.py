"""One entity while records come to it that may not be applicable: which are applied, and which wait."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeAlias

from everwhen.errors import PrunedEvent, RecordError
from everwhen.instants import Micros
from everwhen.projection.arrival import Arrival, Fold, Late, Loaded, Tally
from everwhen.projection.rows import Changes, Head, Parking
from everwhen.projection.timeline import Timeline


class Unread(NamedTuple):
    """A record of the entity that cannot be read: no basis that holds it is good."""

    partition: int
    offset: int
    recorded_at: Micros
    error: RecordError


Coming: TypeAlias = Arrival | Unread


class Waiting(NamedTuple):
    """A record that is kept aside."""

    coming: Coming
    error: RecordError | None
    """Why it cannot be applied; ``None``: it waits for one that cannot."""

    @property
    def offset(self) -> int:
        """Where it stands."""
        return place(self.coming).offset


class Passage:
    """Takes an entity's records in offset order and parks it in front of the first that cannot be applied.

    While it is parked, a record may help that withdraws another or is folded before the event at which folding fails.
    Each such record is tried with all that wait, one after the other, so the result does not depend on batches.

    :param entity_id: the entity.
    :param loaded: what the store knows of it, as far as these records and those that wait need it.
    :param fold: applies one event.
    :param depth: how many superseded beliefs one batch may store for this entity.
    :param late: what happens to late events.
    :param waiting: what waits in the store, as read today; without any the entity goes on as if it was not parked.
    """

    def __init__(
        self,
        entity_id: str,
        loaded: Loaded,
        fold: Fold,
        depth: int,
        late: Late = "refold",
        waiting: Sequence[Waiting] = (),
    ) -> None:
        self._timeline = Timeline(entity_id, loaded, fold, depth, Changes(), Tally(), late)
        self._parked: _Parked | None = None
        self._tally = Tally()
        self.partition: int | None = loaded.head.partition if loaded.head is not None else None
        if waiting:
            assert loaded.head is not None
            self._parked = _Parked(self._timeline.waiting(), waiting, loaded.head)

    @property
    def waiting(self) -> Sequence[Waiting]:
        """What waits, in offset order; empty when all is applied."""
        return self._parked.queue if self._parked is not None else ()

    def take(self, coming: Sequence[Coming]) -> None:
        """Take more records, in offset order."""
        start, size = 0, len(coming)
        while start < len(coming):
            if self._parked is not None:
                self._take_parked(self._parked, coming[start])
                taken = 1
            else:
                taken = self._advance(coming[start : start + size])
            start += taken
            # What follows one that was parked or applied is tried as a whole again.
            size = len(coming) - start if taken else max(1, self._failed_after)

    def mend(self, at: int, since: int) -> None:
        """Say that what waited from the offset ``since`` on was tried anew when the log was read up to ``at``."""
        self._timeline.mend(at, since)

    def finish(self, changes: Changes, tally: Tally) -> None:
        """Add what the records change to those of other entities. Call once, after the last :meth:`take`."""
        assert self.partition is not None
        self._timeline.park(self._parked.parking() if self._parked is not None else None, self.partition)
        self._timeline.into(changes, tally)
        tally.add(self._tally)

    def _advance(self, coming: Sequence[Coming]) -> int:
        """Apply all these records if that succeeds, or park the only one; return how many were taken.

        Where none is, ``_failed_after`` says how many may be applied at most.
        """
        self._failed_after = 0
        fork = self._timeline.fork()
        try:
            for each in coming:
                _apply(fork, each)
                self._failed_after += 1
            fork.settle()
        except RecordError as error:
            if self._failed_after == len(coming):
                self._failed_after //= 2  # it shows only after all of them
            if len(coming) > 1:
                return 0
            self._park(coming[0], error)
            return 1
        self._timeline = fork
        self.partition = place(coming[0]).partition
        return len(coming)

    def _park(self, coming: Coming, error: RecordError) -> None:
        self.partition = place(coming).partition
        self._parked = _Parked(self._timeline.waiting())
        self._add(self._parked, coming, error)

    def _take_parked(self, parked: _Parked, coming: Coming) -> None:
        self._add(parked, coming, coming.error if isinstance(coming, Unread) else None)

    def _add(self, parked: _Parked, coming: Coming, error: RecordError | None) -> None:
        if parked.add(coming, error):
            self._timeline, self._parked = parked.timeline, None
            self._timeline.mend(place(coming).offset, parked.queue[0].offset)
            self._tally.healed += len(parked.queue) - 1
        else:
            self._tally.parked += 1


def straight(timeline: Timeline, arrivals: Iterable[Arrival], changes: Changes, tally: Tally) -> bool:
    """Apply all records of an entity that is not parked, and finish; False, with nothing added, if one cannot be.

    :param timeline: adds to ``changes`` and ``tally`` itself; spoilt afterwards.
    """
    marks, counts = changes.marks(), tally.counts()
    try:
        for arrival in arrivals:
            timeline.apply(arrival)
        timeline.finish()
    except RecordError:
        changes.rewind(marks)
        tally.restore(counts)
        return False
    return True


class _Parked:
    """What waits, and a timeline with all of it put in, not folded.

    :param timeline: waiting at the last good basis.
    :param queue: what waits already.
    :param head: says where folding fails then.
    """

    def __init__(self, timeline: Timeline, queue: Iterable[Waiting] = (), head: Head | None = None) -> None:
        self.timeline = timeline
        self.queue = list(queue)
        self._stuck = False
        self._failing: tuple[Micros, int] | None = None
        if head is not None and head.failing_valid is not None and head.failing_offset is not None:
            self._failing = head.failing_valid, head.failing_offset
        for each in self.queue:
            self._put(each.coming)  # why it fails, if it does, is known

    def add(self, coming: Coming, error: RecordError | None) -> bool:
        """Put one more in; say whether all can be applied now."""
        first = not self.queue
        refused = self._put(coming)
        self.queue.append(Waiting(coming, error or refused))
        if isinstance(coming, Unread) or self._stuck or not (first or may_help(coming, self._failing)):
            return False
        self._failing = self.timeline.heal(coming.row)
        return self._failing is None

    def parking(self) -> Parking:
        """Say where the entity is parked."""
        first = place(self.queue[0].coming)
        failing = (None, None) if self._stuck or self._failing is None else self._failing
        return Parking(first.offset, first.recorded_at, *failing)

    def _put(self, coming: Coming) -> RecordError | None:
        """Put one in, if nothing is in the way that no other record can help; return why it cannot be."""
        if isinstance(coming, Unread):
            self._stuck = True
        elif not self._stuck:
            try:
                self.timeline.apply(coming)
            except PrunedEvent as error:
                self._stuck = True
                return error
        return None


class _Place(NamedTuple):
    partition: int
    offset: int
    recorded_at: Micros


def place(coming: Coming) -> _Place:
    """Say where a record stands, and when it was recorded."""
    row = coming if isinstance(coming, Unread) else coming.row
    return _Place(row.partition, row.offset, row.recorded_at)


def may_help(arrival: Arrival, failing: tuple[Micros, int] | None) -> bool:
    """Say whether a fold that fails at ``failing`` may succeed with this record; ``None``: no record helps."""
    row = arrival.row
    if failing is None:
        return False
    return row.withdraws is not None or (arrival.contributes and (row.valid_from, row.offset) < failing)


def _apply(timeline: Timeline, coming: Coming) -> None:
    if isinstance(coming, Unread):
        raise coming.error
    timeline.apply(coming)
