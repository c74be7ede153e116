"""A healthy store and its log, made quickly, for the checker's own tests."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from everwhen import Publisher, Worker, WorkerSettings
from tests.checker import logs, projected, sent, stores
from tests.checker.anomalies import Report
from tests.checker.check import compare
from tests.checker.folding import Entity
from tests.checker.logs import Log
from tests.checker.sent import Sent
from tests.torture import domain
from tests.torture.load import Load

TOPIC = "torture"


@dataclass
class Witnesses:
    """What the checker compares, in a directory."""

    directory: Path
    said: list[Sent]
    log: Log
    expected: dict[str, Entity]

    @property
    def store(self) -> Path:
        """The file of the store."""
        return self.directory / "store.db"

    def check(self, store: Path | None = None, log: Log | None = None, said: list[Sent] | None = None) -> Report:
        """Check, with some of the witnesses replaced."""
        tables: stores.Tables = stores.read(f"sqlite:///{store or self.store}", domain.PROJECTION)
        expected = self.expected if log is None else projected.expect(log)
        return compare(self.said if said is None else said, log or self.log, expected, tables)

    def check_log_file(self, path: Path) -> Report:
        """Check with another log."""
        return self.check(log=logs.read(f"sqlite:///{path}", TOPIC, self.directory / "schemas"))


def make(directory: Path, events: int, depth: int, seed: int) -> Witnesses:
    """Publish, project in small batches, and read all three witnesses."""
    domain.write_contracts(directory / "schemas")
    source = domain.topic(TOPIC, directory / "schemas")
    log_url = f"sqlite:///{directory}/log.db"
    history = directory / "sent.jsonl"
    with history.open("w") as file, Publisher(source, log_url) as publisher:
        load = Load(publisher, file, seed, "e")
        for _ in range(events):
            load.step()
        load.settle(wait=True)
    settings = WorkerSettings(batch_records=17, depth=depth)
    with Worker(domain.projection(source), log_url, f"sqlite:///{directory}/store.db", settings=settings) as worker:
        worker.run(until="end")
    for name in ("log.db", "store.db"):
        with closing(sqlite3.connect(directory / name)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    log = logs.read(log_url, TOPIC, directory / "schemas")
    return Witnesses(directory, sent.read(history), log, projected.expect(log))


def copied(file: Path, to: Path) -> sqlite3.Connection:
    """Copy a database that nobody writes, and open the copy in autocommit mode."""
    shutil.copyfile(file, to)
    return sqlite3.connect(to, isolation_level=None)
