"""A database: connections and transactions, the same way on PostgreSQL and SQLite."""

from __future__ import annotations

import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import URL, Connection, Engine, PoolProxiedConnection
from sqlalchemy.dialects.sqlite import dialect as sqlite_dialect
from sqlalchemy.engine import Dialect

from everwhen.guard import Guard
from everwhen.sql.engine import Timeouts, address_of, open_engine
from everwhen.sql.errors import is_database_error, translated, translation
from everwhen.sql.expressions import POSTGRESQL, SQLITE

T = TypeVar("T")

_KEPT: Final = 5
"""Connections that are kept for questions, as many as SQLAlchemy's pool keeps by default."""
_SWITCH_ATTEMPTS: Final = 100
_SWITCH_PAUSE: Final = 0.02  # seconds


class Database:
    """One database: its engine, and transactions on it. Thread-safe.

    Connections are in autocommit mode and transactions are begun and ended by statements of ours, so it works the
    same on an engine that the user made, without hooks on it. Where every microsecond counts the driver's own
    connection is lent; SQLAlchemy's costs 30 us more, and on SQLite 300, as changing its mode there makes
    SQLite compile every statement again.

    :param target: a URL or an engine; an engine that is given is never closed.
    """

    def __init__(self, target: str | URL | Engine, timeouts: Timeouts) -> None:
        self._owned = not isinstance(target, Engine)
        self.engine: Engine = open_engine(target, timeouts)
        self.kind: str = self.engine.dialect.name
        self.address: str = address_of(self.engine.url)
        # Named parameters on both, so that a statement's parameters are one mapping.
        self.dialect: Dialect = self.engine.dialect if self.kind == POSTGRESQL else sqlite_dialect(paramstyle="named")
        self._mode = "autocommit" if self.kind == POSTGRESQL else "isolation_level"
        self._autocommit = True if self.kind == POSTGRESQL else None
        self._begin_write = _begin_write(self.kind, timeouts)
        self._answer = timeouts.answer
        self.statement_limit: float = timeouts.statement
        self._begin_read = "BEGIN" if self.kind == SQLITE else "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
        self._guard = Guard(f"the store {self.address}")
        self._kept: deque[PoolProxiedConnection] = deque()

    @contextmanager
    def connection(self, doing: str) -> Iterator[Any]:
        """Lend a connection of the driver; one that turns out to be broken is thrown away with its idle siblings.

        Errors of the database inside the block are translated; ``doing`` completes "while …" in their messages.
        """
        self._guard.check()  # a child that used its parent's connection would take the answers meant for it
        with translated(self.address, doing), self._checked_out() as lent:
            raw = lent.driver_connection
            mode = getattr(raw, self._mode)
            if mode != self._autocommit:
                setattr(raw, self._mode, self._autocommit)
            try:
                with self._watched(lent, raw):
                    yield raw
            finally:
                if mode != self._autocommit and lent.is_valid:
                    setattr(raw, self._mode, mode)

    def ask(self, doing: str, question: Callable[[Any, MutableMapping[Any, Any]], T]) -> T:
        """Put a question that is one statement, with a connection lent as by :meth:`connection`.

        Four context managers around a statement and the pool's bookkeeping take a third of the client's time for a
        question about one entity, so there are none here, and the connection is kept for the next question.

        :param question: gets the driver's connection, and what SQLAlchemy keeps for us as long as that lives.
        """
        self._guard.check()
        try:
            lent = self._take()
            try:
                answer = self._ask(lent, question)
            except BaseException:
                lent.close()
                raise
            self._keep(lent)
            return answer
        except Exception as error:  # noqa: BLE001 - what it is, translation says
            raise translation(error, self.address, doing)  # noqa: B904 - it has its cause already

    def _ask(self, lent: PoolProxiedConnection, question: Callable[[Any, MutableMapping[Any, Any]], T]) -> T:
        raw: Any = lent.driver_connection
        mode = getattr(raw, self._mode)
        if mode != self._autocommit:
            setattr(raw, self._mode, self._autocommit)
        try:
            return question(raw, lent.info)
        except Exception as error:
            self._throw_away_broken(lent, raw, error)
            raise
        finally:
            if mode != self._autocommit and lent.is_valid:
                setattr(raw, self._mode, mode)

    def _take(self) -> PoolProxiedConnection:
        try:
            return self._kept.pop()
        except IndexError:
            return self.engine.raw_connection()

    def _keep(self, lent: PoolProxiedConnection) -> None:
        """Keep a connection for the next question: giving it to the pool and back costs as much as the seek's answer.

        One that is asked for something else is taken from here first, so no more are open than without.
        """
        if not self._owned or len(self._kept) >= _KEPT:
            lent.close()
            return
        self._kept.append(lent)
        if self._guard.closed:
            self._let_go()

    def _let_go(self) -> None:
        while self._kept:
            with suppress(IndexError):  # another thread was quicker
                self._kept.pop().close()

    @contextmanager
    def writing(self, doing: str, *, afterwards: str | None = None) -> Iterator[Any]:
        """Lend a connection inside a transaction that may write: commit at the end, roll back on an exception.

        :param afterwards: a statement that is run once the transaction is committed; it may fail.
        """
        with self.connection(doing) as raw, self._bounded(raw):
            with _transaction(raw, self._begin_write):
                yield raw
            if afterwards is not None:
                _try(raw, afterwards)

    @contextmanager
    def reading(self, doing: str) -> Iterator[Any]:
        """Lend a connection inside a transaction that sees one snapshot."""
        with self.connection(doing) as raw, _transaction(raw, self._begin_read):
            yield raw

    @contextmanager
    def detached(self, doing: str) -> Iterator[Any]:
        """Lend a connection that the pool does not count, for one who keeps it; it is closed at the end."""
        self._guard.check()
        with translated(self.address, doing):
            lent = self.engine.raw_connection()
            raw: Any = lent.driver_connection
            lent.detach()
            try:
                setattr(raw, self._mode, self._autocommit)
                yield raw
            finally:
                lent.close()

    @contextmanager
    def core(self, doing: str, *, reading: bool = False) -> Iterator[Connection]:
        """Lend a connection of SQLAlchemy's, for what is done once, inside a transaction."""
        self._guard.check()
        self._let_go()  # SQLAlchemy takes from the pool only
        engine = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        begin = self._begin_read if reading else self._begin_write
        with translated(self.address, doing), engine.connect() as connection:
            raw = connection.connection.driver_connection
            with self._watched(connection, raw), self._bounded(raw), _transaction(raw, begin):
                yield connection

    def is_absent(self) -> bool:
        """Whether this is an SQLite file that does not exist: connecting would make an empty one."""
        file = self.engine.url.database
        return self.kind == SQLITE and file is not None and not file.startswith("file:") and not Path(file).exists()

    def close(self) -> None:
        """Close the connections, unless the engine is the user's. Idempotent."""
        if self._guard.close() and self._owned:
            self._let_go()
            self.engine.dispose()

    @contextmanager
    def _checked_out(self) -> Iterator[PoolProxiedConnection]:
        lent = self._take()
        try:
            yield lent
        finally:
            lent.close()

    @contextmanager
    def _bounded(self, raw: Any) -> Iterator[None]:
        """Do not wait for ever for an answer; questions that only read may take long, so they do not ask for this."""
        if not hasattr(raw, "answer_within"):
            yield
            return
        raw.answer_within = self._answer
        try:
            yield
        finally:
            raw.answer_within = None

    @contextmanager
    def _watched(self, lent: PoolProxiedConnection | Connection, raw: Any) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self._throw_away_broken(lent, raw, error)
            raise

    def _throw_away_broken(self, lent: PoolProxiedConnection | Connection, raw: Any, error: Exception) -> None:
        # SQLAlchemy does not see errors of the driver, as that is used below it.
        if is_database_error(error) and self.engine.dialect.is_disconnect(error, raw, None):  # type: ignore[arg-type]
            lent.invalidate(error)
            while self._kept:
                with suppress(IndexError):
                    self._kept.pop().invalidate(error)
            self.engine.dispose()


