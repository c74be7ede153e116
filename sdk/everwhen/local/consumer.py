"""Reads partitions of one topic of a local log."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from everwhen.errors import ArgumentError, OffsetOutOfRange, TopicNotFound
from everwhen.guard import Guard
from everwhen.local import headers as header_codec
from everwhen.local.database import check_topic, connect, find_topic, next_offset
from everwhen.local.errors import translated
from everwhen.local.group import Membership
from everwhen.ports.log import AssignmentListener, Chunk, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

_logger = logging.getLogger("everwhen.local")

_SHORTEST_NAP = 0.001
_LONGEST_NAP = 0.02
_SELECT = (
    'SELECT partition, "offset", recorded_at, key, value, headers FROM records '
    'WHERE topic = ? AND partition = ? AND "offset" >= ? ORDER BY "offset" LIMIT ?'
)


class LocalConsumer:
    """A :class:`~everwhen.ports.log.LogConsumer` on a local log.

    Membership in a group is renewed by :meth:`poll` only: a consumer that does not poll for the session's length loses
    its partitions, and is told so (``lost=True``) by its next poll.

    If the listener's ``assigned`` raises, so does the poll; the next one asks it again for the same partitions.
    """

    def __init__(
        self,
        path: Path,
        topic: str,
        listener: AssignmentListener,
        *,
        group: str,
        partitions: Sequence[int] | None,
        session: float,
        ends: Callable[[str, Sequence[int]], dict[int, int]],
        hint: Callable[[str, str, Mapping[int, int]], None],
    ) -> None:
        self._guard = Guard(f"the consumer of topic {topic!r}")
        self._where = f"log {path}"
        self._listener = listener
        self._group = group
        self._ask_ends = ends
        self._keep_hint = hint
        self._connection = connect(path)
        try:
            self._topic = find_topic(self._connection, topic, self._where)
            self._explicit = None if partitions is None else self._existing(partitions)
        except BaseException:
            self._connection.close()
            raise
        self._membership = (
            Membership(self._connection, self._topic.number, self._topic.partitions, group, session)
            if partitions is None
            else None
        )
        self._unplaced: set[int] = set(self._explicit or ())
        self._held: set[int] = set()
        self._next: dict[int, int] = {}
        self._rotation: list[int] = []
        self._paused: set[int] = set()
        self._at_end: set[int] = set()
        self._seen_version = -1
        self._beyond: list[OffsetOutOfRange] = []

    @property
    def partitions(self) -> int:
        """How many partitions the topic has; it never gets more."""
        return self._topic.partitions

    def poll(self, max_records: int, timeout: float) -> Chunk:
        """Return what is there, waiting up to ``timeout`` seconds for the first record.

        :raises OffsetOutOfRange: once, if a partition was to start beyond its end; it is not read.
        :raises TopicNotFound: if the topic was deleted.
        :raises LogUnavailable: if the file cannot be read.
        :raises ClosedError: after close, and in a forked child.
        """
        self._guard.check()
        deadline = time.monotonic() + timeout
        nap = _SHORTEST_NAP
        while True:
            self._settle()
            if self._beyond:
                raise self._beyond.pop(0)
            chunk = self._read(max_records)
            left = deadline - time.monotonic()
            if chunk.records or chunk.ends or left <= 0:
                return chunk
            time.sleep(min(nap, left))
            nap = min(nap * 2, _LONGEST_NAP)

    def pause(self, partitions: Iterable[int]) -> None:
        """Stop delivering these partitions; those not assigned are passed over."""
        self._guard.check()
        self._paused.update(partition for partition in partitions if partition in self._held)

    def resume(self, partitions: Iterable[int]) -> None:
        """Deliver these partitions again, from where they stopped."""
        self._guard.check()
        self._paused.difference_update(partitions)
        self._at_end.difference_update(partitions)
        self._seen_version = -1

    def ends(self, partitions: Sequence[int], *, pending: bool = False) -> dict[int, int]:
        """Return the offset after the last record of each partition. Any thread may call it.

        :param pending: makes no difference: what is appended together is there together.
        :raises TopicNotFound: if the topic was deleted.
        :raises LogUnavailable: if the file cannot be read.
        """
        self._guard.check()
        return self._ask_ends(self._topic.name, partitions)

    def hint(self, next_offsets: Mapping[int, int]) -> None:
        """Write down how far the group is. Any thread may call it; it never fails."""
        try:
            self._guard.check()
            self._keep_hint(self._topic.name, self._group, next_offsets)
        except Exception as error:  # noqa: BLE001 - a hint is for dashboards and must not stop anything
            _logger.debug("progress.unwritten %s", error, extra={"topic": self._topic.name})

    def close(self) -> None:
        """Tell the listener of the partitions given up, leave the group, free everything.

        Idempotent; does nothing in a forked child.
        """
        if not self._guard.close():
            return
        try:
            self._give_up(frozenset(self._held), lost=False)
        finally:
            try:
                if self._membership is not None:
                    with translated(self._where):
                        self._membership.leave()
            finally:
                self._connection.close()

    def _existing(self, partitions: Sequence[int]) -> list[int]:
        for partition in partitions:
            if not 0 <= partition < self._topic.partitions:
                raise TopicNotFound(
                    f"topic {self._topic.name!r} in {self._where} has no partition {partition}; "
                    f"it has {self._topic.partitions}, counted from 0"
                )
        return sorted(set(partitions))

    def _settle(self) -> None:
        """Renew the membership, give up and take over what it says, and start what waits for its start."""
        if self._membership is not None and time.monotonic() >= self._membership.next_look:
            self._rebalance(self._membership)
        if self._unplaced:
            self._place()

    def _rebalance(self, membership: Membership) -> None:
        with translated(self._where):
            shares = membership.look()
        try:
            self._give_up(shares.lost, lost=True)
            self._give_up(shares.surplus, lost=False)
        finally:
            # After the losses: a partition can be lost and won back in one look, and starts anew then.
            self._unplaced.update(shares.gained)
        if shares.surplus:
            with translated(self._where):
                membership.release(shares.surplus)

    def _place(self) -> None:
        """Ask the listener where to start, and start there, unless it has to be asked again later."""
        partitions = sorted(self._unplaced)
        starts = self._listener.assigned(partitions)
        if starts is None:
            return
        _check_starts(self._topic.name, partitions, starts)
        self._unplaced.clear()
        self._held.update(partitions)
        with translated(self._where):
            ends = {p: next_offset(self._connection, self._topic.number, p) for p in partitions}
        self._next.update((p, starts[p]) for p in partitions if starts[p] <= ends[p])
        self._rotation = sorted(self._next)
        self._seen_version = -1
        beyond = [p for p in partitions if starts[p] > ends[p]]
        self._beyond += [
            OffsetOutOfRange(
                f"topic {self._topic.name!r} in {self._where} does not hold what comes next for us, partition {p}: "
                f"offset {starts[p]} is not in 0 to {ends[p]}; the file was replaced or rolled back",
                partition=p,
            )
            for p in beyond
        ]

    def _give_up(self, partitions: frozenset[int], *, lost: bool) -> None:
        told = sorted(partitions & self._held)
        self._held -= partitions
        self._unplaced -= partitions
        self._paused -= partitions
        self._at_end -= partitions
        for partition in partitions:
            self._next.pop(partition, None)
        self._rotation = sorted(self._next)
        if told:
            self._listener.revoked(told, lost=lost)

    def _read(self, max_records: int) -> Chunk:
        with translated(self._where):
            return self._fetch(max_records) if self._anything_new() else Chunk([], {})

    def _anything_new(self) -> bool:
        """Whether another connection has committed since we last looked; the asking costs microseconds."""
        version = self._connection.execute("PRAGMA data_version").fetchone()[0]
        if version == self._seen_version:
            return len(self._at_end) < len(self._next)
        check_topic(self._connection, self._topic, self._where)
        self._seen_version = version
        self._at_end.clear()
        return True

    def _fetch(self, max_records: int) -> Chunk:
        records: list[Record] = []
        ends: dict[int, int] = {}
        for partition in list(self._rotation):
            if len(records) >= max_records:
                break
            # The last one served goes to the back, so that a busy partition cannot starve the others.
            self._rotation.append(self._rotation.pop(0))
            if partition in self._paused or partition in self._at_end:
                continue
            room = max_records - len(records)
            rows = self._rows(partition, room)
            if rows:
                decode = header_codec.decode
                records += [Record(p, o, at, key, value, decode(headers)) for p, o, at, key, value, headers in rows]
                self._next[partition] = rows[-1][1] + 1
            if len(rows) < room:
                self._at_end.add(partition)
                ends[partition] = self._next[partition]
        return Chunk(records, ends)

    def _rows(self, partition: int, limit: int) -> list[tuple[int, int, int, bytes | None, bytes | None, bytes]]:
        where = (self._topic.number, partition, self._next[partition], limit)
        return self._connection.execute(_SELECT, where).fetchall()


def _check_starts(topic: str, partitions: Sequence[int], starts: Mapping[int, int]) -> None:
    for partition in partitions:
        start = starts.get(partition)
        if start is None or start < 0:
            raise ArgumentError(
                f"topic {topic!r}, partition {partition}: the listener gave {start} to start at, not an offset"
            )
