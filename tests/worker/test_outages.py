"""PostgreSQL fails in every way that passes: the worker waits, loses nothing and applies nothing twice."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from everwhen import Worker
from everwhen.connect import open_log, open_store
from everwhen.errors import StoreError, StoreUnavailable
from everwhen.ports.clock import SystemClock
from everwhen.sql import SqlStore, Timeouts
from everwhen.testing.parts import KafkaAddress, Postgres, start_postgres
from everwhen.testing.parts.postgres import PostgresAddress
from everwhen.worker import Worker as CoreWorker
from everwhen.worker import blueprint, worker
from tests.worker.disturbed import Scene, session, terminate, until


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """A server that may be stopped."""
    with start_postgres(fsync=False) as server:
        yield server


def owners(worker: Worker) -> dict[int, str]:
    """The token of each claim: a new one would show that the group was left, or the partition given up."""
    return {owned.partition: owned.claim.owner for owned in worker._inbox.owned()}


def test_a_server_that_crashes_again_and_again(server: Postgres, undisturbed: str, tmp_path: Path) -> None:
    """Under load; each time the worker is back by itself, and its partitions were never given up."""
    store = server.database()
    scene = Scene(tmp_path, store)
    scene.publish(20)
    with scene.running(scene.worker()) as running:
        scene.until_projected()
        before = owners(running)
        for crash in range(1, 4):
            scene.begin(150)
            server.stop_immediate()
            scene.publish(10)
            scene.heard.until("store.unavailable", crash)
            server.restart()
            scene.heard.until("store.back", crash)
            scene.until_projected()
        assert owners(running) == before
    assert scene.heard.count("store.unavailable") == 3
    assert scene.heard.count("partitions.") == 1  # when it ended
    assert all("postgres:***@" in line for line in scene.heard.lines if ".unavailable" in line)
    scene.check(store, undisturbed)


def test_a_server_that_is_down_at_the_start(server: Postgres, undisturbed: str, tmp_path: Path) -> None:
    """The worker begins when it is up; with an end, it reaches that."""
    store = server.database()
    scene = Scene(tmp_path, store)
    scene.publish(30)
    server.stop_immediate()
    with scene.running(scene.worker()):
        scene.heard.until("store.unavailable")
        server.restart()
        scene.until_projected()
    scene.check(store, undisturbed)


def test_a_server_that_stays_away(tmp_path: Path) -> None:
    """The run ends with the error when patience is over; at once where there is none."""
    for patience, match in ((0.2, r"refused.*away for \d+ s, and store_patience_seconds"), (0, r"refused.*try again$")):
        scene = Scene(tmp_path / str(patience), "postgresql://u@127.0.0.1:1/d", store_patience_seconds=patience)
        scene.publish(1)
        with scene.worker() as worker, pytest.raises(StoreUnavailable, match=match):
            worker.run(until="end")


def test_a_worker_is_stopped_while_it_waits(server: Postgres, tmp_path: Path) -> None:
    """At the start, and with a batch in hand that it gives up: the next worker goes on in front of it."""
    scene = Scene(tmp_path, server.database())
    scene.publish(20)
    with scene.running(scene.worker()):
        scene.until_projected()
        server.stop_immediate()
        position = scene.publish(10)
        scene.heard.until("store.unavailable")
    assert scene.heard.count("batch.abandoned") == 1
    with scene.running(scene.worker()):
        scene.heard.until("store.unavailable", 2)
    server.restart()
    assert position.offset > 0
    with scene.running(scene.worker()):
        scene.until_projected()


def test_partitions_come_while_the_server_is_down(server: Postgres, undisturbed: str, tmp_path: Path) -> None:
    """A worker that leaves hands its partition over: the other one claims it when it can, and keeps its own."""
    store = server.database()
    scene = Scene(tmp_path, store)
    scene.publish(20)
    with scene.running(scene.worker()) as staying:
        with scene.running(scene.worker()) as leaving:
            until(lambda: len(owners(staying)) == len(owners(leaving)) == 1)
            scene.until_projected()
            before = owners(staying)
            server.stop_immediate()
        until(lambda: bool(staying._inbox._unclaimed))
        assert owners(staying) == before
        scene.publish(20)
        scene.heard.until("store.unavailable")
        server.restart()
        scene.until_projected()
        assert before.items() < owners(staying).items()
    scene.check(store, undisturbed)


def test_a_group_on_a_broker_keeps_its_members(
    real_kafka: KafkaAddress, server: Postgres, undisturbed: str, kafka_topic_name: str, tmp_path: Path
) -> None:
    """Both with a batch in hand and with partitions that cannot be claimed yet, for longer than the poll interval."""
    store = server.database()
    scene = Scene(tmp_path, store, kafka_topic_name)
    limits = {"session.timeout.ms": 1500, "heartbeat.interval.ms": 300, "max.poll.interval.ms": 1500}
    scene.log = {"bootstrap.servers": real_kafka.bootstrap, **limits}
    log = open_log(scene.log)
    log.create_topic(kafka_topic_name, 2)
    log.close()
    scene.publish(20)
    with scene.running(scene.worker()) as staying:
        with scene.running(scene.worker()) as leaving:
            until(lambda: len(owners(staying)) == len(owners(leaving)) == 1)
            scene.until_projected()
            before = owners(staying)
            server.stop_immediate()
        scene.publish(20)
        until(lambda: bool(staying._inbox._unclaimed))
        # Three poll intervals: time itself is what is tried here.
        threading.Event().wait(4.5)
        assert owners(staying) == before
        given_up = scene.heard.count("partitions.")
        server.restart()
        scene.until_projected()
        assert before.items() < owners(staying).items()
        assert scene.heard.count("partitions.") == given_up
    scene.check(store, undisturbed)


def test_a_storm_of_terminated_backends(postgres_url: str, undisturbed: str, tmp_path: Path) -> None:
    """A worker's connection is ended thirty times, wherever it stands."""
    scene = Scene(tmp_path, postgres_url)
    scene.publish(20)
    with scene.running(scene.worker()):
        scene.until_projected()
        for _ in range(30):
            scene.begin(20)
            until(lambda: terminate(postgres_url) > 0)
            scene.publish(1)
            scene.until_projected()
    assert scene.heard.count("store.unavailable") > 0
    scene.check(postgres_url, undisturbed)


