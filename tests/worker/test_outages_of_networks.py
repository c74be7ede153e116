"""The network to PostgreSQL fails, or a failover leads elsewhere: nothing is lost and nothing applied twice."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from everwhen.connect import open_log
from everwhen.ports.clock import SystemClock
from everwhen.ports.generations import Blueprint, Generation
from everwhen.sql import SqlStore, Timeouts
from everwhen.testing.parts.postgres import PostgresAddress
from everwhen.worker import Worker as CoreWorker
from everwhen.worker import worker
from everwhen.worker.inbox import Inbox
from tests.proxy import Lost, Proxy
from tests.worker.disturbed import Scene, session, through, until


def test_an_end_is_not_reached_before_everything_is_claimed(
    postgres_url: str, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run with an end that is given partitions while the database is away has not read them to their end."""
    scene = Scene(tmp_path, through(postgres_url, proxy.port))
    scene.publish(20)
    with scene.worker() as worker:
        prepare = worker._store.prepare

        def prepare_and_cut(plan: Blueprint, number: int | None) -> Generation:
            generation = prepare(plan, number)
            proxy.refuse()
            return generation

        def open_again() -> None:
            until(lambda: bool(worker._inbox._unclaimed))
            proxy.refuse(False)

        monkeypatch.setattr(worker._store, "prepare", prepare_and_cut)
        threading.Thread(target=open_again).start()
        assert worker.run(until="end").records == 20


def test_partitions_that_are_not_claimed_are_not_at_their_end() -> None:
    """Otherwise a run with an end would return when the partitions are read that it could claim earlier."""
    inbox = Inbox(1)
    assert not inbox.joined
    inbox.open([])
    assert inbox.joined
    inbox.await_claims(frozenset({1}))
    assert not inbox.joined
    inbox.await_claims(frozenset())
    assert inbox.joined


def test_a_connection_that_is_cut_at_every_step(
    postgres_url: str, undisturbed: str, proxy: Proxy, tmp_path: Path
) -> None:
    """Before each statement of a batch in turn, with a network that is slow."""
    scene = Scene(tmp_path, through(postgres_url, proxy.port))
    scene.publish(20)
    proxy.delay(0.001)
    with scene.running(scene.worker()):
        scene.until_projected()
        for step in range(1, 21):
            proxy.cut_after(step)
            scene.publish(20)
            scene.until_projected()
            until(lambda: proxy.has_cut or scene.publish(20) is None)
    scene.check(postgres_url, undisturbed)


@pytest.mark.parametrize("how", Lost)
def test_a_commit_without_an_answer(
    how: Lost, postgres_url: str, undisturbed: str, proxy: Proxy, tmp_path: Path
) -> None:
    """Whether it took effect, did not, or does only when the worker has come back: it is applied once."""
    scene = Scene(tmp_path, through(postgres_url, proxy.port))
    scene.publish(20)
    with scene.running(scene.worker()):
        scene.until_projected()
        for number in range(1, 6):
            proxy.lose_commit(how)
            scene.publish(20)
            until(lambda number=number: proxy.lost == number)  # type: ignore[misc]
            scene.heard.until("store.back", number)
            scene.until_projected()
    assert scene.heard.count("partition.fenced") == 0
    scene.check(postgres_url, undisturbed)


def test_a_server_that_does_not_answer(postgres_url: str, undisturbed: str, proxy: Proxy, tmp_path: Path) -> None:
    """It acknowledges and says nothing; its own timeouts and those of the network never come into play."""
    scene = Scene(tmp_path, "sqlite://")
    scene.publish(20)
    store = SqlStore(through(postgres_url, proxy.port) + "?connect_timeout=2", timeouts=Timeouts(answer=0.3))
    silent = CoreWorker(scene.projection, open_log(scene.log), store, scene.settings, scene.note(), clock=SystemClock())
    with scene.running(silent):  # type: ignore[arg-type]
        scene.until_projected()
        for number in range(1, 3):
            proxy.hold()
            scene.publish(20)
            scene.heard.until("store.unavailable", number)
            proxy.flow()
            scene.until_projected()
    assert any("has not answered for" in line for line in scene.heard.lines)
    scene.check(postgres_url, undisturbed)


def test_a_database_that_was_set_back(
    postgres: PostgresAddress,
    postgres_url: str,
    undisturbed: str,
    proxy: Proxy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A failover lost the last transactions, rows and checkpoint together: the log is read again from there."""
    monkeypatch.setattr(worker, "_REJOIN_SECONDS", 0.1)
    scene = Scene(tmp_path, through(postgres_url, proxy.port))
    scene.publish(20)
    live, saved = urlsplit(postgres_url).path[1:], urlsplit(postgres_url).path[1:] + "_saved"
    with scene.running(scene.worker()), session(postgres.url) as admin:
        scene.until_projected()
        proxy.refuse()
        until(lambda: _connections(admin, live) == 0)
        admin.execute(f'CREATE DATABASE "{saved}" TEMPLATE "{live}"')
        proxy.refuse(False)
        scene.publish(20)
        scene.until_projected()
        proxy.refuse()
        until(lambda: _connections(admin, live) == 0)
        admin.execute(f'DROP DATABASE "{live}"')
        admin.execute(f'ALTER DATABASE "{saved}" RENAME TO "{live}"')
        proxy.refuse(False)
        scene.publish(20)
        until(lambda: scene.done >= scene.published + 20)
    assert scene.heard.count("partition.fenced") > 0
    scene.check(postgres_url, undisturbed, again=20)


def _connections(admin: psycopg.Connection[Any], name: str) -> int:
    row = admin.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = %s", [name]).fetchone()
    return int(row[0]) if row is not None else 0
