"""A real broker whose log is not what it was: retention, a cut segment, a topic made again, another cluster."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions

from everwhen.errors import (
    ClusterReplaced,
    EverwhenError,
    LogDiverged,
    LogGap,
    Repartitioned,
    TopicRecreated,
)
from everwhen.testing.parts import KafkaAddress, start_kafka
from everwhen.testing.parts.brokers import Node
from tests.running import running
from tests.worker.scenes import Scene

PATIENCE = 60


@pytest.fixture
def scene(real_kafka: KafkaAddress, kafka_topic_name: str, tmp_path: Path) -> Scene:
    """A fresh topic on the broker, and a store in a file."""
    return Scene(tmp_path, real_kafka.url, f"sqlite:///{tmp_path}/store.db", topic=kafka_topic_name)


@pytest.fixture
def client(real_kafka: KafkaAddress) -> AdminClient:
    """Kafka's own means of administration."""
    return AdminClient({"bootstrap.servers": real_kafka.bootstrap})


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    """A broker that may be killed, and its files cut."""
    kafka = start_kafka(kinds=["jars"])
    yield kafka.nodes[0]
    kafka.stop()


@pytest.fixture
def own(node: Node, kafka_topic_name: str, tmp_path: Path) -> Scene:
    """A fresh topic on that broker."""
    node.start()
    return Scene(
        tmp_path,
        {"bootstrap.servers": node.address, "reconnect.backoff.max.ms": 100},
        f"sqlite:///{tmp_path}/store.db",
        topic=kafka_topic_name,
        partitions=1,
    )


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition, with a deadline."""
    deadline = time.monotonic() + PATIENCE
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, what
        pause.wait(0.02)


def projected(scene: Scene, entity: str) -> Callable[[], bool]:
    """Whether the last note of an entity is in the store."""
    last = scene.last[entity]

    def look() -> bool:
        with suppress(EverwhenError):
            return scene.notes(entity)[-1] == last
        return False

    return look


def cut(scene: Scene, node: Node, keep: float) -> None:
    """Kill the broker, take the end of the only partition's segment away, and start the broker again."""
    node.kill()
    (segment,) = node._directory.glob(f"node-*/{scene.topic.name}-0/*.log")
    os.truncate(segment, int(segment.stat().st_size * keep))
    node.start()


def recreate(scene: Scene, client: AdminClient) -> None:
    """Delete the topic and make it again; returns when the brokers know the new one."""
    name = scene.topic.name
    client.delete_topics([name])[name].result()

    def made() -> bool:
        with suppress(KafkaException, EverwhenError):
            scene.create(scene.topic.partitions or 1)
            return name in client.list_topics(timeout=PATIENCE).topics
        return False

    until(made, "the topic was not made again")


def test_records_that_were_removed_before_they_were_applied_are_a_gap(scene: Scene, client: AdminClient) -> None:
    """delete_records past the checkpoint: the other partition is read to its end."""
    homes = scene.fill()
    assert scene.project() is None
    stands = scene.get(homes[0]).basis.next_offset(0)
    scene.publish(*[homes[0]] * 4, *[homes[1]] * 4)
    gone = TopicPartition(scene.topic.name, 0, stands + 3)
    client.delete_records([gone])[gone].result()
    error = scene.project()
    assert isinstance(error, LogGap)
    assert (error.from_offset, error.to_offset) == (stands, stands + 3)
    assert scene.incomplete(homes[0]) == f"LogGap at {scene.topic.name}[0]@{stands}"
    assert projected(scene, homes[1])()
    assert scene.incomplete(homes[1]) is None


def test_a_log_that_lost_its_tail_is_known_when_the_worker_starts(own: Scene, node: Node) -> None:
    """It ends before the store; filled again beyond that, its last record and its leader's term give it away."""
    (entity,) = own.fill(notes=20).values()
    assert own.project() is None
    before = own.notes(entity)
    cut(own, node, 0.6)
    error = own.project()
    assert isinstance(error, LogDiverged)
    assert error.to_offset is not None
    assert error.from_offset is not None
    assert error.to_offset < error.from_offset
    own.publish(*[entity] * 40)
    error = own.project()
    assert isinstance(error, LogDiverged)
    assert "holds another record than the one that was applied" in str(error)
    assert own.notes(entity) == before
    assert own.incomplete(entity) == f"LogDiverged at {own.topic.name}[0]@{len(before)}"


