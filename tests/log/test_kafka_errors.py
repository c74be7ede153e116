"""librdkafka's errors become ours in one place, with a remedy. No broker is needed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from everwhen.errors import (
    EventTooLarge,
    LogError,
    LogUnavailable,
    OffsetOutOfRange,
    PublishError,
    TopicNotFound,
)
from everwhen.kafka import KafkaSettings, logs, writer
from everwhen.kafka.admin import Admin
from everwhen.kafka.errors import error_of, translate, translate_delivery
from everwhen.ports.log import TopicDescription
from everwhen.testing.log_conformance import Answers


@pytest.mark.parametrize(
    ("code", "kind", "says"),
    [
        (KafkaError._AUTHENTICATION, LogError, "credentials"),
        (KafkaError.SASL_AUTHENTICATION_FAILED, LogError, "credentials"),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, LogError, "grant"),
        (KafkaError.GROUP_AUTHORIZATION_FAILED, LogError, "grant"),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, TopicNotFound, "everwhen topic create"),
        (KafkaError._AUTO_OFFSET_RESET, OffsetOutOfRange, "does not hold"),
        (KafkaError._LOG_TRUNCATION, OffsetOutOfRange, "does not hold"),
        (KafkaError._TRANSPORT, LogUnavailable, "reachable"),
        (KafkaError._ALL_BROKERS_DOWN, LogUnavailable, "reachable"),
        (-137, LogUnavailable, "reachable"),  # a broker was asked that left the cluster meanwhile
        (KafkaError.NOT_LEADER_FOR_PARTITION, LogUnavailable, "reachable"),
        (KafkaError._BAD_MSG, LogError, "_BAD_MSG"),
    ],
)
def test_kinds(code: int, kind: type[LogError], says: str) -> None:
    """What happened, where, and what to do; with librdkafka's own words and code."""
    error = translate(KafkaError(code, "its own words"), "topic 't' in kafka://h:1")
    assert type(error) is kind
    assert says in str(error)
    assert "topic 't' in kafka://h:1" in str(error)
    assert kind is TopicNotFound or "its own words" in str(error)


def test_fatal_is_never_transient() -> None:
    """Whatever its code, librdkafka will not recover from it."""
    error = translate(KafkaError(KafkaError._TRANSPORT, "gone", fatal=True), "here")
    assert type(error) is LogError
    assert "open a new one" in str(error)


@pytest.mark.parametrize(
    ("code", "kind", "says"),
    [
        (KafkaError.MSG_SIZE_TOO_LARGE, EventTooLarge, "max.message.bytes"),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, PublishError, "grant"),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, PublishError, "the topic is gone"),
        (KafkaError._PURGE_QUEUE, PublishError, "not sent"),
        (KafkaError._MSG_TIMED_OUT, PublishError, "may be in the log all the same"),
        (KafkaError._PURGE_INFLIGHT, PublishError, "may be in the log all the same"),
    ],
)
def test_deliveries(code: int, kind: type[PublishError], says: str) -> None:
    """It matters whether a record may be in the log or surely is not."""
    error = translate_delivery(KafkaError(code, "its own words"), "t")
    assert type(error) is kind
    assert says in str(error)


def test_exception_without_an_error() -> None:
    """Some of confluent-kafka's exceptions carry a text only."""
    assert "odd" in error_of(KafkaException("odd")).str()


class DyingProducer:
    """As confluent-kafka's behaves after a fatal error: a poll raises it, and the later ones refuse what waits."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._waiting: list[Callable[[KafkaError, None], None]] = []
        self._told = False

    def __len__(self) -> int:
        return len(self._waiting)

    def produce(self, *_: object, on_delivery: Callable[[KafkaError, None], None], **__: object) -> None:
        if self._told:
            raise KafkaException(KafkaError(KafkaError._FATAL, "Local: Fatal error", fatal=True))
        self._waiting.append(on_delivery)

    def poll(self, timeout: float) -> int:
        if not timeout:
            return 0
        if not self._told:
            self._told = True
            raise KafkaException(
                KafkaError(KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, "sequence desynchronized", fatal=True)
            )
        for on_delivery in self._waiting:
            on_delivery(KafkaError(KafkaError._PURGE_QUEUE, "Local: Purged in queue"), None)
        self._waiting.clear()
        return 1


def test_producer_that_dies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every record that waits is refused with the reason, and so is every later one; nothing waits for ever."""
    monkeypatch.setattr(writer, "Producer", DyingProducer)
    settings = KafkaSettings("kafka://h:1")
    writing = writer.KafkaWriter(settings, Admin(settings), TopicDescription("t", 1, "c", "i"))
    answers = Answers()
    for _ in range(3):
        writing.send(b"k", b"v", [], answers)
    assert writing.flush() == 0
    assert len(answers.errors) == 3
    assert all("sequence desynchronized" in str(error) for error in answers.errors)
    with pytest.raises(PublishError, match="sequence desynchronized"):
        writing.send(b"k", b"v", [], answers)
    writing.close()


def test_log_lines_are_not_repeated(caplog: pytest.LogCaptureFixture) -> None:
    """A broker that is down makes twenty a second; and no client tells of the settings that are for another kind."""
    with caplog.at_level(logging.INFO, logger="everwhen.kafka"):
        for milliseconds in range(5):
            logs.logger.error("h:1: Connect failed: test of repeats (after %dms in state CONNECT)", milliseconds)
        logs.logger.warning("acks is a producer property and will be ignored by this consumer instance")
    assert len(caplog.records) == 1
