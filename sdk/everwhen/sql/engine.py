"""Connections: from a URL or an ``Engine`` to transactions, the same way on both databases."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from sqlalchemy import URL, Connection, Engine, PoolProxiedConnection, create_engine, event, make_url
from sqlalchemy.dialects.sqlite import dialect as sqlite_dialect
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import ArgumentError as UrlError

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
_ENGINE: dict[str, Any] = {"isolation_level": "AUTOCOMMIT", "hide_parameters": True}
_SQLITE_CACHE_KIB = 65_536
_SQLITE_LOG_PAGES = 8_000
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

    Connections are in autocommit mode and transactions are begun and ended by statements of ours, so it works the
    same on an engine that the user made, without hooks on it. Where every microsecond counts the driver's own
    connection is lent; SQLAlchemy's costs 30 us more, and on SQLite 300, as changing its mode there makes
    SQLite compile every statement again.
    """

    def __init__(self, target: str | URL | Engine, timeouts: Timeouts) -> None:
        self._owned = not isinstance(target, Engine)
        self.engine: Engine = _given(target) if isinstance(target, Engine) else _create(target, timeouts)
        self.kind: str = self.engine.dialect.name
        self.address: str = self.engine.url.render_as_string(hide_password=True)
        # Named parameters on both, so that a statement's parameters are one mapping.
        self.dialect: Dialect = self.engine.dialect if self.kind == POSTGRESQL else sqlite_dialect(paramstyle="named")
        self._mode = "autocommit" if self.kind == POSTGRESQL else "isolation_level"
        self._autocommit = True if self.kind == POSTGRESQL else None
        self._begin_write = _begin_write(self.kind, timeouts)
        self._begin_read = "BEGIN" if self.kind == SQLITE else "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
        self._closed = False

    @contextmanager
    def connection(self, doing: str) -> Iterator[Any]:
        """Lend a connection of the driver; one that turns out to be broken is thrown away with its idle siblings.

        Errors of the database inside the block are translated; ``doing`` completes "while …" in their messages.
        """
        self._check_open()
        with translated(self.address, doing), self._checked_out() as lent:
            raw = lent.driver_connection
            mode = getattr(raw, self._mode)
            if mode != self._autocommit:
                setattr(raw, self._mode, self._autocommit)
            try:
                yield raw
            except Exception as error:
                self._drop_if_broken(lent, error)
                raise
            finally:
                if mode != self._autocommit and lent.is_valid:
                    setattr(raw, self._mode, mode)

    @contextmanager
    def writing(self, doing: str) -> Iterator[Any]:
        """Lend a connection inside a transaction that may write: commit at the end, roll back on an exception."""
        with self.connection(doing) as raw, _transaction(raw, self._begin_write):
            yield raw

    @contextmanager
    def reading(self, doing: str) -> Iterator[Any]:
        """Lend a connection inside a transaction that sees one snapshot."""
        with self.connection(doing) as raw, _transaction(raw, self._begin_read):
            yield raw

    @contextmanager
    def core(self, doing: str) -> Iterator[Connection]:
        """Lend a connection of SQLAlchemy's, for what is done once, inside a transaction that may write."""
        self._check_open()
        engine = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        with (
            translated(self.address, doing),
            engine.connect() as connection,
            _transaction(connection.connection.driver_connection, self._begin_write),
        ):
            yield connection

    def close(self) -> None:
        """Close the connections, unless the engine is the user's. Idempotent."""
        self._closed = True
        if self._owned:
            self.engine.dispose()

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError(f"the store {self.address} is closed; open a new one")

    @contextmanager
    def _checked_out(self) -> Iterator[PoolProxiedConnection]:
        lent = self.engine.raw_connection()
        try:
            yield lent
        finally:
            lent.close()

    def _drop_if_broken(self, lent: PoolProxiedConnection, error: Exception) -> None:
        # SQLAlchemy has not seen the error, as the driver is used below it.
        if is_database_error(error) and self.engine.dialect.is_disconnect(error, lent.driver_connection, None):  # type: ignore[arg-type]
            lent.invalidate(error)
            self.engine.dispose()


def use_write_ahead_log(raw: Any) -> None:
    """Let readers of an SQLite file go on while a batch is written to it; the file remembers."""
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
def _transaction(raw: Any, begin: str) -> Iterator[None]:
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
        return create_engine(url, connect_args=arguments, **_ENGINE)
    engine = create_engine(url, connect_args={"timeout": timeouts.lock}, **_ENGINE)
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
    # A page that many batches change is then copied into the file once for all of them.
    connection.execute(f"PRAGMA wal_autocheckpoint={_SQLITE_LOG_PAGES}")
