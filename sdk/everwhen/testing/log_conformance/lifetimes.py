"""How a log, its writers and its consumers must end."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from everwhen.errors import ClosedError
from everwhen.ports.log import Log, LogConsumer, LogWriter
from everwhen.testing.forks import assert_refused_in_child
from everwhen.testing.log_conformance.kit import PATIENCE, LogKit, Suite
from everwhen.testing.log_conformance.tools import (
    Answers,
    Follower,
    numbered,
    read_all,
)


class Lifetimes(Suite):
    """How a log, its writers and its consumers must end."""

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
        for key, value, headers in numbered(b"k", 100):
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
        assert_refused_in_child(_uses(writer, consumer, log, topic), [writer.close, consumer.close, log.close])
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
        lambda: consumer.ends([0], pending=True),
        lambda: log.describe(topic),
        lambda: log.writer(topic),
        lambda: log.consumer(topic, Follower(), group="g"),
        lambda: log.create_topic(topic, 1),
        lambda: log.topic_problems(topic),
    ]
