"""The worker on a real broker and a real PostgreSQL: groups, slow handlers, gaps, restarts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from everwhen import Projection, Publisher, Reader, Status, Topic, Worker, WorkerSettings
from everwhen.connect import open_log
from everwhen.errors import TopicSettingsError
from everwhen.instants import to_micros
from everwhen.ports.clock import SystemClock
from everwhen.positions import Position
from everwhen.testing.parts import KafkaAddress
from tests import ledger
from tests.ledger import Ledger, Noted, Reset

T0 = datetime(2026, 3, 1, tzinfo=UTC)
PATIENCE = 60


class Servers:
    """A topic on the broker, an empty database, and how to work with them."""

    def __init__(self, kafka: KafkaAddress, database: str, topic: str, schemas: Path, partitions: int = 4) -> None:
        self.bootstrap = kafka.bootstrap
        self.log = f"kafka://{kafka.bootstrap}"
        self.store = database
        self.topic: Topic = ledger.topic(schemas, topic, partitions)
        self.projection = ledger.projection(self.topic)
        log = open_log(self.log)
        log.create_topic(topic, partitions)
        log.close()

    def publish(self, text: str, entities: int = 8, at: int = 0) -> list[Position]:
        with Publisher(self.topic, self.log) as publisher:
            receipts = [
                publisher.publish(f"e{i}", Noted(text=text), occurred_at=T0 + timedelta(hours=at))
                for i in range(entities)
            ]
            return [receipt.position for receipt in receipts]

    def notes(self, entities: int = 8) -> dict[str, list[str]]:
        with Reader(self.projection, self.store) as reader:
            return {f"e{i}": reader.get(f"e{i}").require().notes for i in range(entities)}

    def settings(self, **more: Any) -> dict[str, Any]:
        return {"bootstrap.servers": self.bootstrap, **more}


@pytest.fixture
def servers(real_kafka: KafkaAddress, postgres_url: str, kafka_topic_name: str, tmp_path: Path) -> Servers:
    """A fresh topic and a fresh database."""
    return Servers(real_kafka, postgres_url, kafka_topic_name, tmp_path)


@contextmanager
def running(*workers: Worker) -> Iterator[list[BaseException]]:
    """Run workers in threads; stop them at the end."""
    errors: list[BaseException] = []

    def run(worker: Worker) -> None:
        try:
            worker.run()
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            errors.append(error)

    threads = [threading.Thread(target=run, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    try:
        yield errors
    finally:
        for worker in workers:
            worker.stop()
        for thread in threads:
            thread.join(PATIENCE)
        for worker in workers:
            worker.close()


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, with a deadline."""
    deadline = time.monotonic() + PATIENCE
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "the condition was not met in time"
        pause.wait(0.02)


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_worker_that_joins_takes_partitions_over_and_nothing_is_lost_or_doubled(
    servers: Servers, protocol: str
) -> None:
    """Cooperative rebalancing, and the protocol of KIP-848, while events are published."""
    settings = servers.settings(**{"group.protocol": protocol})
    first, second = (Worker(servers.projection, settings, servers.store) for _ in range(2))
    with Reader(servers.projection, servers.store) as reader, running(first) as errors:
        for position in servers.publish("0"):
            reader.wait_for(position, timeout=PATIENCE)
        with running(second) as more_errors:
            number = 0
            while not second._inbox.owned() or number < 5:
                number += 1
                for position in servers.publish(str(number), at=number):
                    reader.wait_for(position, timeout=PATIENCE)
                assert number < 500, "the second worker was given nothing"
            shared = {o.partition for o in first._inbox.owned()}, {o.partition for o in second._inbox.owned()}
            assert shared[0].isdisjoint(shared[1])
        for position in servers.publish("last", at=number + 1):
            reader.wait_for(position, timeout=PATIENCE)
    assert errors == more_errors == []
    expected = [*(str(i) for i in range(number + 1)), "last"]
    assert servers.notes() == {f"e{i}": expected for i in range(8)}


def test_a_handler_slower_than_the_poll_interval_keeps_its_partitions(servers: Servers) -> None:
    """The polling thread goes on while a batch is folded, so the group never thinks that the worker is dead."""
    entered, leave = threading.Event(), threading.Event()
    slow: Projection[Ledger] = Projection(
        "slow", version=1, topic=servers.topic, state=Ledger, ignore=[ledger.Wiped, ledger.Poison, ledger.Skipped]
    )

    @slow.on(Noted)
    def noted(state: Ledger | None, event: Noted) -> Ledger:
        return Ledger(notes=[*(state.notes if state else []), event.text])

    @slow.on(Reset)
    def reset(state: Ledger | None, event: Reset) -> Ledger:
        entered.set()
        leave.wait(PATIENCE)
        return Ledger(notes=["slept"])

    limits = {"session.timeout.ms": 1500, "heartbeat.interval.ms": 300, "max.poll.interval.ms": 1500}
    worker = Worker(slow, servers.settings(**limits), servers.store)
    with running(worker) as errors, Reader(slow, servers.store) as reader:
        for position in servers.publish("before"):
            reader.wait_for(position, timeout=PATIENCE)
        before = {owned.partition: owned.claim.owner for owned in worker._inbox.owned()}
        with Publisher(servers.topic, servers.log) as publisher:
            receipt = publisher.publish("e0", Reset(), occurred_at=T0 + timedelta(days=1))
        assert entered.wait(PATIENCE)
        # Three poll intervals: time itself is what is tried here.
        threading.Event().wait(4.5)
        leave.set()
        reader.wait_for(receipt, timeout=PATIENCE)
        assert {owned.partition: owned.claim.owner for owned in worker._inbox.owned()} == before
    assert errors == []


