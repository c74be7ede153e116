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
        """What we create passes our own check."""
        assert log.topic_problems(topic) == []