def use_write_ahead_log(raw: Any) -> None:
    """Let readers of an SQLite file go on while a batch is written to it; the file remembers."""
    for attempt in range(_SWITCH_ATTEMPTS + 1):
        try:
            raw.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            # Two that switch at the same moment are not made to wait for each other, whatever the timeout.
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or attempt == _SWITCH_ATTEMPTS:
                raise
            time.sleep(_SWITCH_PAUSE)
        else:
            return


@contextmanager
def _transaction(raw: Any, begin: str) -> Iterator[None]:
    raw.execute(begin)
    try:
        yield
    except BaseException:
        with suppress(Exception):  # the error that brought us here is the one to show
            raw.rollback()
        raise
    raw.execute("COMMIT")


def _try(raw: Any, statement: str) -> None:
    try:
        raw.execute(statement)
    except Exception as error:
        if not is_database_error(error) or raw.closed:
            raise  # so that the connection is thrown away


def _begin_write(kind: str, timeouts: Timeouts) -> str:
    if kind == SQLITE:
        return "BEGIN IMMEDIATE"
    settings = {
        "lock_timeout": _milliseconds(timeouts.lock),
        "idle_in_transaction_session_timeout": _milliseconds(timeouts.idle),
        "statement_timeout": _milliseconds(timeouts.statement),
        "client_encoding": "UTF8",  # what is packed by hand is in UTF-8, whatever the database is in
        # Statistics lag behind bulk loading, and a plan made for a small table may outlive it. Every statement
        # of a batch is a set of index probes, so nothing else may be planned.
        "enable_seqscan": "off",
        "enable_bitmapscan": "off",
        "enable_hashjoin": "off",
        "enable_mergejoin": "off",
    }
    # One message, one round trip.
    return "; ".join(
        ["BEGIN ISOLATION LEVEL READ COMMITTED", *(f"SET LOCAL {name} = '{value}'" for name, value in settings.items())]
    )


def _milliseconds(seconds: float) -> str:
    return str(max(1, round(seconds * 1000)))  # PostgreSQL takes 0 for "never"
