"""Engines: which databases can be a store, and the settings of those that are opened by their URL."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Final

from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError as UrlError

from everwhen.errors import MissingExtra, SettingsError
from everwhen.sql.expressions import POSTGRESQL, SQLITE

_DRIVERS: Final = {POSTGRESQL: "psycopg", SQLITE: "pysqlite"}
_ENGINE: Final[dict[str, Any]] = {"isolation_level": "AUTOCOMMIT", "hide_parameters": True}

# A server that vanished without a word is noticed after about a minute, whatever the kernel's defaults.
_POSTGRESQL: Final[dict[str, Any]] = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
    "application_name": "everwhen",
}
_SQLITE: Final = (
    # Losing the tail of the log file in a power failure is safe: rows and checkpoint roll back together.
    "PRAGMA synchronous=NORMAL",
    "PRAGMA cache_size=-65536",  # KiB
    # In pages; the default is 1000. What many batches change is then copied into the file once for all of them.
    "PRAGMA wal_autocheckpoint=8000",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long a transaction that writes may be in the way of others, in seconds.

    On PostgreSQL a worker that was stopped in the middle of a batch holds its partition for no longer than ``idle``
    or, while it hands rows over, ``statement``. SQLite cannot end the transaction of another process: there it holds
    the file until it goes on or dies.
    """

    lock: float = 10.0
    """To wait for a lock; on SQLite for the writer's turn, if the store was opened by its URL."""
    idle: float = 30.0
    """Until PostgreSQL ends a transaction that stands idle."""
    statement: float = 30.0
    """Until PostgreSQL ends a statement, so also one that waits for the rest of its rows."""
    answer: float = 90.0
    """Until a connection is given up on which PostgreSQL says nothing; only if the store was opened by its URL."""

    @classmethod
    def within(cls, idle: float) -> Timeouts:
        """Return timeouts that are to each other as by default.

        :param idle: as :attr:`idle`.
        """
        return cls(lock=idle / 3, idle=idle, statement=idle, answer=3 * idle)


def open_engine(target: str | URL | Engine, timeouts: Timeouts) -> Engine:
    """Return the engine that was given, or one for the URL; connect to nothing.

    :raises SettingsError: if the URL is of another database, or of one in memory.
    :raises MissingExtra: if the driver is not installed.
    """
    if isinstance(target, Engine):
        _check_supported(target.url, target.dialect.driver)
        return target
    url = _parse(target)
    kind = url.get_backend_name()
    _check_supported(url, url.drivername.partition("+")[2] or _DRIVERS.get(kind))
    if kind == SQLITE:
        engine = create_engine(url, connect_args={"timeout": timeouts.lock}, **_ENGINE)
        event.listen(engine, "connect", _set_up_sqlite)
        return engine
    if find_spec("psycopg") is None:
        raise MissingExtra("a store in PostgreSQL needs the driver psycopg; pip install 'everwhen[postgres]'")
    engine = create_engine(url, connect_args={k: v for k, v in _POSTGRESQL.items() if k not in url.query}, **_ENGINE)
    event.listen(engine, "do_connect", _connect_bounded)
    return engine


def address_of(url: URL) -> str:
    """Return the URL without its secrets; libpq takes passwords among the parameters too."""
    secret = {name: "***" for name in url.query if "password" in name.lower()}
    return url.update_query_dict(secret).render_as_string(hide_password=True)


def _parse(target: str | URL) -> URL:
    try:
        url = make_url(target)
    except UrlError:
        # SQLAlchemy's message would quote the URL, which may hold a password.
        raise SettingsError(
            "the store is not a URL of SQLAlchemy's; write it like postgresql+psycopg://user@host/database "
            "or sqlite:///bank.db"
        ) from None
    # Which driver SQLAlchemy takes for a URL that names none depends on its version; we have only this one.
    return url.set(drivername="postgresql+psycopg") if url.drivername in {"postgresql", "postgres"} else url


def _check_supported(url: URL, driver: str | None) -> None:
    kind = url.get_backend_name()
    if driver is None or _DRIVERS.get(kind) != driver:
        raise SettingsError(
            f"{address_of(url)}: a store is a PostgreSQL database (postgresql+psycopg://…) "
            "or an SQLite file (sqlite:///…)"
        )
    if kind == SQLITE and _is_in_memory(url):
        raise SettingsError(
            f"{address_of(url)} lives in memory, where every connection would see a database of its own and a restart "
            "would lose the checkpoint; give a file, such as sqlite:///bank.db"
        )


def _is_in_memory(url: URL) -> bool:
    database = url.database or ":memory:"
    return ":memory:" in database or "mode=memory" in database or url.query.get("mode") == "memory"


def _connect_bounded(_dialect: Any, _record: Any, arguments: Any, parameters: Any) -> Any:
    from everwhen.sql.silence import BoundedConnection  # only where PostgreSQL's driver is installed

    return BoundedConnection.connect(*arguments, **parameters)


def _set_up_sqlite(connection: Any, _record: Any) -> None:
    for setting in _SQLITE:
        connection.execute(setting)
