"""A real SQLite file, and connections to it whose every statement can fail.

Waiting for the file's lock is the scheduler's, so it takes no time. Engines and stores are used for many runs, one
after the other, as making them costs more than a run; they keep statements that were compiled, and nothing else.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import create_engine

from everwhen.errors import Fenced
from everwhen.ports.store import Claim, StoreBatch
from everwhen.positions import Mark
from everwhen.sql import SqlStore

LOCK = 10.0
"""Seconds of the clock after which a statement gives up waiting for the file."""


class Disturber(Protocol):
    """What every statement passes."""

    def around(self, connection: Connection, statement: str, call: Callable[[], Any]) -> Any:
        """Let the statement take place, or not."""
        ...

    def rolled_back(self, connection: Connection) -> None:
        """Learn that a transaction ended without a commit."""
        ...


class Slot:
    """One place for a process: an engine and a store of its own on the file.

    :ivar disturber: what its statements pass; ``None`` while nothing is to go wrong.
    :ivar claim: of the batch that is open.
    :ivar fenced: how many batches of this run were refused, as the partition was somebody else's.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.name = name
        self.disturber: Disturber | None = None
        self.claim: Claim | None = None
        self.fenced = 0
        slot = self

        class Connected(Connection):
            owner = slot

        self.engine = create_engine(
            f"sqlite:///{path}", isolation_level="AUTOCOMMIT", connect_args={"factory": Connected, "timeout": 0}
        )
        self.store = SqlStore(self.engine)

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


class Connection(sqlite3.Connection):
    """A connection of one slot."""

    owner: Slot

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        for setting in ("PRAGMA synchronous=OFF", "PRAGMA wal_autocheckpoint=0"):
            super().cursor().execute(setting)

    def cursor(self, factory: Any = None) -> Any:
        """Make a cursor whose statements pass the disturber."""
        return super().cursor(Cursor)

    def execute(self, sql: str, parameters: Any = (), /) -> Any:
        """Execute one statement on a cursor of its own."""
        return self.cursor().execute(sql, parameters)

    def rollback(self) -> None:
        """Roll back, as the database does by itself when its client is gone."""
        try:
            super().rollback()
        finally:
            self._ended()

    def close(self) -> None:
        """Close it, which rolls back too."""
        super().close()
        self._ended()

    def _ended(self) -> None:
        if self.owner.disturber is not None:
            self.owner.disturber.rolled_back(self)


class Cursor(sqlite3.Cursor):
    """A cursor of one slot."""

    connection: Connection

    def execute(self, sql: str, parameters: Any = (), /) -> Any:
        """Execute one statement."""
        return self._around(sql, lambda: super(Cursor, self).execute(sql, parameters))

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> Any:
        """Execute one statement many times."""
        return self._around(sql, lambda: super(Cursor, self).executemany(sql, parameters))

    def _around(self, sql: str, call: Callable[[], Any]) -> Any:
        disturber = self.connection.owner.disturber
        return call() if disturber is None else disturber.around(self.connection, sql, call)


class SlotStore:
    """The store of a slot, as a worker gets it: it notes whose batch is open, and outlives being closed."""

    def __init__(self, slot: Slot) -> None:
        self._slot = slot

    def __getattr__(self, name: str) -> Any:
        return getattr(self._slot.store, name)

    @contextmanager
    def batch(self, claim: Claim, expected: int, reached: Mark, **more: Any) -> Iterator[StoreBatch]:
        """Open a batch."""
        try:
            with self._slot.store.batch(claim, expected, reached, **more) as opened:
                self._slot.claim = claim
                yield opened
        except Fenced:
            self._slot.fenced += 1
            raise

    def close(self) -> None:
        """Free nothing."""


class File:
    """An SQLite file, as somebody sees it who asks it directly."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA synchronous=OFF")

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Ask."""
        return self._connection.execute(query).fetchall()

    def tables(self) -> list[str]:
        """All of them."""
        found = self.rows("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        return [name for (name,) in found]

    def empty(self, *, drop: bool) -> None:
        """Take everything out but the generation and the schema's version; or those, and the tables, too."""
        run = self._connection.execute
        run("BEGIN IMMEDIATE")
        for name in self.tables():
            if drop:
                run(f'DROP TABLE "{name}"')
            elif not name.endswith(("_meta", "_generations")):
                run(f'DELETE FROM "{name}"')
            elif name.endswith("_generations"):
                run(f'UPDATE "{name}" SET partitions = NULL')
        run("COMMIT")
        run("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close it."""
        self._connection.close()
