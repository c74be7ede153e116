"""Three brokers, of which each dies once while events are published and projected."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from everwhen import Publisher, Reader, Topic, Worker, WorkerSettings
from everwhen.connect import open_log
from everwhen.testing.parts import Kafka, PartsError, start_kafka
from tests import ledger
from tests.ledger import Noted

ENTITIES = [f"e{number}" for number in range(6)]
BETWEEN = 60
"""Events that have to be acknowledged while a node is down, and again after it is back."""
T0 = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def cluster() -> Iterator[Kafka]:
    """Three brokers of our own, whose nodes can be killed."""
    try:
        kafka = start_kafka(nodes=3, kinds=["jars"])
    except PartsError as reason:
        pytest.skip(str(reason))
    with kafka:
        yield kafka


class Sender:
    """Publishes notes and remembers, for each entity, those that were acknowledged, in order."""

    def __init__(self, topic: Topic, log: Any) -> None:
        self.acknowledged: dict[str, list[str]] = defaultdict(list)
        self._publisher = Publisher(topic, log)
        self._count = 0

    def send(self, number: int) -> None:
        """Publish so many events and wait for all of them."""
        receipts = []
        for _ in range(number):
            entity, text = ENTITIES[self._count % len(ENTITIES)], str(self._count)
            receipts.append((entity, text, self._publisher.publish(entity, Noted(text=text), occurred_at=T0)))
            self._count += 1
        for entity, text, receipt in receipts:
            assert receipt.position
            self.acknowledged[entity].append(text)

    def close(self) -> None:
        """Close the publisher."""
        self._publisher.close()


def test_elections_lose_double_and_reorder_nothing(cluster: Kafka, tmp_path: Path) -> None:
    """Each leader dies once under load: every event is acknowledged, and projected once and in order."""
    topic, store = ledger.topic(tmp_path / "schemas", partitions=3), f"sqlite:///{tmp_path}/store.db"
    log = {"bootstrap.servers": cluster.address.bootstrap}
    opened = open_log(log)
    opened.create_topic(topic.name, 3, replication=3)
    opened.close()
    projection = ledger.projection(topic)
    sender = Sender(topic, log)
    with Worker(projection, log, store, settings=WorkerSettings(batch_records=10)) as worker:
        running = threading.Thread(target=worker.run)
        running.start()
        sender.send(BETWEEN)
        for node in cluster.nodes:
            node.kill()
            sender.send(BETWEEN)
            node.start()
            sender.send(BETWEEN)
        sender.close()
        worker.stop()
        running.join(60)
    with Worker(projection, log, store) as last:
        last.run(until="end")
    with Reader(projection, store) as reader:
        projected = {entity: reader.get(entity, valid_at=T0).require().notes for entity in ENTITIES}
    assert projected == sender.acknowledged
