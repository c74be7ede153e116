"""Writers of several processes take turns on a local log."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from everwhen.instants import Micros
from everwhen.local import LocalLog
from everwhen.testing.log_conformance import publish


class Intruding:
    """A clock that tries to write to the file whenever it is read: a writer reads it after it has chosen offsets."""

    def __init__(self, path: Path) -> None:
        self.refused: list[bool] = []
        self._path = path

    def now(self) -> Micros:
        with closing(sqlite3.connect(self._path, timeout=0, isolation_level=None)) as other:
            try:
                other.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                self.refused.append(error.sqlite_errorcode == sqlite3.SQLITE_BUSY)
            else:
                self.refused.append(False)
        return 1


def test_nobody_else_can_write_between_the_choice_of_offsets_and_the_commit(tmp_path: Path) -> None:
    """Else two processes would give out the same offset, and one of them would be refused for it."""
    clock = Intruding(tmp_path / "log.db")
    log = LocalLog(tmp_path / "log.db", clock=clock)
    log.create_topic("t", 1)
    assert len(publish(log, "t", [(b"k", b"v", []), (b"k", b"w", [])])) == 2
    log.close()
    assert clock.refused
    assert all(clock.refused)