def test_a_standby_that_is_not_writable_yet(postgres_url: str, undisturbed: str, tmp_path: Path) -> None:
    """After a failover the address may lead to it for a while."""
    scene = Scene(tmp_path, postgres_url)
    scene.publish(20)
    name = urlsplit(postgres_url).path[1:]
    with scene.running(scene.worker()) as running, session(postgres_url) as admin:
        scene.until_projected()
        admin.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
        running._store._database.engine.dispose()  # type: ignore[attr-defined]
        scene.publish(20)
        until(lambda: any("25006" in line for line in scene.heard.lines))
        admin.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
        terminate(postgres_url)
        scene.until_projected()
    scene.check(postgres_url, undisturbed)


def test_a_deadlock(postgres_url: str, undisturbed: str, tmp_path: Path) -> None:
    """The database chooses the worker for its victim: it tries again at once, and nobody calls that an outage."""
    scene = Scene(tmp_path, postgres_url)
    scene.publish(16)
    with scene.running(scene.worker()), session(postgres_url) as other, session(postgres_url) as admin:
        scene.until_projected()
        for _ in range(2):
            met = scene.heard.count("store.conflict")
            other.execute("SET deadlock_timeout = '30s'")
            other.execute("BEGIN")
            other.execute("SELECT * FROM everwhen.ledger__1_entities FOR UPDATE")
            scene.publish(16)
            until(lambda: _somebody_waits(admin))
            other.execute("UPDATE everwhen.checkpoints SET epoch = epoch")
            other.execute("ROLLBACK")
            scene.until_projected()
            # More than one where the next try comes before the other session has taken all that it waits for.
            assert scene.heard.count("store.conflict") > met
    assert scene.heard.count("store.unavailable") == 0
    scene.check(postgres_url, undisturbed)


