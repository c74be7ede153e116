"""An SQLite file that cannot be written for a while: the worker waits, loses nothing and applies nothing twice."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, event

from everwhen.connect import open_log
from everwhen.ports.clock import SystemClock
from everwhen.sql import SqlStore, Timeouts
from everwhen.worker import Worker
from tests.worker.disturbed import Scene


def test_a_file_that_another_writes_to(tmp_path: Path) -> None:
    """For longer than the busy timeout, before the worker starts and while it is busy."""
    path = tmp_path / "store.db"
    scene = Scene(tmp_path, "sqlite://")
    scene.publish(20)
    store = SqlStore(f"sqlite:///{path}", timeouts=Timeouts(lock=0.05))
    worker = Worker(scene.projection, open_log(scene.log), store, scene.settings, scene.note(), clock=SystemClock())
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA journal_mode=WAL")
    other.execute("BEGIN IMMEDIATE")
    with scene.running(worker):  # type: ignore[arg-type]
        for number in range(1, 4):
            scene.heard.until("store.unavailable", number)
            other.execute("ROLLBACK")
            scene.heard.until("store.back", number)
            scene.until_projected()
            other.execute("BEGIN IMMEDIATE")
            scene.publish(20)
        scene.heard.until("store.unavailable", 4)
        other.execute("ROLLBACK")
        scene.until_projected()
    other.close()
    assert any("SQLITE_BUSY" in line for line in scene.heard.lines)
    scene.check(f"sqlite:///{path}", f"sqlite:///{tmp_path}/undisturbed.db")


def test_a_disk_that_is_full(tmp_path: Path) -> None:
    """Until there is room again."""
    url = f"sqlite:///{tmp_path}/store.db"
    engine, pages = create_engine(url), ["1000000"]

    @event.listens_for(engine, "checkout")
    def limit(connection: Any, _record: Any, _proxy: Any) -> None:
        connection.execute(f"PRAGMA max_page_count={pages[0]}")

    scene = Scene(tmp_path, engine)
    scene.publish(20)
    with scene.running(scene.worker()):
        for number in range(1, 4):
            scene.until_projected()
            pages[0] = "1"  # taken for what the file has now
            scene.publish(400)
            scene.heard.until("store.unavailable", number)
            pages[0] = "1000000"
            scene.until_projected()
    engine.dispose()
    assert all("SQLITE_FULL" in line for line in scene.heard.lines if line.startswith("store.unavailable"))
    scene.check(url, f"sqlite:///{tmp_path}/undisturbed.db")
