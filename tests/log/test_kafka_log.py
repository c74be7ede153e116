"""Kafka: the suite that every log passes, and what only a broker can show."""

from __future__ import annotations

import secrets
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from everwhen.errors import TopicNotFound
from everwhen.kafka import KafkaLog
from everwhen.testing.log_conformance import PARTITIONS, PATIENCE, LogConformance, LogKit

if TYPE_CHECKING:
    from collections.abc import Callable

    from everwhen.ports.log import Log
    from everwhen.testing.parts import KafkaAddress

# Else a rebalance takes 3 seconds, and the end of a partition is told after half a second.
QUICK = {"heartbeat.interval.ms": "200", "fetch.wait.max.ms": "50"}

MOCK_CANNOT = {
    "test_describe": "the mock cluster gives topics no ids",
    "test_topic_made_anew": "the mock cluster cannot create or delete topics",
    "test_group_shares": "the mock cluster ends a rebalance when the session times out, after 45 seconds",
    "test_group_applies_each_record_once": "the mock cluster ends a rebalance when the session times out",
    "test_created_topic_has_no_problems": "the mock cluster has no settings",
    "test_the_first_record_since_an_instant": "the mock cluster has no offsets_for_times",
}


class KafkaKit:
    """Topics of random names on the run's broker."""

    def __init__(self, kafka: KafkaAddress) -> None:
        self.kafka = kafka

    def settings(self, **more: str) -> dict[str, str]:
        return {"bootstrap.servers": self.kafka.bootstrap, **more}

    def open(self) -> Log:
        return KafkaLog(self.settings(**QUICK))

    def open_narrow(self) -> Log:
        return KafkaLog(self.settings() | {"queue.buffering.max.messages": "10"})

    def opener(self) -> Callable[[], Log]:
        return partial(KafkaLog, self.kafka.url)

    def topic(self) -> str:
        name = f"log-{secrets.token_hex(6)}"
        if self.kafka.kind == "mock":
            # The mock cluster makes a topic of four partitions when it is asked for one.
            Producer(self.settings()).list_topics(name, timeout=PATIENCE)
            return name
        log = self.open()
        assert log.create_topic(name, PARTITIONS)
        log.close()
        return name

    def drop(self, topic: str) -> None:
        admin = AdminClient({**self.settings()})
        admin.delete_topics([topic])[topic].result()
        log = self.open()
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                log.describe(topic)
            except TopicNotFound:
                return
            assert time.monotonic() < deadline


@pytest.fixture
def kafka_kit(kafka: KafkaAddress) -> KafkaKit:
    """Topics of the run's broker."""
    return KafkaKit(kafka)


class TestKafkaLog(LogConformance):
    """The suite."""

    @pytest.fixture
    def kit(self, kafka_kit: KafkaKit, request: pytest.FixtureRequest) -> LogKit:
        reason = MOCK_CANNOT.get(request.node.originalname)
        if reason and kafka_kit.kafka.kind == "mock":
            pytest.skip(reason)
        return kafka_kit
