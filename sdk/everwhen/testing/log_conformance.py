"""What every log must do: subclass :class:`LogConformance` and give it a ``kit``.

::

    class TestMyLog(LogConformance):
        @pytest.fixture
        def kit(self, tmp_path: Path) -> LogKit:
            return MyKit(tmp_path)

A topic of a test has :data:`PARTITIONS` partitions and is its own. Nothing here sleeps: what takes its time in a
real log is polled for until a deadline.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Protocol

import pytest

from everwhen.errors import ClosedError, EventTooLarge, EverwhenError, OffsetOutOfRange, TopicNotFound
from everwhen.ports.log import Chunk, Header, Log, LogConsumer, LogWriter, Record
from everwhen.positions import Position

PARTITIONS = 4
PATIENCE = 30.0
"""Seconds after which what a test waits for has failed to happen."""

_MICROS = 1_000_000

JAVA_MURMUR2: Mapping[bytes, int] = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}
"""From ``UtilsTest.testMurmur2`` of Apache Kafka."""


class LogKit(Protocol):
    """What an adapter's tests give: ways to one log."""

    def open(self) -> Log:
        """Open the log."""
        ...

    def open_narrow(self) -> Log:
        """Open the log so that its writers hold ten records at most before ``send`` blocks."""
        ...

    def opener(self) -> Callable[[], Log]:
        """Return a picklable function with which another process opens the log."""
        ...

    def topic(self) -> str:
        """Make a topic of :data:`PARTITIONS` partitions that nobody else uses; return its name."""
        ...

    def drop(self, topic: str) -> None:
        """Delete the topic; return when it is gone."""
        ...


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


def _ignore(chunk: Chunk) -> None:
    """Take nothing from it."""


def _numbered(key: bytes, count: int) -> Iterator[tuple[bytes, bytes, list[Header]]]:
    return ((key, b"%d" % number, []) for number in range(count))


def _append(opener: Callable[[], Log], topic: str, key: bytes, count: int) -> None:
    """Append from another process."""
    log = opener()
    try:
        publish(log, topic, _numbered(key, count))
    finally:
        log.close()


def _positions(records: Iterable[Record], topic: str) -> set[Position]:
    return {Position(topic, record.partition, record.offset) for record in records}


def _values_by_key(records: Iterable[Record]) -> dict[bytes | None, list[bytes | None]]:
    values: dict[bytes | None, list[bytes | None]] = defaultdict(list)
    for record in records:
        values[record.key].append(record.value)
    return values


