"""What a log's consumers must do."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from everwhen.errors import OffsetOutOfRange
from everwhen.ports.log import Chunk, Log, Record
from everwhen.testing.log_conformance.kit import PARTITIONS, PATIENCE, Suite
from everwhen.testing.log_conformance.tools import (
    Follower,
    count_is,
    expect_none,
    extend,
    ignore,
    numbered,
    poll_until,
    positions_of,
    publish,
    read_all,
)


class Reading(Suite):
    """What a log's consumers must do."""

    def test_starts_where_the_listener_says(self, log: Log, topic: str) -> None:
        """At exactly the offset, in each partition."""
        positions = publish(log, topic, ((b"k%d" % n, b"", []) for n in range(200)))
        starts = {partition: 7 + partition for partition in range(PARTITIONS)}
        expected = {place for place in positions if place.offset >= starts[place.partition]}
        assert positions_of(read_all(log, topic, starts), topic) == expected
        assert len(expected) < 200

    def test_max_records(self, log: Log, topic: str) -> None:
        """A poll never gives more, and together they give everything once."""
        publish(log, topic, numbered(b"k", 25))
        seen: list[Record] = []
        consumer = log.consumer(topic, Follower(), group="g", partitions=range(PARTITIONS))

        def done() -> bool:
            chunk = consumer.poll(4, 0.2)
            assert len(chunk.records) <= 4
            seen.extend(chunk.records)
            return len(seen) >= 25

        poll_until([], done, ignore)
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
        (*_, last) = publish(log, topic, numbered(b"k", 5))
        poll_until([consumer], lambda: ends[last.partition] == 5, take)
        assert consumer.ends(range(PARTITIONS)) == ends
        consumer.close()

    def test_ends_with_what_is_pending(self, log: Log, topic: str) -> None:
        """The same while no transaction is open, of empty partitions too; of those only that were asked for."""
        (*_, last) = publish(log, topic, numbered(b"k", 5))
        consumer = log.consumer(topic, Follower(), group="g", partitions=[last.partition])
        everything = range(PARTITIONS)
        ends = {partition: 5 * (partition == last.partition) for partition in everything}
        assert consumer.ends(everything, pending=True) == consumer.ends(everything) == ends
        assert consumer.ends([last.partition], pending=True) == {last.partition: 5}
        assert consumer.ends([], pending=True) == {}
        consumer.close()

    def test_ends_from_another_thread(self, log: Log, topic: str) -> None:
        """While the consumer's own thread waits in a poll."""
        publish(log, topic, numbered(b"k", 3))
        consumer = log.consumer(topic, Follower(), group="g", partitions=range(PARTITIONS))
        with ThreadPoolExecutor(1) as thread:
            asked = thread.submit(lambda: [consumer.ends(range(PARTITIONS)) for _ in range(10)])
            poll_until([consumer], asked.done, ignore)
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
        assert len(positions_of(seen, topic)) == len(seen) == 40 + 10 * PARTITIONS
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

        poll_until([], done, ignore)
        consumer.close()
        assert len(positions_of(seen, topic)) == len(seen) == 3000

    def test_beyond_the_end(self, log: Log, topic: str) -> None:
        """A log that holds less than we have applied must be told of and not be read from its end."""
        end = publish(log, topic, numbered(b"foobar", 5))[-1]
        consumer = log.consumer(topic, Follower({end.partition: 1000}), group="g", partitions=[end.partition])
        with pytest.raises(OffsetOutOfRange, match=r"offset 1000 .* 0 to 5"):
            poll_until([consumer], lambda: False, lambda chunk: expect_none(chunk.records))
        assert consumer.poll(10, 0.2).records == []
        consumer.close()

    def test_listener_that_raises(self, log: Log, topic: str) -> None:
        """Its error comes out of the poll, and it is asked again: the store was down for a moment."""
        publish(log, topic, numbered(b"k", 3))

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
            consumer = log.consumer(topic, late, group=topic, partitions=partitions)
            for _ in range(2):
                with pytest.raises(ConnectionError, match="down"):
                    poll_until([consumer], lambda: False, ignore)
            poll_until([consumer], partial(count_is, seen, 3), partial(extend, seen))
            assert (late.asked, late.held) == (3, set(range(PARTITIONS)))
            consumer.close()

    def test_listener_that_has_no_answer_yet(self, log: Log, topic: str) -> None:
        """Polls go on without records and without an error, and each asks again: a worker stays in its group."""
        publish(log, topic, numbered(b"k", 3))

        class Late(Follower):
            asked = 0
            ready = False

            def assigned(self, partitions: Sequence[int]) -> Mapping[int, int] | None:  # type: ignore[override]
                self.asked += 1
                return super().assigned(partitions) if self.ready else None

            def has_waited(self) -> bool:
                return self.asked >= 3

        for partitions in (range(PARTITIONS), None):
            late = Late()
            seen: list[Record] = []
            consumer = log.consumer(topic, late, group=topic, partitions=partitions)
            poll_until([consumer], late.has_waited, lambda chunk: expect_none(chunk.records))
            late.ready = True
            poll_until([consumer], partial(count_is, seen, 3), partial(extend, seen))
            assert late.held == set(range(PARTITIONS))
            consumer.close()
