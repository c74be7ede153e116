"""What a log's writers must do."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from everwhen.errors import EventTooLarge, EverwhenError
from everwhen.ports.log import Header, Log
from everwhen.positions import Position
from everwhen.testing.log_conformance.kit import JAVA_MURMUR2, PARTITIONS, PATIENCE, LogKit, Suite
from everwhen.testing.log_conformance.tools import (
    Answers,
    numbered,
    positions_of,
    publish,
    read_all,
    values_by_key,
)

_MICROS = 1_000_000


class Writing(Suite):
    """What a log's writers must do."""

    def test_records_of_a_key_keep_their_order(self, log: Log, topic: str) -> None:
        """Whatever lies between them."""
        keys = [b"a", b"b", b"c"]
        publish(log, topic, ((keys[n % 3], b"%d" % n, []) for n in range(900)))
        for index, key in enumerate(keys):
            assert values_by_key(read_all(log, topic))[key] == [b"%d" % n for n in range(index, 900, 3)]

    def test_acknowledged_is_where_it_is_read(self, log: Log, topic: str) -> None:
        """A receipt's position is the record's own, and no two are the same."""
        positions = publish(log, topic, ((b"k%d" % n, b"%d" % n, []) for n in range(300)))
        records = {(record.partition, record.offset): record.value for record in read_all(log, topic)}
        assert len(set(positions)) == 300
        assert [records[place.partition, place.offset] for place in positions] == [b"%d" % n for n in range(300)]
        assert {place.topic for place in positions} == {topic}

    def test_a_writer_knows_which_topic_it_writes(self, log: Log, topic: str) -> None:
        """By the ids that tell it from another one of its name, after it was closed too: tokens hold them."""
        writer = log.writer(topic)
        assert writer.described == log.describe(topic)
        writer.close()
        assert writer.described.name == topic

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
            for _, value, headers in numbered(key, 500):
                writer.send(key, value, headers, answers)

        with ThreadPoolExecutor(3) as threads:
            list(threads.map(write, [b"t1", b"t2", b"t3"]))
        assert writer.flush(PATIENCE) == 0
        writer.close()
        records = read_all(log, topic)
        assert not answers.errors
        assert set(answers.positions) == positions_of(records, topic)
        assert len(records) == 1500
        for key, values in values_by_key(records).items():
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
        values = values_by_key(read_all(log, topic))
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

    def test_size_limit_of_headers(self, log: Log, topic: str) -> None:
        """One byte too much in the headers is refused before it is sent, and the next record is taken."""
        writer = log.writer(topic)
        answers = Answers()
        content = bytes(writer.size_limit + 1 - len(b"key") - len(b"value") - len("näme".encode()))
        with pytest.raises(EventTooLarge, match="limit"):
            writer.send(b"key", b"value", [("näme", content)], answers)
        writer.send(b"key", b"next", [("name", bytes(writer.size_limit // 2))], answers)
        assert writer.flush(PATIENCE) == 0
        writer.close()
        assert not answers.errors
        assert [record.value for record in read_all(log, topic)] == [b"next"]

    def test_send_waits_for_room(self, kit: LogKit, topic: str) -> None:
        """A full queue holds the sender up and loses nothing."""
        log = kit.open_narrow()
        assert len(publish(log, topic, numbered(b"k", 300))) == 300
        assert [record.value for record in read_all(log, topic)] == [b"%d" % n for n in range(300)]
        log.close()

    def test_send_hands_out(self, log: Log, topic: str) -> None:
        """Who only sends, slowly and for ever, learns of what was acknowledged."""
        writer = log.writer(topic)
        answers = Answers()
        deadline = time.monotonic() + PATIENCE
        sent = 0
        while not answers.positions:
            assert time.monotonic() < deadline
            writer.send(b"k", b"v", [], answers)
            sent += 1
            time.sleep(0.002)
        assert writer.flush(PATIENCE) == 0
        writer.close()
        assert len(answers.positions) == sent

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


def _append(opener: Callable[[], Log], topic: str, key: bytes, count: int) -> None:
    """Append from another process."""
    log = opener()
    try:
        publish(log, topic, numbered(key, count))
    finally:
        log.close()
