"""Three brokers, of which each dies once while events are published and projected."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient

from everwhen import Publisher, Reader, Topic, Worker, WorkerSettings
from everwhen.connect import open_log
from everwhen.errors import LogUnavailable, TopicNotFound
from everwhen.kafka import admin
from everwhen.ports.log import Bounds
from everwhen.testing.parts import Kafka, PartsError, start_kafka
from tests import ledger
from tests.ledger import Noted

ENTITIES = [f"e{number}" for number in range(6)]
BETWEEN = 60
"""Events that have to be acknowledged while a node is down, and again after it is back."""
T0 = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
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
    failed: list[BaseException] = []
    began = threading.Event()
    settings = WorkerSettings(batch_records=10)
    with Worker(projection, log, store, settings=settings, progress=lambda _: began.set()) as worker:
        running = threading.Thread(target=_run, args=(worker, failed))
        running.start()
        sender.send(BETWEEN)
        assert began.wait(60), failed
        for node in cluster.nodes:
            node.kill()
            sender.send(BETWEEN)
            node.start()
            sender.send(BETWEEN)
        sender.close()
        worker.stop()
        running.join(60)
    assert failed == []
    with Worker(projection, log, store) as last:
        last.run(until="end")
    with Reader(projection, store) as reader:
        projected = {entity: reader.get(entity, valid_at=T0).require().notes for entity in ENTITIES}
    assert projected == sender.acknowledged


def test_a_broker_that_has_not_heard_of_a_topic_is_not_believed(
    cluster: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Right after a topic was made, a broker may say that there is none; one that is missing is missed all the same."""
    asked, ignorant = admin._topic, [2]

    def question(topic: str, within: float = 15.0) -> Callable[[AdminClient], Any]:
        if topic == "news" and ignorant[0]:
            ignorant[0] -= 1
            return asked("nowhere", within)
        return asked(topic, within)

    with closing(open_log({"bootstrap.servers": cluster.address.bootstrap})) as opened:
        opened.create_topic("news", 3, replication=3)
        monkeypatch.setattr(admin, "_topic", question)
        assert opened.describe("news").partitions == 3
        assert ignorant == [0]
        with pytest.raises(TopicNotFound, match="no such topic"):
            opened.describe("none")


def test_a_leader_that_died_just_now_is_not_taken_for_an_end(cluster: Kafka) -> None:
    """Where a partition begins and ends is then not known, and no number: a worker would find the log cut off there."""
    opened = open_log({"bootstrap.servers": cluster.address.bootstrap})
    opened.create_topic("alone", 3, replication=1)
    everywhere = dict.fromkeys(range(3), Bounds(0, 0))
    assert opened.bounds("alone", [0, 1, 2]) == everywhere
    node = cluster.nodes[0]
    node.kill()
    with pytest.raises(LogUnavailable, match=r"leader|Leader"):
        opened.bounds("alone", [0, 1, 2])
    # Once the others know it, another error tells it of a question that is about nothing else.
    with pytest.raises(LogUnavailable, match=r"leader|Leader"):
        opened.bounds("alone", _without_leader(cluster.nodes[1].address, "alone"))
    node.start()
    opened.close()


def _without_leader(bootstrap: str, topic: str) -> list[int]:
    """Wait until the cluster says of some partitions that nobody leads them; return these."""
    client = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = client.list_topics(topic, timeout=10).topics[topic].partitions
        if alone := [number for number, each in found.items() if each.leader < 0]:
            return alone
    raise TimeoutError("the cluster does not notice that a node is gone")


def _run(worker: Worker, failed: list[BaseException]) -> None:
    try:
        worker.run()
    except BaseException as error:  # noqa: BLE001 - the test looks at it
        failed.append(error)
