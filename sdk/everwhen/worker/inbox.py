"""The records between the thread that fetches and the one that applies."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from everwhen.errors import ContinuityError, EverwhenError
from everwhen.ports.log import Chunk, Record
from everwhen.worker.projector import Owned

_partition = attrgetter("partition")
_RECORD_OVERHEAD = 1_500
"""About what a record weighs in memory apart from its key and value, in bytes: nearly all of it is headers."""


class Work(NamedTuple):
    """What to apply next: records of one partition, and the offset that comes after them."""

    owned: Owned
    records: Sequence[Record]
    reached: int


class _Lane:
    """One owned partition."""

    def __init__(self, owned: Owned) -> None:
        self.owned = owned
        self.waiting: deque[Record] = deque()
        self.size = 0
        """About how much memory they take, in bytes."""
        self.next_offset = owned.mark.next_offset
        """The offset after the last record that was put or taken."""
        self.end: int | None = None
        """Where the log ended when it was last looked at."""
        self.stopped: EverwhenError | None = None
        self.again_at: float | None = None
        """When the records that were put back are to be taken again."""
        self.broken: ContinuityError | None = None
        """Why nothing comes any more after what waits."""

    def put(self, run: list[Record]) -> None:
        """Add records in offset order, those left out that were put before."""
        if run[0].offset < self.next_offset:
            run = [record for record in run if record.offset >= self.next_offset]
        if run:
            self.waiting.extend(run)
            self.size += _weight(run)
            self.next_offset = run[-1].offset + 1

    def take(self, number: int) -> list[Record]:
        """Take records from the front; they count as what waits weighs on average."""
        waiting = self.waiting
        self.size -= self.size * number // (len(waiting) or 1)
        if number == len(waiting):
            records = list(waiting)
            waiting.clear()
            return records
        return [waiting.popleft() for _ in range(number)]

    def put_back(self, records: Sequence[Record]) -> None:
        """Add records in front."""
        self.waiting.extendleft(reversed(records))
        self.size += _weight(records)

    def clear(self) -> None:
        """Drop what waits."""
        self.waiting.clear()
        self.size = 0

    @property
    def is_held(self) -> bool:
        """Whether nothing of it shall be fetched."""
        return not self.goes_on or self.again_at is not None

    @property
    def goes_on(self) -> bool:
        """Whether more may come."""
        return self.stopped is None and self.broken is None


class Inbox:
    """A bounded buffer of records by partition. Thread-safe.

    :param limit_bytes: above this the fetching side pauses its partitions until half of it is left.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._lanes: dict[int, _Lane] = {}
        self._order: deque[int] = deque()
        self._full = False
        self._busy: int | None = None
        self._news = False
        self._failure: BaseException | None = None
        self._joined = False
        self._unclaimed: frozenset[int] = frozenset()
        self._changed = threading.Condition()

    # -- the fetching side ---------------------------------------------------------------------------------------

    def open(self, owned: Iterable[Owned]) -> None:
        """Take up partitions that were claimed."""
        with self._changed:
            for each in owned:
                self._discard(each.partition)
                self._lanes[each.partition] = _Lane(each)
                self._order.append(each.partition)
            self._joined = True
            self._changed.notify_all()

    def await_claims(self, partitions: frozenset[int]) -> None:
        """Note which partitions the log has given us and the store could not be asked for yet."""
        with self._changed:
            self._unclaimed = partitions

    def close(self, partitions: Iterable[int], *, timeout: float) -> list[Owned]:
        """Drop partitions; wait up to ``timeout`` seconds for a batch of theirs that is being applied.

        :return: those of which nothing is being applied any more.
        """
        leaving = set(partitions)
        with self._changed:
            left = [lane.owned for partition in leaving if (lane := self._discard(partition)) is not None]
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._busy not in leaving, timeout)
            return [owned for owned in left if owned.partition != self._busy]

    def put(self, chunk: Chunk) -> None:
        """Add what was fetched; records of partitions that are not owned, or come twice, are dropped."""
        runs = [(partition, list(run)) for partition, run in groupby(chunk.records, _partition)]
        with self._changed:
            for partition, run in runs:
                if (lane := self._lanes.get(partition)) is not None and lane.goes_on:
                    lane.put(run)
            for partition, end in chunk.ends.items():
                if (lane := self._lanes.get(partition)) is not None and lane.goes_on:
                    lane.end = end
            self._changed.notify_all()

    def interrupt(self, broken: Mapping[int, ContinuityError]) -> None:
        """Take nothing more of partitions: what waits is applied, and then they stop."""
        with self._changed:
            for partition, error in broken.items():
                if (lane := self._lanes.get(partition)) is not None and lane.goes_on:
                    lane.broken = error
            self._changed.notify_all()

    def prove(self, partitions: Iterable[int]) -> None:
        """Say that the log goes on where these partitions stand."""
        with self._changed:
            for partition in partitions:
                if (lane := self._lanes.get(partition)) is not None:
                    lane.owned.proven = True
                    self._news = True
            self._changed.notify_all()

    def reached(self, partition: int) -> int | None:
        """Return the offset after the last record that was put or taken; ``None`` if the partition is not owned."""
        with self._changed:
            lane = self._lanes.get(partition)
            return None if lane is None else lane.next_offset

    def fail(self, failure: BaseException) -> None:
        """Hand an error of the fetching side over: the next :meth:`take` raises it."""
        with self._changed:
            self._failure = failure
            self._changed.notify_all()

    def await_room(self, timeout: float) -> None:
        """Wait up to ``timeout`` seconds while the buffer is full and nothing is paused for it yet."""
        with self._changed:
            self._changed.wait_for(lambda: self._full or self._size() <= self._limit, timeout)

    def paused(self) -> frozenset[int]:
        """Return the partitions that must not be fetched now: all while the buffer is full, and those stopped."""
        with self._changed:
            self._full = self._size() > (self._limit // 2 if self._full else self._limit)
            return frozenset(p for p, lane in self._lanes.items() if self._full or lane.is_held)

    # -- the applying side ---------------------------------------------------------------------------------------

    def take(self, max_records: int, timeout: float) -> Work | None:
        """Take the next piece of work, partitions in turn; ``None`` if there is none within ``timeout`` seconds.

        Call :meth:`done` when it is applied.

        :raises BaseException: what the fetching side failed with.
        """
        with self._changed:
            if not self._changed.wait_for(self._has_work, timeout):
                return None
            self._news = False
            if self._failure is not None:
                raise self._failure
            lane = self._next_lane()
            if lane is None:
                return None
            records = lane.take(min(lane.owned.most(max_records), len(lane.waiting)))
            self._changed.notify_all()  # there may be room now
            self._busy = lane.owned.partition
            if lane.waiting:
                return Work(lane.owned, records, lane.waiting[0].offset)
            lane.next_offset = max(lane.next_offset, lane.end or 0)
            return Work(lane.owned, records, lane.next_offset)

    def done(self) -> None:
        """Say that the work taken last is applied, or given up."""
        with self._changed:
            self._busy = None
            self._changed.notify_all()

    def put_back(self, owned: Owned, records: Sequence[Record], pause: float | None = None) -> None:
        """Give records back that were taken last and not applied, to be taken again.

        :param pause: after how many seconds; nothing of the partition is fetched until records are put back without.
        """
        with self._changed:
            lane = self._lanes.get(owned.partition)
            if lane is not None and lane.owned is owned:
                lane.put_back(records)
                lane.again_at = None if pause is None else time.monotonic() + pause

    def stop(self, partition: int, error: EverwhenError) -> None:
        """Deliver no more of a partition, because of ``error``."""
        with self._changed:
            if (lane := self._lanes.get(partition)) is not None:
                lane.stopped = error
                lane.clear()

    def wake(self) -> None:
        """Make a waiting :meth:`take` look again. May be called from a signal handler."""
        with self._changed:
            self._changed.notify_all()

    @property
    def joined(self) -> bool:
        """Whether partitions were assigned at least once, be it none of them, and all of them are claimed."""
        return self._joined and not self._unclaimed

    def owned(self) -> list[Owned]:
        """Return the partitions owned now, those that were stopped included."""
        with self._changed:
            return [lane.owned for lane in self._lanes.values()]

    def idle(self) -> list[Owned]:
        """Return the partitions that were read to their end and of which everything is applied."""
        with self._changed:
            return [
                lane.owned
                for lane in self._lanes.values()
                if lane.goes_on and not lane.waiting and lane.end == lane.owned.mark.next_offset
            ]

    def broken(self) -> list[tuple[Owned, ContinuityError]]:
        """Return the partitions that were interrupted, once all that waited of them is applied."""
        with self._changed:
            return [(lane.owned, lane.broken) for lane in self._lanes.values() if lane.broken and self._is_over(lane)]

    def stopped(self) -> dict[int, EverwhenError]:
        """Return the partitions that were stopped, with the reason."""
        with self._changed:
            return {p: lane.stopped for p, lane in self._lanes.items() if lane.stopped is not None}

    def _size(self) -> int:
        return sum(lane.size for lane in self._lanes.values())

    def _has_work(self) -> bool:
        if self._failure is not None or self._news:
            return True
        return any(_ready(lane) or self._is_over(lane) for lane in self._lanes.values())

    def _is_over(self, lane: _Lane) -> bool:
        """Whether an interrupted partition is to be stopped now."""
        interrupted = lane.broken is not None and lane.stopped is None
        return interrupted and not lane.waiting and self._busy != lane.owned.partition

    def _next_lane(self) -> _Lane | None:
        for _ in range(len(self._order)):
            self._order.rotate(-1)
            lane = self._lanes[self._order[-1]]
            if _ready(lane):
                return lane
        return None

    def _discard(self, partition: int) -> _Lane | None:
        lane = self._lanes.pop(partition, None)
        if lane is not None:
            lane.owned.released = True
            self._order.remove(partition)
        return lane


def _ready(lane: _Lane) -> bool:
    """There are records, or the log's end lies beyond a gap without records (aborted transactions, markers)."""
    if lane.again_at is not None and time.monotonic() < lane.again_at:
        return False
    return bool(lane.waiting) or (
        lane.goes_on and lane.end is not None and lane.end > max(lane.next_offset, lane.owned.mark.next_offset)
    )


def _weight(records: Collection[Record]) -> int:
    contents = sum([len(record.key or b"") + len(record.value or b"") for record in records])
    return _RECORD_OVERHEAD * len(records) + contents
