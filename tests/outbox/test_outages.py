"""The log or the service's database goes away under a relay: it waits, says so, and goes on by itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import text

from everwhen import Reader, Worker
from everwhen.connect import Relay, open_log
from everwhen.metrics import Limits, RelayMetrics
from everwhen.outbox import RelaySettings, relay, silence
from everwhen.testing.parts import Postgres, PostgresAddress, start_kafka, start_postgres
from everwhen.testing.parts.brokers import Node
from tests import ledger
from tests.ledger import Noted
from tests.outbox.conftest import T0, Service, open_service
from tests.outbox.test_outbox import records_of
from tests.worker.disturbed import terminate, until

ENTITIES = 20
QUICK = RelaySettings(batch_events=200, poll_seconds=0.05, lease_seconds=2.0)


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    """A broker that may be killed."""
    with start_kafka(kinds=["jars"]) as kafka:
        yield kafka.nodes[0]


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """A server that may be stopped."""
    with start_postgres(fsync=False) as server:
        yield server


class Scene:
    """A service that publishes all the time, a relay of its outbox, and what came of both."""

    def __init__(self, bootstrap: str, service: Service) -> None:
        self.service = service
        self.log = {"bootstrap.servers": bootstrap, "reconnect.backoff.max.ms": 100}
        self.metrics = RelayMetrics(service.topic.name)
        self.metrics.measure_seconds = 0.1
        self.told: list[str] = []
        with closing(open_log(self.log)) as log:
            log.create_topic(service.topic.name, service.topic.partitions)

    @contextmanager
    def publishing(self) -> Iterator[None]:
        """Publish events of some entities in turn, each in a transaction of its own, also while that fails."""
        ended = threading.Event()
        thread = threading.Thread(target=self._publish, args=(ended,))
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join(60)

    @contextmanager
    def relaying(self) -> Iterator[None]:
        """Run a relay, which must end well."""
        errors: list[BaseException] = []
        with Relay(self.service.topic, self.service.url, self.log, settings=QUICK, observer=self.metrics) as running:

            def run() -> None:
                try:
                    running.run()
                except BaseException as error:  # noqa: BLE001 - it is raised below
                    errors.append(error)

            thread = threading.Thread(target=run)
            thread.start()
            try:
                yield
            finally:
                running.stop()
                thread.join(60)
            assert (thread.is_alive(), errors) == (False, [])

    def value(self, name: str) -> float:
        """One of the relay's metrics."""
        return self.metrics.registry.get_sample_value(name, {"topic": self.service.topic.name}) or 0.0

    def until_more_is_sent(self) -> None:
        """Wait until the relay has noted more."""
        before = self.value("everwhen_relay_events_sent_total")
        until(lambda: self.value("everwhen_relay_events_sent_total") > before + ENTITIES, "the relay does not go on")

    def obstacles(self) -> list[str]:
        """What the relay's ``/readyz`` would say."""
        return self.metrics.obstacles(Limits(lag=60.0))

    def check(self, path: Path) -> None:
        """Relay what is left; compare what was committed, the log, and a projection of it."""
        with Relay(self.service.topic, self.service.url, self.log, settings=QUICK) as last:
            last.run(until="end")
        committed = self._committed()
        assert set(self.told) <= {each for notes in committed.values() for each in notes}
        first: dict[str, list[str]] = {}
        for entity, note in dict.fromkeys(self._records()):
            first.setdefault(entity, []).append(note)
        assert first == committed
        projection, store = ledger.projection(self.service.topic), f"sqlite:///{path / 'store.db'}"
        with Worker(projection, self.log, store) as worker:
            worker.run(until="end")
        with Reader(projection, store) as reader:
            assert {each.entity_id: each.require().notes for each in reader.snapshot()} == committed

    def _publish(self, ended: threading.Event) -> None:
        for number in count():
            note = str(number)
            while not ended.is_set():
                try:
                    with self.service.engine.begin() as connection:
                        self.service.outbox.publish(
                            connection, f"e{number % ENTITIES}", Noted(text=note), occurred_at=T0
                        )
                except Exception:  # noqa: BLE001 - the commit's own error is one of SQLAlchemy's
                    time.sleep(0.05)
                else:
                    self.told.append(note)
                    break
            if ended.wait(0.005):  # two hundred a second are load enough, and leave the servers time to start
                return

    def _committed(self) -> dict[str, list[str]]:
        asked = text("SELECT aggregateid, payload FROM everwhen.outbox ORDER BY aggregateid, version")
        found: dict[str, list[str]] = {}
        with self.service.engine.connect() as connection:
            for entity, payload in connection.execute(asked):
                found.setdefault(entity, []).append(self._note(payload))
        return found

    def _records(self) -> list[tuple[str, str]]:
        found = records_of(self.service.topic, self.log)
        return [((each.key or b"").decode(), self._note(each.value or b"")) for each in found]

    def _note(self, value: bytes) -> str:
        event = self.service.topic.codec.decode(bytes(value))
        assert isinstance(event, Noted)
        return event.text