def test_a_log_that_loses_its_tail_while_it_is_read_stops_the_worker(own: Scene, node: Node) -> None:
    """It is filled again before the worker looks, so that every offset that it asks for is there."""
    (entity,) = own.fill(notes=20).values()
    with running(own.worker(idle_seconds=0.2)) as errors:
        until(projected(own, entity), "nothing was projected")
        before = own.notes(entity)
        cut(own, node, 0.6)
        own.publish(*[entity] * 60)
        until(lambda: bool(errors), "the worker went on")
    (error,) = errors
    assert isinstance(error, LogDiverged)
    assert own.notes(entity) == before
    assert own.incomplete(entity) == f"LogDiverged at {own.topic.name}[0]@{len(before)}"


def test_an_orderly_restart_of_the_broker_is_no_divergence(own: Scene, node: Node) -> None:
    """The leader has a new term, and the records keep theirs."""
    (entity,) = own.fill().values()
    with running(own.worker(idle_seconds=0.2)) as errors:
        until(projected(own, entity), "nothing was projected")
        node.stop()
        node.start()
        own.publish(entity)
        until(projected(own, entity), "the worker did not go on")
    own.publish(entity)
    assert own.project() is None
    assert errors == []
    assert projected(own, entity)()


def test_another_cluster_is_refused(own: Scene, scene: Scene) -> None:
    """The same topic name on a second broker; whoever has the right one goes on."""
    (entity,) = own.fill().values()
    assert own.project() is None
    scene.topic = own.topic
    scene.create(1)
    own.publish(entity, log=scene.log)
    error = own.project(log=scene.log)
    assert isinstance(error, ClusterReplaced)
    assert own.incomplete(entity) is None
    own.publish(entity)
    assert own.project() is None
    assert projected(own, entity)()


@pytest.mark.parametrize("while_running", [True, False], ids=["while-running", "while-stopped"])
def test_a_topic_that_was_made_again_is_not_read_on(scene: Scene, client: AdminClient, while_running: bool) -> None:
    """Not one record of the new topic is applied, though the offsets that come next are there."""
    homes = scene.fill()
    if while_running:
        with running(scene.worker(idle_seconds=0.2)) as errors:
            for entity in homes.values():
                until(projected(scene, entity), "nothing was projected")
            before = [scene.notes(entity) for entity in homes.values()]
            recreate(scene, client)
            scene.publish(*[*homes.values()] * 20)
            until(lambda: bool(errors), "the worker went on")
    else:
        assert scene.project() is None
        before = [scene.notes(entity) for entity in homes.values()]
        recreate(scene, client)
        scene.publish(*[*homes.values()] * 20)
        errors = [scene.project() or AssertionError()]
    if "deleted" in str(errors[0]) and not isinstance(errors[0], TopicRecreated):
        errors = [scene.project() or AssertionError()]  # it looked while there was no topic at all
    assert isinstance(errors[0], TopicRecreated)
    assert [scene.notes(entity) for entity in homes.values()] == before
    assert all("TopicRecreated" in str(scene.incomplete(entity)) for entity in homes.values())


def test_new_partitions_are_not_read_and_the_old_ones_are(scene: Scene, client: AdminClient) -> None:
    """While a worker runs: every answer is incomplete from then on, since an entity may go on in a new partition."""
    homes = scene.fill()
    with running(scene.worker(idle_seconds=0.2)) as errors:
        until(projected(scene, homes[1]), "nothing was projected")
        client.create_partitions([NewPartitions(scene.topic.name, 4)])[scene.topic.name].result()
        until(lambda: len(client.list_topics(scene.topic.name).topics[scene.topic.name].partitions) == 4, "no more")
        while not all(scene.incomplete(entity) for entity in homes.values()):
            scene.publish(*homes.values(), "a", "b", "c", "d")
    assert [type(error) for error in errors] == [Repartitioned]
    assert "everwhen continuity accept-partitions MODULE:ledger" in str(errors[0])
    error = scene.project()
    assert isinstance(error, Repartitioned)
    assert str(scene.incomplete("nobody")).startswith(f"Repartitioned at {scene.topic.name}[2]@0")
    assert {scene.get("nobody").basis.next_offset(partition) for partition in (2, 3)} == {0}
