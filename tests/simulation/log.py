"""A log in memory: transactions, holes, a group that shares and loses partitions, all at scripted times."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from everwhen.errors import ClosedError, TopicNotFound
from everwhen.ports.log import AssignmentListener, Bounds, Chunk, LogWriter, Record, TopicDescription, TopicProblem
from tests.simulation.scheduler import Process, Scheduler

SESSION = 3.0
"""Seconds without a poll after which a member of a group loses its partitions."""


@dataclass(frozen=True)
class Item:
    """What stands at one offset.

    :ivar at: when it is appended, in seconds of the clock.
    :ivar settled: when its transaction ends; until then nothing from here on is delivered.
    :ivar record: ``None`` for a marker, and for a record of a transaction that is aborted.
    """

    offset: int
    at: float
    settled: float
    record: Record | None


@dataclass
class Tape:
    """One topic, as it will have been written when all is over.

    :ivar partitions: what stands in each, in offset order.
    :ivar breaks: when the group takes a partition from whoever has it: (time, partition, seconds until it is given
        to somebody again, whether its owner is told only afterwards).
    """

    name: str
    partitions: dict[int, list[Item]]
    breaks: list[tuple[float, int, float, bool]] = field(default_factory=list)

    def records(self, partition: int) -> list[Record]:
        """What is delivered of a partition in the end."""
        return [item.record for item in self.partitions[partition] if item.record is not None]

    def end(self, partition: int) -> int:
        """The offset after the last one."""
        items = self.partitions[partition]
        return items[-1].offset + 1 if items else 0

    @property
    def complete_at(self) -> float:
        """When everything can be read."""
        return max((max(i.at, i.settled) for items in self.partitions.values() for i in items), default=0.0)


class Group:
    """Who has which partition. A partition is given to a member only when no other one holds it."""

    def __init__(self, tape: Tape, scheduler: Scheduler) -> None:
        self.members: list[SimConsumer] = []
        self.holders: dict[int, SimConsumer] = {}
        self._tape = tape
        self._scheduler = scheduler
        self._breaks = sorted(tape.breaks)
        self._withheld: dict[int, float] = {}

    def look(self) -> None:
        """Let happen what is due: members that did not poll are put out, partitions are taken away."""
        now = self._scheduler.now
        for member in list(self.members):
            if member.polled_at < now - SESSION:
                self.put_out(member)
        while self._breaks and self._breaks[0][0] <= now:
            _, partition, pause, lost = self._breaks.pop(0)
            self._withheld[partition] = now + pause
            if lost and (holder := self.holders.get(partition)) is not None:
                self.put_out(holder)

    def put_out(self, member: SimConsumer) -> None:
        """End a membership; others may have its partitions before it learns of that."""
        self.members.remove(member)
        self.leave(member)
        member.expired = True

    def leave(self, member: SimConsumer) -> None:
        """Free what a member holds."""
        self.holders = {p: holder for p, holder in self.holders.items() if holder is not member}

    def share(self, member: SimConsumer) -> set[int]:
        """What a member should have now."""
        now, count = self._scheduler.now, len(self.members)
        return {
            p for p in self._tape.partitions if self._withheld.get(p, 0.0) <= now and self.members[p % count] is member
        }


class SimLog:
    """Implements :class:`everwhen.ports.log.Log` for reading.

    :param most: how many records a poll gives at most.
    """

    def __init__(self, tape: Tape, scheduler: Scheduler, most: int) -> None:
        self.tape = tape
        self.most = most
        self.scheduler = scheduler
        self.groups: dict[str, Group] = {}

    address = "memory"

    def describe(self, topic: str) -> TopicDescription:
        """Identify the topic."""
        if topic != self.tape.name:
            raise TopicNotFound(f"there is only topic {self.tape.name!r}")
        return TopicDescription(topic, len(self.tape.partitions), "simulated", "one")

    def topic_problems(self, topic: str) -> list[TopicProblem]:
        """Return none."""
        return []

    def retention(self, topic: str) -> None:
        """Nothing is ever removed."""

    def consumer(
        self, topic: str, listener: AssignmentListener, *, group: str, partitions: Sequence[int] | None = None
    ) -> SimConsumer:
        """Open a consumer."""
        self.describe(topic)
        joined = None
        if partitions is None:
            joined = self.groups.setdefault(group, Group(self.tape, self.scheduler))
        return SimConsumer(self, listener, joined, frozenset(partitions or ()))

    def last_stable(self, partition: int) -> int:
        """The offset up to which records are delivered now."""
        now = self.scheduler.now
        for item in self.tape.partitions[partition]:
            if item.at > now or item.settled > now:
                return item.offset
        return self.tape.end(partition)

    def high(self, partition: int) -> int:
        """The offset that comes next now; a hole in front of it is of records that were removed."""
        now = self.scheduler.now
        coming = (item.offset for item in self.tape.partitions[partition] if item.at > now)
        return next(coming, self.tape.end(partition))

    def bounds(self, topic: str, partitions: Sequence[int]) -> dict[int, Bounds]:
        """Return where the partitions begin and end; nothing is ever removed."""
        return {partition: Bounds(0, self.high(partition)) for partition in partitions}

    def writer(self, topic: str) -> LogWriter:
        """Refuse: what is written is on the tape."""
        raise NotImplementedError

    def create_topic(self, topic: str, partitions: int, *, replication: int | None = None) -> bool:
        """Refuse."""
        raise NotImplementedError

    def close(self) -> None:
        """Free nothing."""


class SimConsumer:
    """Implements :class:`everwhen.ports.log.LogConsumer`."""

    def __init__(
        self, log: SimLog, listener: AssignmentListener, group: Group | None, explicit: frozenset[int]
    ) -> None:
        self._log = log
        self._listener = listener
        self._group = group
        self._explicit = explicit
        self.process: Process = log.scheduler.current.process
        self._asked = False
        self._held: set[int] = set()
        self._unplaced: set[int] = set()
        self._next: dict[int, int] = {}
        self._told: dict[int, int] = {}
        self._paused: set[int] = set()
        self._turn = 0
        self._closed = False
        self.expired = False
        self.polled_at = log.scheduler.now
        if group is not None:
            group.members.append(self)

    def poll(self, max_records: int, timeout: float) -> Chunk:
        """Return what is there, waiting up to ``timeout`` seconds of the clock for the first record."""
        self._check_open()
        self.polled_at = self._log.scheduler.now
        self._settle()
        self._log.scheduler.wait(self._has_news, timeout)
        self._settle()
        chunk = self._fetch(min(max_records, self._log.most))
        self.polled_at = self._log.scheduler.now
        return chunk

    def pause(self, partitions: Iterable[int]) -> None:
        """Stop delivering these partitions."""
        self._paused |= set(partitions) & self._held

    def resume(self, partitions: Iterable[int]) -> None:
        """Deliver them again, and say again where they end."""
        self._paused -= set(partitions)
        for partition in partitions:
            self._told.pop(partition, None)

    def ends(self, partitions: Sequence[int], *, pending: bool = False) -> dict[int, int]:
        """Return where the partitions end."""
        self._check_open()
        return {p: self._log.high(p) if pending else self._log.last_stable(p) for p in partitions}

    @property
    def partitions(self) -> int:
        """How many partitions the topic has."""
        return len(self._log.tape.partitions)

    def hint(self, next_offsets: Mapping[int, int]) -> None:
        """Forget it."""

    def close(self) -> None:
        """Tell the listener of what is given up, and leave."""
        if self._closed:
            return
        self._closed = True
        self._give_up(self._held, lost=self.expired)
        if self._group is not None and not self.expired:
            self._group.members.remove(self)
            self._group.leave(self)

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError("the consumer is closed")

    def _settle(self) -> None:
        if self._group is None:
            gained = set(self._explicit - self._held) if not self._asked else set()
        else:
            gained = self._rebalance(self._group)
        self._unplaced |= gained
        if not self._unplaced and self._asked:
            return
        partitions = sorted(self._unplaced)
        starts = self._listener.assigned(partitions)
        self._asked = True
        if starts is None:
            return
        self._unplaced -= set(partitions)
        self._held |= set(partitions)
        self._next |= starts

    def _rebalance(self, group: Group) -> set[int]:
        group.look()
        if self.expired:
            self._give_up(self._held, lost=True)
            self._unplaced.clear()
            self.expired = False
            self.polled_at = self._log.scheduler.now
            group.members.append(self)
        share = group.share(self)
        if surplus := (self._held | self._unplaced) - share:
            self._unplaced -= surplus
            self._give_up(surplus & self._held, lost=False)
            for partition in surplus:
                if group.holders.get(partition) is self:
                    del group.holders[partition]
        gained = {p for p in share - self._held - self._unplaced if p not in group.holders}
        if self.expired:  # while it waited for a batch
            return set()
        group.holders |= dict.fromkeys(gained, self)
        return gained

    def _give_up(self, partitions: set[int], *, lost: bool) -> None:
        told = sorted(partitions)
        self._held -= partitions
        self._paused -= set(told)
        for partition in told:
            self._next.pop(partition, None)
            self._told.pop(partition, None)
        if told:
            self._listener.revoked(told, lost=lost)

    def _has_news(self) -> bool:
        if self.expired:
            return True
        return any(
            (end := self._log.last_stable(p)) > next_offset or self._told.get(p) != end
            for p, next_offset in self._next.items()
            if p not in self._paused
        )

    def _fetch(self, most: int) -> Chunk:
        records: list[Record] = []
        ends: dict[int, int] = {}
        order = sorted(self._next)
        self._turn += 1
        for partition in order[self._turn % max(1, len(order)) :] + order[: self._turn % max(1, len(order))]:
            if partition in self._paused or partition not in self._next:
                continue
            stable = self._log.last_stable(partition)
            there = [r for r in self._log.tape.records(partition) if self._next[partition] <= r.offset < stable]
            taken = there[: most - len(records)]
            records += taken
            self._next[partition] = (
                stable if len(taken) == len(there) else taken[-1].offset + 1 if taken else self._next[partition]
            )
            if len(taken) == len(there) and self._told.get(partition) != stable:
                ends[partition] = self._told[partition] = stable
        return Chunk(records, ends)
