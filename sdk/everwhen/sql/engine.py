"""Connections: from a URL or an ``Engine`` to transactions, the same way on both databases."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.dialects.sqlite import dialect as sqlite_dialect
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import ArgumentError as UrlError
from sqlalchemy.exc import DBAPIError

from everwhen.errors import ClosedError, MissingExtra, SettingsError
from everwhen.sql.errors import is_database_error, translated
from everwhen.sql.expressions import POSTGRESQL, SQLITE

_DRIVERS = {POSTGRESQL: "psycopg", SQLITE: "pysqlite"}

# A peer that vanished without a word is noticed after about a minute, whatever the kernel's defaults.
_KEEPALIVES: dict[str, Any] = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
    "application_name": "everwhen",
}
_SQLITE_CACHE_KIB = 65_536
_SWITCH_ATTEMPTS = 100
_SWITCH_PAUSE = 0.02  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long a transaction that writes may be in the way of others."""

    lock: float = 10.0
    """Seconds to wait for a lock; on SQLite for the writer's turn (there on engines that we made ourselves)."""
    idle: float = 30.0
    """Seconds that PostgreSQL lets a transaction stand idle before it ends it. A worker that was stopped inside a
    transaction holds its partition for no longer than this."""


class Database:
    """One database: its engine, and transactions on it. Thread-safe.

    Connections are in autocommit mode and transactions are begun and ended by statements of ours. So it works the
    same on an engine that the user made, without hooks on it.
    """

    def __init__(self, target: str | URL | Engine, timeouts: Timeouts) -> None:
        self._owned = not isinstance(target, Engine)
        engine = _given(target) if isinstance(target, Engine) else _create(target, timeouts)
        self.engine: Engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self.kind: str = engine.dialect.name
        self.address: str = engine.url.render_as_string(hide_password=True)
        # Named parameters on both, so that a statement's parameters are one mapping.
        self.dialect: Dialect = engine.dialect if self.kind == POSTGRESQL else sqlite_dialect(paramstyle="named")
        self._begin_write = _begin_write(self.kind, timeouts)
        self._begin_read = "BEGIN" if self.kind == SQLITE else "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
        self._closed = False

    @contextmanager
    def connection(self, doing: str) -> Iterator[Connection]:
        """Lend a connection; one that turns out to be broken is thrown away with its idle siblings.

        Errors of the database inside the block are translated.
        """
        if self._closed:
            raise ClosedError(f"the store {self.address} is closed; open a new one")
        with translated(self.address, doing), self.engine.connect() as connection:
            try:
                yield connection
            except Exception as error:
                self._drop_if_broken(connection, error)
                raise

    @contextmanager
    def writing(self, doing: str) -> Iterator[Connection]:
        """Lend a connection inside a transaction that may write: commit at the end, roll back on an exception."""
        with self.connection(doing) as connection, _transaction(connection, self._begin_write):
            yield connection

    @contextmanager
    def reading(self, doing: str) -> Iterator[Connection]:
        """Lend a connection inside a transaction that sees one snapshot."""
        with self.connection(doing) as connection, _transaction(connection, self._begin_read):
            yield connection

    def close(self) -> None:
        """Close the connections, unless the engine is the user's. Idempotent."""
        self._closed = True
        if self._owned:
            self.engine.dispose()

    def _drop_if_broken(self, connection: Connection, error: Exception) -> None:
        raw = error.orig if isinstance(error, DBAPIError) else error
        if not isinstance(raw, Exception) or not is_database_error(raw) or connection.invalidated:
            return
        # The driver is used below SQLAlchemy, which therefore has not seen the error.
        if self.engine.dialect.is_disconnect(raw, driver(connection), None):  # type: ignore[arg-type]
            connection.invalidate(raw)
            self.engine.dispose()


def driver(connection: Connection) -> Any:
    """Return the driver's own connection: ``psycopg.Connection`` or ``sqlite3.Connection``."""
    return connection.connection.driver_connection


def use_write_ahead_log(connection: Connection) -> None:
    """Let readers of an SQLite file go on while a batch is written to it; the file remembers."""
    raw = driver(connection)
    for attempt in range(_SWITCH_ATTEMPTS + 1):
        try:
            raw.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            # Two that switch at the same moment are not made to wait for each other, whatever the timeout.
            if attempt == _SWITCH_ATTEMPTS:
                raise
            time.sleep(_SWITCH_PAUSE)
        else:
            return


@contextmanager
def _transaction(connection: Connection, begin: str) -> Iterator[None]:
    raw = driver(connection)
    raw.execute(begin)
    try:
        yield
    except BaseException:
        with suppress(Exception):  # the error that brought us here is the one to show
            raw.rollback()
        raise
    raw.execute("COMMIT")


def _begin_write(kind: str, timeouts: Timeouts) -> str:
    if kind == SQLITE:
        return "BEGIN IMMEDIATE"
    settings = {
        "lock_timeout": f"{round(timeouts.lock * 1000)}",
        "idle_in_transaction_session_timeout": f"{round(timeouts.idle * 1000)}",
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


def _given(engine: Engine) -> Engine:
    _check_supported(engine.url, engine.dialect.driver)
    return engine


def _create(target: str | URL, timeouts: Timeouts) -> Engine:
    url = _parse(target)
    _check_supported(url, url.drivername.partition("+")[2] or _DRIVERS.get(url.get_backend_name()))
    if url.get_backend_name() == POSTGRESQL:
        if find_spec("psycopg") is None:
            raise MissingExtra("a store in PostgreSQL needs the driver psycopg; pip install 'everwhen[postgres]'")
        arguments = {name: value for name, value in _KEEPALIVES.items() if name not in url.query}
        return create_engine(url, connect_args=arguments, hide_parameters=True)
    engine = create_engine(url, connect_args={"timeout": timeouts.lock}, hide_parameters=True)
    event.listen(engine, "connect", _set_up_sqlite)
    return engine


def _parse(target: str | URL) -> URL:
    try:
        url = make_url(target)
    except UrlError:
        # SQLAlchemy's message would quote the URL, which may hold a password.
        raise SettingsError(
            "the store is not a URL of SQLAlchemy's; write it like postgresql+psycopg://user@host/database "
            "or sqlite:///bank.db"
        ) from None
    # Without a driver SQLAlchemy would choose psycopg2; we have only one, so there is nothing to choose.
    return url.set(drivername="postgresql+psycopg") if url.drivername in {"postgresql", "postgres"} else url


def _check_supported(url: URL, driver_name: str | None) -> None:
    kind, address = url.get_backend_name(), url.render_as_string(hide_password=True)
    if driver_name is None or _DRIVERS.get(kind) != driver_name:
        raise SettingsError(
            f"{address}: a store is a PostgreSQL database (postgresql+psycopg://…) or an SQLite file (sqlite:///…)"
        )
    if kind == SQLITE and _is_in_memory(url):
        raise SettingsError(
            f"{address} lives in memory, where every connection would see a database of its own and a restart would "
            "lose the checkpoint; give a file, such as sqlite:///bank.db"
        )


def _is_in_memory(url: URL) -> bool:
    database = url.database or ":memory:"
    return ":memory:" in database or "mode=memory" in database or url.query.get("mode") == "memory"


def _set_up_sqlite(connection: Any, _record: Any) -> None:
    # Losing the tail of the log file in a power failure is safe: rows and checkpoint roll back together.
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute(f"PRAGMA cache_size=-{_SQLITE_CACHE_KIB}")