@pytest.fixture
def scene(node: Node, postgres: PostgresAddress, kafka_topic_name: str, tmp_path: Path) -> Iterator[Scene]:
    """A service whose log may go away."""
    node.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(silence, "_PATIENCE", 0.5)
        patch.setattr(relay, "_STOP_SECONDS", 0.5)
        url = postgres.database()
        service = open_service(url, tmp_path, kafka_topic_name)
        yield Scene(node.address, service)
        service.engine.dispose()
        postgres.drop(url)


def test_a_broker_that_dies_and_comes_back(scene: Scene, node: Node, tmp_path: Path) -> None:
    """Without warning: what is published meanwhile waits, is seen to wait, and goes on in its order."""
    with scene.publishing(), scene.relaying():
        scene.until_more_is_sent()
        assert scene.obstacles() == []
        node.kill()
        until(lambda: scene.obstacles() == ["it waits for the log"], "its health does not tell")
        assert scene.value("everwhen_relay_log_away") == 1
        waiting = scene.value("everwhen_relay_waiting_events")
        until(lambda: scene.value("everwhen_relay_waiting_events") > waiting, "what waits is not measured")
        assert scene.metrics.deaths(Limits(loop=5.0)) == []
        node.start()
        scene.until_more_is_sent()
        until(lambda: scene.obstacles() == [])
    scene.check(tmp_path)


def test_a_relay_is_stopped_while_the_broker_is_away(scene: Scene, node: Node, tmp_path: Path) -> None:
    """It does not wait for what may take hours; the next one sends again what had no answer."""
    with scene.publishing():
        with scene.relaying():
            scene.until_more_is_sent()
            node.kill()
            until(lambda: scene.obstacles() != [])
            began = time.monotonic()
        assert time.monotonic() - began < 5
        node.start()
        with scene.relaying():
            scene.until_more_is_sent()
    scene.check(tmp_path)


def test_a_database_that_crashes_and_comes_back(
    node: Node, server: Postgres, kafka_topic_name: str, tmp_path: Path
) -> None:
    """Twice, under load; the relay keeps its shards, since nobody else could take them."""
    node.start()
    service = open_service(server.database(), tmp_path, kafka_topic_name)
    scene = Scene(node.address, service)
    with scene.publishing(), scene.relaying():
        for _ in range(2):
            scene.until_more_is_sent()
            server.stop_immediate()
            until(lambda: scene.obstacles() == ["it waits for the database"], "its health does not tell")
            server.restart()
            scene.until_more_is_sent()
            until(lambda: scene.obstacles() == [])
    scene.check(tmp_path)
    service.engine.dispose()


def test_a_relay_whose_connections_are_ended(scene: Scene, tmp_path: Path) -> None:
    """The relay's connections are ended ten times, wherever it stands, also inside what notes a batch."""
    with scene.publishing(), scene.relaying():
        for _ in range(10):
            scene.until_more_is_sent()
            until(lambda: terminate(scene.service.url) > 0)
        scene.until_more_is_sent()
    scene.check(tmp_path)
