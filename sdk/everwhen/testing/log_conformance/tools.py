"""What the tests of a log have in common."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from everwhen.errors import EverwhenError
from everwhen.ports.log import Chunk, Header, Log, LogConsumer, Record
from everwhen.positions import Position
from everwhen.testing.log_conformance.kit import PARTITIONS, PATIENCE


class Follower:
    """A listener that starts at given offsets, 0 by default, and notes what it was told."""

    def __init__(self, starts: Mapping[int, int] | None = None) -> None:
        self.starts: dict[int, int] = dict(starts or {})
        self.held: set[int] = set()
        self.given_up: list[tuple[list[int], bool]] = []

    def assigned(self, partitions: Sequence[int]) -> Mapping[int, int]:
        """Take them."""
        assert not self.held & set(partitions), "assigned twice"
        self.held.update(partitions)
        return {partition: self.starts.get(partition, 0) for partition in partitions}

    def revoked(self, partitions: Sequence[int], *, lost: bool) -> None:
        """Give them up."""
        assert self.held >= set(partitions), "revoked without having been assigned"
        self.held.difference_update(partitions)
        self.given_up.append((list(partitions), lost))


class Answers:
    """Collects the acknowledgements of one writer."""

    def __init__(self) -> None:
        self.positions: list[Position] = []
        self.errors: list[EverwhenError] = []

    def __call__(self, position: Position | None, error: EverwhenError | None) -> None:
        """Take one."""
        assert (position is None) != (error is None)
        if position is not None:
            self.positions.append(position)
        if error is not None:
            self.errors.append(error)


def publish(log: Log, topic: str, records: Iterable[tuple[bytes, bytes | None, Sequence[Header]]]) -> list[Position]:
    """Append the records; return their positions in the order of sending."""
    answers: dict[int, Position] = {}
    writer = log.writer(topic)
    try:
        for index, (key, value, headers) in enumerate(records):
            writer.send(key, value, headers, _keep(answers, index))
        assert writer.flush(PATIENCE) == 0
    finally:
        writer.close()
    return [answers[index] for index in sorted(answers)]


def poll_until(
    consumers: Sequence[LogConsumer],
    done: Callable[[], bool],
    take: Callable[[Chunk], None],
    *,
    at_once: int = 1000,
) -> None:
    """Poll the consumers in turns until ``done``; fail after :data:`PATIENCE` seconds."""
    deadline = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < deadline, "it has not come to that in time"
        for consumer in consumers:
            take(consumer.poll(at_once, 0.05))


def read_all(log: Log, topic: str, starts: Mapping[int, int] | None = None) -> list[Record]:
    """Return all records of the topic from ``starts`` to its present ends, in the order of delivery."""
    records: list[Record] = []
    ends: dict[int, int] = {}

    def take(chunk: Chunk) -> None:
        records.extend(chunk.records)
        ends.update(chunk.ends)

    consumer = log.consumer(topic, Follower(starts), group="readers", partitions=range(PARTITIONS))
    try:
        goal = consumer.ends(range(PARTITIONS))
        poll_until([consumer], lambda: all(ends.get(partition, -1) >= end for partition, end in goal.items()), take)
    finally:
        consumer.close()
    return records


def _keep(answers: dict[int, Position], index: int) -> Callable[[Position | None, EverwhenError | None], None]:
    def acknowledged(position: Position | None, error: EverwhenError | None) -> None:
        assert error is None, error
        assert position is not None
        assert index not in answers, "acknowledged twice"
        answers[index] = position

    return acknowledged


def ignore(chunk: Chunk) -> None:
    """Take nothing from it."""


def numbered(key: bytes, count: int) -> Iterator[tuple[bytes, bytes, list[Header]]]:
    """Return that many records of one key, their values counted from 0."""
    return ((key, b"%d" % number, []) for number in range(count))


def positions_of(records: Iterable[Record], topic: str) -> set[Position]:
    """Return where they stand."""
    return {Position(topic, record.partition, record.offset) for record in records}


def values_by_key(records: Iterable[Record]) -> dict[bytes | None, list[bytes | None]]:
    """Return the values of each key in the order of delivery."""
    values: dict[bytes | None, list[bytes | None]] = defaultdict(list)
    for record in records:
        values[record.key].append(record.value)
    return values


def extend(records: list[Record], chunk: Chunk) -> None:
    """Add the chunk's records."""
    records.extend(chunk.records)


def count_is(records: list[Record], count: int) -> bool:
    """Whether there are so many."""
    return len(records) == count


def expect_none(records: Sequence[Record]) -> None:
    """Fail if there is one."""
    assert not records
