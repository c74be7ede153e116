"""A real registry that cannot be reached for long, under load on a real broker."""

from __future__ import annotations

import logging
import threading
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from everwhen import Publisher, Reader, Status, Topic, Worker, WorkerSettings
from everwhen.connect import open_log
from everwhen.errors import RegistryUnavailable
from everwhen.positions import Position
from everwhen.projection import Tally
from everwhen.registry import Registry
from everwhen.testing.parts import KafkaAddress, RegistryAddress
from everwhen.worker import Progress
from tests.proxy import Proxy
from tests.registry import bank
from tests.worker.disturbed import until

ENTITIES = [f"e{number}" for number in range(8)]
LIMITS = {"session.timeout.ms": 1500, "heartbeat.interval.ms": 300, "max.poll.interval.ms": 1500}


class Load:
    """Publishes events of one type for some entities in turn, without a pause."""

    def __init__(self, publisher: Publisher) -> None:
        self.published = 0
        self._publisher = publisher
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def end(self) -> None:
        """Publish no more."""
        self._ended.set()
        self._thread.join(60)

    def _run(self) -> None:
        for number in count():
            if self._ended.wait(0.002):
                return
            self._publisher.publish(ENTITIES[number % len(ENTITIES)], bank.Opened(owner=str(number)))
            self.published += 1


class Projecting:
    """A worker in a thread, which reads what was published and keeps count."""

    def __init__(self, topic: Topic, bootstrap: str, registry: Registry, directory: Path) -> None:
        self.projection = bank.projection(topic)
        self.store = f"sqlite:///{directory}/store.db"
        self.progress = Progress(0, None, Tally())
        self.worker = Worker(
            self.projection,
            {"bootstrap.servers": bootstrap, **LIMITS},
            self.store,
            settings=WorkerSettings(schema_patience_seconds=0.0, batch_records=50),
            progress=self._note,
            registry=registry,
        )
        self._thread = threading.Thread(target=self.worker.run)
        self._thread.start()

    def next(self) -> dict[int, int]:
        """Where each partition stands."""
        return {each.partition: each.mark.next_offset for each in self.worker._inbox.owned()}

    def owners(self) -> dict[int, str]:
        """The token of each claim: a new one would show that the group was left."""
        return {each.partition: each.claim.owner for each in self.worker._inbox.owned()}

    def end(self) -> None:
        """Stop it; it must be running."""
        assert self._thread.is_alive()
        self.worker.stop()
        self._thread.join(60)
        self.worker.close()

    def _note(self, progress: Progress) -> None:
        self.progress = progress


def test_a_registry_that_is_away_for_long_stops_what_is_new_and_nothing_else(
    registry: RegistryAddress, real_kafka: KafkaAddress, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Known ids go on, a new one stops its partition for as long, the group keeps its member; then all goes on."""
    caplog.set_level(logging.INFO, "everwhen")
    topic = bank.topic(tmp_path / "schemas")
    real = urlsplit(registry.url)
    way = Proxy(str(real.hostname), real.port or 80)
    url = real._replace(netloc=f"127.0.0.1:{way.port}").geturl()
    named = Registry({"url": url, "timeout": 2, "max.retries": 0}, cache=None, register=True)
    log = open_log(real_kafka.url)
    log.create_topic(topic.name, topic.partitions)
    log.close()
    with way, Publisher(topic, real_kafka.url, registry=named) as publisher:
        running = Projecting(topic, real_kafka.bootstrap, named, tmp_path)
        load = Load(publisher)
        until(lambda: len(running.next()) == 2 and all(running.next().values()))
        before, client = running.owners(), named.client()
        way.refuse()
        with pytest.raises(RegistryUnavailable):
            client.versions(topic.name)
        _go_on(running, [0, 1])
        stopped = publisher.publish("e0", bank.Closed()).position
        until(lambda: running.next()[stopped.partition] == stopped.offset)
        threading.Event().wait(2.0)  # longer than the poll interval: time itself is what is tried here
        _go_on(running, [1 - stopped.partition])
        assert (running.next()[stopped.partition], running.owners()) == (stopped.offset, before)
        way.refuse(False)
        until(lambda: running.next()[stopped.partition] > stopped.offset)
        load.end()
        assert [each.version for each in client.versions(f"{topic.name}-bank.account.closed")] == [1]
        client.close()
        until(lambda: running.progress.records == load.published + 1)
        assert running.owners() == before
        running.end()
    assert sum("schema.awaited for as long as its registry is away" in line for line in caplog.messages) == 1
    tally = running.progress.tally
    assert (tally.applied, tally.duplicates) == (load.published + 1, 0)
    _check(running, load, stopped)


def _go_on(running: Projecting, partitions: list[int]) -> None:
    """Wait until these partitions are further on than now."""
    before = running.next()
    until(lambda: all(running.next()[number] > before[number] + 50 for number in partitions), "it does not go on")


def _check(running: Projecting, load: Load, stopped: Position) -> None:
    """Every event is a version of its entity, in order."""
    with Reader(running.projection, running.store) as reader:
        for number, entity in enumerate(ENTITIES):
            told = [str(each) for each in range(number, load.published, len(ENTITIES))]
            history = list(reader.history(entity))
            found = [each.state.owner for each in history if each.state is not None]
            assert found == told
            closed = [each.position for each in history if each.state is None]
            assert closed == ([stopped] if entity == "e0" else [])
        assert reader.get("e1").status is Status.FOUND
