"""When a run with an end has reached it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from everwhen.connect import open_log
from everwhen.ports.clock import SystemClock
from everwhen.ports.generations import Blueprint, Generation
from everwhen.ports.log import TopicDescription
from everwhen.ports.store import Claim
from everwhen.sql import SqlStore, Timeouts
from everwhen.worker import Worker
from tests.worker.disturbed import Scene, until

_PATIENCE = 60
_TRIES = 5
"""So many take longer than the worker waits for records before it looks whether the end is reached."""


class Locked(SqlStore):
    """A store in a file that another locks once it is prepared; it counts how often it is asked for partitions."""

    def __init__(self, file: Path, other: sqlite3.Connection) -> None:
        super().__init__(f"sqlite:///{file}", timeouts=Timeouts(lock=0.01))
        self.tries = 0
        self._other = other

    def prepare(self, blueprint: Blueprint, number: int | None = None) -> Generation:
        generation = super().prepare(blueprint, number)
        self._other.execute("BEGIN IMMEDIATE")
        return generation

    def claim(self, generation: Generation, partitions: Sequence[int], topic: TopicDescription) -> dict[int, Claim]:
        self.tries += 1
        return super().claim(generation, partitions, topic)


def test_a_run_without_partitions_is_not_at_its_end(tmp_path: Path) -> None:
    """The store could not be asked for them yet: that is not the same as having read all of none."""
    scene, file = Scene(tmp_path, "sqlite://"), tmp_path / "store.db"
    scene.publish(20)
    read: list[int] = []
    with closing(sqlite3.connect(file, isolation_level=None, check_same_thread=False)) as other:
        store = Locked(file, other)
        worker = Worker(scene.projection, open_log(scene.log), store, scene.settings, clock=SystemClock())
        running = threading.Thread(target=lambda: read.append(worker.run(until="end").records))
        running.start()
        try:
            until(lambda: store.tries >= _TRIES or not running.is_alive())
        finally:
            other.execute("ROLLBACK")
            running.join(_PATIENCE)
            worker.close()
    assert read == [20]