def test_aborted_transactions_are_not_seen_and_the_checkpoint_moves_past_their_markers(servers: Servers) -> None:
    """``until="end"`` ends although the last offsets of the log hold nothing that is delivered."""
    (position, *_) = servers.publish("kept", entities=1)
    producer = Producer({"bootstrap.servers": servers.bootstrap, "transactional.id": servers.topic.name})
    producer.init_transactions(PATIENCE)
    for commit in (False, True, False):
        producer.begin_transaction()
        record = ledger.Writer(servers.topic).record(
            0, "e0", Noted(text=str(commit)), occurred_at=1, event_id=str(commit)
        )
        producer.produce(
            servers.topic.name,
            key=record.key,
            value=record.value,
            headers=list(record.headers),
            partition=position.partition,
        )
        producer.flush(PATIENCE)
        (producer.commit_transaction if commit else producer.abort_transaction)(PATIENCE)
    with Worker(servers.projection, servers.log, servers.store) as worker:
        done = worker.run(until="end")
    assert done.tally.applied == 2
    assert servers.notes(1) == {"e0": ["True", "kept"]}
    with Reader(servers.projection, servers.store) as reader:
        assert reader.get("e0").basis.next_offset(position.partition) == 7


class Ahead:
    """A clock that is ahead of the machine's, so that a look reaches beyond what was just recorded."""

    def now(self) -> int:
        return SystemClock().now() + 3600 * 1_000_000


@pytest.mark.parametrize("commit", [True, False], ids=["committed", "aborted"])
def test_a_partition_is_not_idle_while_a_transaction_is_open(servers: Servers, commit: bool) -> None:
    """Its records carry an earlier time than its commit: known_at must not get past them before they can be seen."""
    (position, *_) = servers.publish("0", entities=1)
    producer = Producer({"bootstrap.servers": servers.bootstrap, "transactional.id": servers.topic.name})
    producer.init_transactions(PATIENCE)
    producer.begin_transaction()
    written = ledger.Writer(servers.topic).record(0, "e0", Noted(text="1"), occurred_at=1, event_id="pending")
    producer.produce(
        servers.topic.name,
        key=written.key,
        value=written.value,
        headers=list(written.headers),
        partition=position.partition,
    )
    producer.flush(PATIENCE)
    known_at = datetime.now(UTC) + timedelta(minutes=30)
    settings = WorkerSettings(idle_seconds=0)
    before, after = (
        Worker(servers.projection, servers.log, servers.store, clock=Ahead(), settings=settings) for _ in range(2)
    )
    with before:
        before.run(until="end")
    with Reader(servers.projection, servers.store) as reader:
        others = set(range(4)) - {position.partition}
        assert _complete_until(reader, known_at) == others
        assert reader.get("e0", known_at=known_at).status is Status.NOT_YET_PROJECTED
        assert reader.get("nobody", known_at=known_at).status is Status.NOT_YET_PROJECTED
        (producer.commit_transaction if commit else producer.abort_transaction)(PATIENCE)
        with running(after) as errors:
            until(lambda: _complete_until(reader, known_at) == others | {position.partition})
        assert errors == []
        assert reader.get("e0", known_at=known_at).require().notes == (["1", "0"] if commit else ["0"])
        assert reader.get("nobody", known_at=known_at).status is Status.NEVER_EXISTED


def _complete_until(reader: Reader[Ledger], instant: datetime) -> set[int]:
    """Return the partitions that are complete up to an instant."""
    marks = reader._reader().marks()
    return {partition for partition, mark in marks.items() if mark.watermark >= to_micros(instant, "instant")}


def test_a_topic_with_unsafe_settings_is_refused_unless_accepted(
    real_kafka: KafkaAddress, servers: Servers, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Compaction would lose history: the message names the setting; ``accept_topic`` makes a warning of it."""
    name = servers.topic.name + "-compacted"
    admin = AdminClient({"bootstrap.servers": real_kafka.bootstrap})
    made = admin.create_topics([NewTopic(name, num_partitions=1, config={"cleanup.policy": "compact"})])
    made[name].result(PATIENCE)
    until(lambda: name in admin.list_topics(timeout=PATIENCE).topics)
    projection = ledger.projection(ledger.topic(tmp_path / "other", name, 1))
    with Worker(projection, servers.log, servers.store) as worker, pytest.raises(TopicSettingsError, match="cleanup"):
        worker.run(until="end")
    accepting = WorkerSettings(accept_topic=True)
    with Worker(projection, servers.log, servers.store, settings=accepting) as worker:
        worker.run(until="end")
    assert "cleanup" in caplog.text
