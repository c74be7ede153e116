"""What a log must know of its topics."""

from __future__ import annotations

import pytest

from everwhen.errors import TopicNotFound
from everwhen.ports.log import Log
from everwhen.testing.log_conformance.kit import PARTITIONS, LogKit, Suite
from everwhen.testing.log_conformance.tools import (
    Follower,
    numbered,
    publish,
    read_all,
)


class Topics(Suite):
    """What a log must know of its topics."""

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
        publish(log, topic, numbered(b"k", 3))
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
        """What we create passes our own check, and is kept for ever."""
        assert log.topic_problems(topic) == []
        kept = log.retention(topic)
        assert kept is None or not kept.is_finite

    def test_the_first_record_since_an_instant(self, log: Log, topic: str) -> None:
        """In each partition, at every instant at which it makes a difference; none behind the last."""
        assert log.first_since(topic, dict.fromkeys(range(PARTITIONS), 0)) == {}
        for n in range(4):
            publish(log, topic, numbered(b"a", 2) if n % 2 else numbered(b"b", 1))
        records = read_all(log, topic)
        times = {record.timestamp for record in records}
        for instant in {0} | times | {time + 1 for time in times}:
            expected: dict[int, tuple[int, int]] = {}
            for record in sorted(records, key=lambda each: each.offset):
                if record.timestamp >= instant:
                    expected.setdefault(record.partition, (record.offset, record.timestamp))
            assert log.first_since(topic, dict.fromkeys(range(PARTITIONS), instant)) == expected