class LogConformance:
    """The suite. ``kit`` is the one fixture that a subclass gives."""

    @pytest.fixture
    def log(self, kit: LogKit) -> Iterator[Log]:
        """The log under test."""
        log = kit.open()
        yield log
        log.close()

    @pytest.fixture
    def topic(self, kit: LogKit) -> str:
        """A topic of the test's own."""
        return kit.topic()

    # Writing

    def test_records_of_a_key_keep_their_order(self, log: Log, topic: str) -> None:
        """Whatever lies between them."""
        keys = [b"a", b"b", b"c"]
        publish(log, topic, ((keys[n % 3], b"%d" % n, []) for n in range(900)))
        for index, key in enumerate(keys):
            assert _values_by_key(read_all(log, topic))[key] == [b"%d" % n for n in range(index, 900, 3)]

    def test_acknowledged_is_where_it_is_read(self, log: Log, topic: str) -> None:
        """A receipt's position is the record's own, and no two are the same."""
        positions = publish(log, topic, ((b"k%d" % n, b"%d" % n, []) for n in range(300)))
        records = {(record.partition, record.offset): record.value for record in read_all(log, topic)}
        assert len(set(positions)) == 300
        assert [records[place.partition, place.offset] for place in positions] == [b"%d" % n for n in range(300)]
        assert {place.topic for place in positions} == {topic}

    def test_partition_is_javas(self, log: Log, topic: str) -> None:
        """A key lies where a JVM producer and Kafka Streams would put it."""
        keys = list(JAVA_MURMUR2)
        positions = publish(log, topic, ((key, b"", []) for key in keys))
        expected = [(JAVA_MURMUR2[key] & 0x7FFFFFFF) % PARTITIONS for key in keys]
        assert [place.partition for place in positions] == expected

    def test_threads_share_a_writer(self, log: Log, topic: str) -> None:
        """Nothing is lost or doubled, and each thread's records keep their order."""
        answers = Answers()
        writer = log.writer(topic)

        def write(key: bytes) -> None:
            for _, value, headers in _numbered(key, 500):
                writer.send(key, value, headers, answers)

        with ThreadPoolExecutor(3) as threads:
            list(threads.map(write, [b"t1", b"t2", b"t3"]))
        assert writer.flush(PATIENCE) == 0
        writer.close()
        records = read_all(log, topic)
        assert not answers.errors
        assert set(answers.positions) == _positions(records, topic)
        assert len(records) == 1500
        for key, values in _values_by_key(records).items():
            assert values == [b"%d" % n for n in range(500)], key

    def test_processes_write_at_once(self, kit: LogKit, log: Log, topic: str) -> None:
        """Two processes' records stand in the log completely, each process's in its order."""
        context = multiprocessing.get_context("spawn")
        processes = [context.Process(target=_append, args=(kit.opener(), topic, key, 2000)) for key in (b"p1", b"p2")]
        for process in processes:
            process.start()
        for process in processes:
            process.join(PATIENCE)
        assert [process.exitcode for process in processes] == [0, 0]
        values = _values_by_key(read_all(log, topic))
        assert values[b"p1"] == values[b"p2"] == [b"%d" % n for n in range(2000)]

    @pytest.mark.parametrize(
        "headers",
        [
            [],
            [("a", b"1"), ("b", None), ("c", b"")],
            [("twice", b"1"), ("twice", b"2"), ("twice", None)],
            [("größe", "ü€😀".encode()), ("bytes", bytes(range(256)))],
            [(f"h{n}", b"v" * n) for n in range(50)],
        ],
        ids=["none", "None and empty", "duplicates", "utf-8", "many"],
    )
    def test_headers_come_back(self, log: Log, topic: str, headers: list[Header]) -> None:
        """All of them, in their order."""
        publish(log, topic, [(b"k", b"v", headers)])
        (record,) = read_all(log, topic)
        assert list(record.headers) == headers

    def test_empty_value_is_not_none(self, log: Log, topic: str) -> None:
        """A tombstone is one thing, an empty value another."""
        publish(log, topic, [(b"k", b"", []), (b"k", None, [])])
        assert [record.value for record in read_all(log, topic)] == [b"", None]

    def test_size_limit(self, log: Log, topic: str) -> None:
        """A record of exactly the limit is taken; one byte more is refused before it is sent."""
        writer = log.writer(topic)
        headers: list[Header] = [("name", b"content")]
        value = os.urandom(writer.size_limit - len(b"key") - len("namecontent"))
        answers = Answers()
        with pytest.raises(EventTooLarge, match="limit"):
            writer.send(b"key", value + b"!", headers, answers)
        writer.send(b"key", value, headers, answers)
        assert writer.flush(PATIENCE) == 0
        writer.close()
        assert not answers.errors
        (record,) = read_all(log, topic)
        assert record.value == value

    def test_send_waits_for_room(self, kit: LogKit, topic: str) -> None:
        """A full queue holds the sender up and loses nothing."""
        log = kit.open_narrow()
        assert len(publish(log, topic, _numbered(b"k", 300))) == 300
        assert [record.value for record in read_all(log, topic)] == [b"%d" % n for n in range(300)]
        log.close()

    def test_poll_hands_out(self, log: Log, topic: str) -> None:
        """``poll`` alone brings the acknowledgement, and returns at once when none is due."""
        writer = log.writer(topic)
        answers = Answers()
        writer.send(b"k", b"v", [], answers)
        deadline = time.monotonic() + PATIENCE
        while not answers.positions:
            assert time.monotonic() < deadline
            writer.poll(0.2)
        before = time.monotonic()
        writer.poll(PATIENCE)
        assert time.monotonic() - before < PATIENCE / 2
        assert writer.flush() == 0
        writer.close()

    def test_callback_that_raises(self, log: Log, topic: str) -> None:
        """It harms neither its own record nor the next one's."""

        def fail(position: Position | None, error: EverwhenError | None) -> None:
            raise RuntimeError

        answers = Answers()
        writer = log.writer(topic)
        writer.send(b"k", b"1", [], fail)
        writer.send(b"k", b"2", [], answers)
        assert writer.flush(PATIENCE) == 0
        writer.close()
        assert len(answers.positions) == 1
        assert [record.value for record in read_all(log, topic)] == [b"1", b"2"]

    def test_recorded_at_is_the_logs_time(self, log: Log, topic: str) -> None:
        """In microseconds, and of the time of appending; Kafka's are whole milliseconds."""
        before = time.time_ns() // 1_000_000 * 1000
        publish(log, topic, [(b"k", b"v", [])])
        (record,) = read_all(log, topic)
        assert before <= record.timestamp <= time.time_ns() // 1000 + _MICROS

    # Reading

    def test_starts_where_the_listener_says(self, log: Log, topic: str) -> None:
        """At exactly the offset, in each partition."""
        positions = publish(log, topic, ((b"k%d" % n, b"", []) for n in range(200)))
        starts = {partition: 7 + partition for partition in range(PARTITIONS)}
        expected = {place for place in positions if place.offset >= starts[place.partition]}
        assert _positions(read_all(log, topic, starts), topic) == expected
        assert len(expected) < 200

    def test_max_records(self, log: Log, topic: str) -> None:
        """A poll never gives more, and together they give everything once."""
        publish(log, topic, _numbered(b"k", 25))
        seen: list[Record] = []
        consumer = log.consumer(topic, Follower(), group="g", partitions=range(PARTITIONS))

        def done() -> bool:
            chunk = consumer.poll(4, 0.2)
            assert len(chunk.records) <= 4
            seen.extend(chunk.records)
            return len(seen) >= 25

        poll_until([], done, _ignore)
        consumer.close()
        assert [record.value for record in seen] == [b"%d" % n for n in range(25)]

    def test_only_its_partitions(self, log: Log, topic: str) -> None:
        """An explicit choice of partitions is kept to."""
        publish(log, topic, ((b"k%d" % n, b"", []) for n in range(100)))
        follower, seen = Follower(), set[int]()
        consumer = log.consumer(topic, follower, group="g", partitions=[2])
        ends: dict[int, int] = {}

        def take(chunk: Chunk) -> None:
            seen.update(record.partition for record in chunk.records)
            ends.update(chunk.ends)

        poll_until([consumer], lambda: bool(ends), take)
        assert (seen, set(ends), follower.held) == ({2}, {2}, {2})
        consumer.close()
        assert follower.given_up == [([2], False)]

    def test_ends_are_told(self, log: Log, topic: str) -> None:
        """Of an empty partition too, again after more records, and the log says the same when it is asked."""
        ends: dict[int, int] = {}
        consumer = log.consumer(topic, Follower(), group="g", partitions=range(PARTITIONS))

        def take(chunk: Chunk) -> None:
            ends.update(chunk.ends)

        poll_until([consumer], lambda: len(ends) == PARTITIONS, take)
        assert ends == dict.fromkeys(range(PARTITIONS), 0) == consumer.ends(range(PARTITIONS))
        (*_, last) = publish(log, topic, _numbered(b"k", 5))
        poll_until([consumer], lambda: ends[last.partition] == 5, take)
        assert consumer.ends(range(PARTITIONS)) == ends
        consumer.close()

    def test_ends_from_another_thread(self, log: Log, topic: str) -> None:
        """While the consumer's own thread waits in a poll."""
        publish(log, topic, _numbered(b"k", 3))
        consumer = log.consumer(topic, Follower(), group="g", partitions=range(PARTITIONS))
        with ThreadPoolExecutor(1) as thread:
            asked = thread.submit(lambda: [consumer.ends(range(PARTITIONS)) for _ in range(10)])
            poll_until([consumer], asked.done, _ignore)
        assert {sum(ends.values()) for ends in asked.result()} == {3}
        consumer.close()

    def test_nothing_there(self, log: Log, topic: str) -> None:
        """An empty chunk, after the time-out and not before."""
        consumer = log.consumer(topic, Follower(), group="g", partitions=[0])
        ends: dict[int, int] = {}
        poll_until([consumer], lambda: bool(ends), lambda chunk: ends.update(chunk.ends))
        before = time.monotonic()
        assert consumer.poll(10, 0.3) == Chunk([], {})
        assert 0.25 <= time.monotonic() - before < PATIENCE
        consumer.close()

    def test_pause_and_resume(self, log: Log, topic: str) -> None:
        """A paused partition is silent, the others go on; then it goes on from where it stopped."""
        keys = {
            place.partition: b"k%d" % n
            for n, place in enumerate(publish(log, topic, ((b"k%d" % n, b"first", []) for n in range(40))))
        }
        seen: list[Record] = []
        consumer = log.consumer(topic, Follower(), group="g", partitions=range(PARTITIONS))

        def take(chunk: Chunk) -> None:
            seen.extend(chunk.records)

        poll_until([consumer], lambda: len(seen) == 40, take)
        consumer.pause([1, 99])
        publish(log, topic, ((key, b"second", []) for key in keys.values() for _ in range(10)))
        poll_until([consumer], lambda: len(seen) == 40 + 10 * (PARTITIONS - 1), take)
        assert consumer.poll(10, 0.3).records == []
        consumer.resume([1, 99])
        poll_until([consumer], lambda: len(seen) >= 40 + 10 * PARTITIONS, take)
        assert len(_positions(seen, topic)) == len(seen) == 40 + 10 * PARTITIONS
        for partition in range(PARTITIONS):
            offsets = [record.offset for record in seen if record.partition == partition]
            assert offsets == list(range(len(offsets)))
        consumer.close()

    def test_paused_all_the_time(self, log: Log, topic: str) -> None:
        """Pausing in the middle of what was fetched already loses nothing and doubles nothing."""
        publish(log, topic, ((b"k%d" % (n % 50), b"%d" % n, []) for n in range(3000)))
        seen: list[Record] = []
        consumer = log.consumer(topic, Follower(), group="g", partitions=range(PARTITIONS))

        def done() -> bool:
            seen.extend(consumer.poll(400, 1).records)
            consumer.pause(range(PARTITIONS))
            assert consumer.poll(400, 0).records == []
            consumer.resume(range(PARTITIONS))
            return len(seen) >= 3000

        poll_until([], done, _ignore)
        consumer.close()
        assert len(_positions(seen, topic)) == len(seen) == 3000

    def test_beyond_the_end(self, log: Log, topic: str) -> None:
        """A log that holds less than we have applied must be told of and not be read from its end."""
        end = publish(log, topic, _numbered(b"foobar", 5))[-1]
        consumer = log.consumer(topic, Follower({end.partition: 1000}), group="g", partitions=[end.partition])
        with pytest.raises(OffsetOutOfRange, match=r"offset 1000 .* 0 to 5"):
            poll_until([consumer], lambda: False, lambda chunk: _none(chunk.records))
        assert consumer.poll(10, 0.2).records == []
        consumer.close()

    def test_listener_that_raises(self, log: Log, topic: str) -> None:
        """Its error comes out of the poll, and it is asked again: the store was down for a moment."""
        publish(log, topic, _numbered(b"k", 3))

        class Late(Follower):
            asked = 0

            def assigned(self, partitions: Sequence[int]) -> Mapping[int, int]:
                self.asked += 1
                if self.asked <= 2:
                    raise ConnectionError("the store is down")
                return super().assigned(partitions)

        for partitions in (range(PARTITIONS), None):
            late = Late()
            seen: list[Record] = []
            consumer = log.consumer(topic, late, group="g-listener", partitions=partitions)
            for _ in range(2):
                with pytest.raises(ConnectionError, match="down"):
                    poll_until([consumer], lambda: False, _ignore)
            poll_until([consumer], partial(_count_is, seen, 3), partial(_extend, seen))
            assert (late.asked, late.held) == (3, set(range(PARTITIONS)))
            consumer.close()

    # Groups

    def test_group_shares(self, log: Log, topic: str) -> None:
        """Two share all partitions, a third gets its part, and who leaves hands its part over."""
        followers = [Follower() for _ in range(3)]
        consumers = [log.consumer(topic, follower, group="shared") for follower in followers[:2]]
        poll_until(consumers, lambda: _shared_by(followers[:2]), _ignore)
        consumers.append(log.consumer(topic, followers[2], group="shared"))
        poll_until(consumers, lambda: _shared_by(followers), _ignore)
        consumers[0].close()
        assert followers[0].held == set()
        assert followers[0].given_up
        poll_until(consumers[1:], lambda: _shared_by(followers[1:]), _ignore)
        for consumer in consumers[1:]:
            consumer.close()
        assert all(not lost for follower in followers for _, lost in follower.given_up)

    def test_group_applies_each_record_once(self, log: Log, topic: str) -> None:
        """With the position kept by the listener, members that come and go lose and double nothing."""
        publish(log, topic, ((b"k%d" % (n % 50), b"%d" % n, []) for n in range(2000)))
        applied: dict[int, int] = defaultdict(int)

        class Keeper(Follower):
            def assigned(self, partitions: Sequence[int]) -> Mapping[int, int]:
                super().assigned(partitions)
                return {partition: applied[partition] for partition in partitions}

        keepers = [Keeper(), Keeper()]
        consumers = [log.consumer(topic, keepers[0], group="once")]

        def apply(chunk: Chunk) -> None:
            for record in chunk.records:
                assert record.offset == applied[record.partition]
                applied[record.partition] += 1

        def turn(done: Callable[[], bool]) -> None:
            poll_until(consumers, done, apply, at_once=30)

        turn(lambda: sum(applied.values()) >= 300)
        consumers.append(log.consumer(topic, keepers[1], group="once"))
        turn(lambda: bool(keepers[1].held))
        publish(log, topic, ((b"k%d" % (n % 50), b"%d" % n, []) for n in range(1000)))
        turn(lambda: sum(applied.values()) >= 2500)
        consumers.pop(0).close()
        turn(lambda: sum(applied.values()) == 3000)
        consumers.pop().close()

    def test_groups_know_nothing_of_each_other(self, log: Log, topic: str) -> None:
        """Each gets everything."""
        publish(log, topic, _numbered(b"k", 10))
        consumers = [log.consumer(topic, Follower(), group=group) for group in ("one", "two")]
        for consumer in consumers:
            seen: list[Record] = []
            poll_until([consumer], partial(_count_is, seen, 10), partial(_extend, seen))
            consumer.close()

    def test_hint_never_fails(self, log: Log, topic: str) -> None:
        """Not for a partition that we do not have, not after close."""
        consumer = log.consumer(topic, Follower(), group="hints", partitions=[0])
        consumer.poll(1, 0)
        consumer.hint({0: 5, 99: 3})
        consumer.hint({})
        consumer.close()
        consumer.hint({0: 6})

    # Topics

    def test_no_such_topic(self, log: Log) -> None:
        """The message says how to create it."""
        follower = Follower()
        for use in (
            lambda: log.writer("no-such-topic"),
            lambda: log.describe("no-such-topic"),
            lambda: log.consumer("no-such-topic", follower, group="g"),
        ):
            with pytest.raises(TopicNotFound, match=r"no-such-topic.*everwhen topic create"):
                use()

    def test_no_such_partition(self, log: Log, topic: str) -> None:
        """Neither above nor below."""
        for partition in (PARTITIONS, -1):
            with pytest.raises(TopicNotFound, match="partition"):
                log.consumer(topic, Follower(), group="g", partitions=[0, partition])

    def test_describe(self, kit: LogKit, log: Log, topic: str) -> None:
        """The identity is the same from everywhere, and differs between topics."""
        again = kit.open()
        described = log.describe(topic)
        assert described == again.describe(topic)
        again.close()
        assert (described.name, described.partitions) == (topic, PARTITIONS)
        assert described.cluster_id
        assert described.topic_id

    def test_topic_made_anew(self, kit: LogKit, log: Log, topic: str) -> None:
        """It has the name of the old one and another id, and holds nothing of it."""
        publish(log, topic, _numbered(b"k", 3))
        before = log.describe(topic)
        assert log.create_topic(topic, PARTITIONS) is False
        kit.drop(topic)
        with pytest.raises(TopicNotFound):
            log.describe(topic)
        assert log.create_topic(topic, PARTITIONS) is True
        after = log.describe(topic)
        assert (after.cluster_id, after.name) == (before.cluster_id, before.name)
        assert after.topic_id != before.topic_id
        assert read_all(log, topic) == []

    def test_created_topic_has_no_problems(self, log: Log, topic: str) -> None:
        """What we create passes our own check."""
        assert log.topic_problems(topic) == []

    # Ends

    def test_close_twice(self, log: Log, topic: str) -> None:
        """The second time does nothing."""
        writer = log.writer(topic)
        consumer = log.consumer(topic, Follower(), group="g", partitions=[0])
        for closable in (writer, consumer, log, writer, consumer, log):
            closable.close()

    def test_close_sends_what_is_queued(self, log: Log, topic: str) -> None:
        """Nobody has to flush."""
        answers = Answers()
        writer = log.writer(topic)
        for key, value, headers in _numbered(b"k", 100):
            writer.send(key, value, headers, answers)
        writer.close()
        assert len(answers.positions) == 100
        assert len(read_all(log, topic)) == 100

    def test_use_after_close(self, kit: LogKit, log: Log, topic: str) -> None:
        """Says so."""
        writer = log.writer(topic)
        consumer = log.consumer(topic, Follower(), group="g", partitions=[0])
        other = kit.open()
        for closable in (writer, consumer, other):
            closable.close()
        for use in _uses(writer, consumer, other, topic):
            with pytest.raises(ClosedError, match="closed"):
                use()

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
    @pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
    def test_use_in_a_forked_child(self, log: Log, topic: str) -> None:
        """The child is told; closing does nothing there, and the parent goes on."""
        writer = log.writer(topic)
        consumer = log.consumer(topic, Follower(), group="g", partitions=[0])
        consumer.poll(1, 0)
        child = os.fork()
        if child == 0:
            os._exit(_try_in_child(_uses(writer, consumer, log, topic), [writer.close, consumer.close, log.close]))
        assert _exit_code(child) == 0
        answers = Answers()
        writer.send(b"k", b"v", [], answers)
        assert writer.flush(PATIENCE) == 0
        assert len(answers.positions) == 1
        writer.close()
        consumer.close()