def test_a_lock_that_does_not_come(postgres_url: str, undisturbed: str, tmp_path: Path) -> None:
    """Another session holds the checkpoints: batches, and the claims of a new worker, wait for it."""
    scene = Scene(tmp_path, "sqlite://")
    scene.publish(20)

    def impatient() -> CoreWorker:
        store = SqlStore(postgres_url, timeouts=Timeouts(lock=0.1))
        return CoreWorker(
            scene.projection, open_log(scene.log), store, scene.settings, scene.note(), clock=SystemClock()
        )

    with scene.running(impatient()), session(postgres_url) as other:  # type: ignore[arg-type]
        scene.until_projected()
        _lock_checkpoints(other)
        scene.publish(20)
        scene.heard.until("store.unavailable")
        other.execute("ROLLBACK")
        scene.until_projected()
    with session(postgres_url) as other:
        _lock_checkpoints(other)
        scene.publish(20)
        with scene.running(impatient()) as second:  # type: ignore[arg-type]
            scene.heard.until("store.unavailable", 2)
            assert not second._inbox.joined
            other.execute("ROLLBACK")
            scene.until_projected()
    scene.check(postgres_url, undisturbed)


def _lock_checkpoints(other: psycopg.Connection[Any]) -> None:
    other.execute("BEGIN")
    other.execute("SELECT * FROM everwhen.checkpoints FOR UPDATE")


def _somebody_waits(admin: psycopg.Connection[Any]) -> bool:
    waiting = admin.execute(
        "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return waiting.fetchone() is not None


def test_a_claim_that_comes_late(postgres_url: str, undisturbed: str, tmp_path: Path) -> None:
    """Somebody who is no member any more claims: the group's member is fenced, and claims again after a while."""
    scene = Scene(tmp_path, postgres_url)
    scene.publish(20)
    with pytest.MonkeyPatch.context() as patch, scene.running(scene.worker()):
        patch.setattr(worker, "_REJOIN_SECONDS", 0.1)
        scene.until_projected()
        store, log = open_store(postgres_url), open_log(scene.log)
        store.claim(store.prepare(blueprint(scene.projection)), [0, 1], log.describe("ledger"))
        scene.publish(20)
        scene.until_projected()
        store.close()
        log.close()
    assert scene.heard.count("partition.fenced") > 0
    scene.check(postgres_url, undisturbed)


def test_what_does_not_pass_ends_the_worker(postgres: PostgresAddress, postgres_url: str, tmp_path: Path) -> None:
    """Waiting would help nobody: a wrong password, no such database, a missing permission, a missing table."""
    with session(postgres_url) as admin:
        admin.execute("DROP ROLE IF EXISTS ew_weak")
        admin.execute("CREATE ROLE ew_weak LOGIN PASSWORD 'weak'")
    parts = urlsplit(postgres_url)
    weak = postgres_url.replace(parts.netloc, f"ew_weak:weak@{parts.netloc.rpartition('@')[2]}")
    refused = {
        "password authentication failed": weak.replace(":weak@", ":wrong@"),
        "does not exist": postgres_url + "_missing",
        "SQLSTATE 42501": weak,
    }
    for said, url in refused.items():
        scene = Scene(tmp_path / said[-5:], url)
        scene.publish(1)
        with scene.worker() as worker, pytest.raises(StoreError, match=said) as raised:
            worker.run(until="end")
        assert not isinstance(raised.value, StoreUnavailable)
    with session(postgres_url) as admin:
        admin.execute("DROP ROLE ew_weak")