def _uses(writer: LogWriter, consumer: LogConsumer, log: Log, topic: str) -> list[Callable[[], object]]:
    return [
        lambda: writer.send(b"k", b"v", [], Answers()),
        lambda: writer.poll(0),
        lambda: writer.flush(0),
        lambda: consumer.poll(1, 0),
        lambda: consumer.pause([0]),
        lambda: consumer.resume([0]),
        lambda: consumer.ends([0]),
        lambda: log.describe(topic),
        lambda: log.writer(topic),
        lambda: log.consumer(topic, Follower(), group="g"),
        lambda: log.create_topic(topic, 1),
        lambda: log.topic_problems(topic),
    ]


def _try_in_child(uses: list[Callable[[], object]], closes: list[Callable[[], object]]) -> int:
    """Return 0 if each use is refused and each close does nothing, else the number of the first that is not so."""
    for number, use in enumerate(uses, start=1):
        try:
            use()
        except ClosedError:
            continue
        except BaseException:  # noqa: BLE001 - nothing may leave a forked child of pytest but its exit code
            return 100 + number
        return number
    for close in closes:
        close()
    return 0


def _exit_code(child: int) -> int:
    """Wait for the child; one that hangs is killed."""
    killer = threading.Timer(PATIENCE, lambda: os.kill(child, 9))
    killer.start()
    try:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    finally:
        killer.cancel()


def _extend(records: list[Record], chunk: Chunk) -> None:
    records.extend(chunk.records)


def _count_is(records: list[Record], count: int) -> bool:
    return len(records) == count


def _none(records: Sequence[Record]) -> None:
    assert not records


def _shared_by(followers: Sequence[Follower]) -> bool:
    """Whether each holds something, and together they hold each partition once."""
    held = [partition for follower in followers for partition in follower.held]
    return sorted(held) == list(range(PARTITIONS)) and all(follower.held for follower in followers)
