"""An outbox: putting events into the caller's own transaction, in order and with versions for each entity.

An entity's events get the versions 1, 2, 3, ... The statement that adds one reads the entity's last version and takes
the next; the primary key lets only one of two writers have it, and the other waits for the first one's end. So the
versions of an entity are committed in their order and without a hole, under every isolation level, and the writer's
role needs no right but to select and to insert: there is no counter to update.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from sqlalchemy import (
    URL,
    BigInteger,
    Connection,
    Engine,
    Text,
    bindparam,
    case,
    func,
    literal,
    literal_column,
    null,
    or_,
    select,
    true,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session, scoped_session
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.selectable import Subquery

from everwhen.errors import ArgumentError, StoreConflict, StoreError, VersionConflict
from everwhen.ports.outbox import Entry, Standing, shard_of
from everwhen.sql.database import Database, use_write_ahead_log
from everwhen.sql.engine import Timeouts
from everwhen.sql.errors import translated
from everwhen.sql.expressions import POSTGRESQL
from everwhen.sql.outbox_standing import standings
from everwhen.sql.outbox_tables import HEADERS, OutboxTables, outbox_tables
from everwhen.sql.tables import SCHEMA

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

Transaction: TypeAlias = "Connection | Session | scoped_session[Any]"
"""What a caller has a transaction on."""

AsyncTransaction: TypeAlias = "AsyncConnection | AsyncSession"
"""The same of asyncio's."""

CHANNEL: Final = "everwhen_outbox"
"""On which relays are notified; the payload is the topic."""
_ATTEMPTS: Final = 1000
_KNOWN_HEADERS: Final = frozenset({*HEADERS, "ce_specversion", "ce_id", "ce_type", "ce_subject", "content-type"})
_WRITER: Final = {"outbox": "SELECT, INSERT", "meta": "SELECT"}
_RELAY: Final = {**dict.fromkeys(("outbox", "shards", "relays"), "SELECT, INSERT, UPDATE, DELETE"), "meta": "SELECT"}


class SqlOutbox:
    """Implements :class:`everwhen.ports.outbox.OutboxWriter`. Thread-safe.

    :param target: the service's database: a URL, or its engine, which is never closed.
    :param notify: wake relays by NOTIFY at each commit, on PostgreSQL.
    """

    def __init__(self, target: str | URL | Engine, *, notify: bool = True) -> None:
        self._database = Database(target, Timeouts())
        self._tables: OutboxTables = outbox_tables(self._database.kind)
        adding = _adding_on_postgresql if self._database.kind == POSTGRESQL else _adding_on_sqlite
        self._add: Executable = adding(self._tables, notify=notify)

    @property
    def address(self) -> str:
        """Where it is, without secrets."""
        return self._database.address

    def add(self, transaction: Transaction, entry: Entry, expected: int | None) -> int:
        """Add an event; return the version of its entity that it is."""
        connection = self._connection(transaction)
        parameters = _parameters(entry) | {"expected": expected}
        for _ in range(_ATTEMPTS):
            with self._told(entry.entity_id, expected):
                version: int | None = connection.execute(self._add, parameters).scalar()
            if version is not None:
                return version
            if expected is not None:
                raise _conflict(entry.entity_id, expected, self.version(connection, entry.topic, entry.entity_id))
        raise StoreConflict(
            f"{_ATTEMPTS} other transactions were faster to publish for entity {entry.entity_id!r}; try again, and let "
            "fewer writers publish for one entity at a time"
        )

    def version(self, transaction: Transaction, topic: str, entity_id: str) -> int:
        """Return how many events the entity has had; 0 for one that is new."""
        connection = self._connection(transaction)
        rows = self._tables.outbox.c
        asked = select(func.max(rows.version)).where(rows.aggregateid == entity_id, rows.aggregatetype == topic)
        with translated(self.address, "asking an outbox for a version"):
            return connection.execute(asked).scalar() or 0

    def standings(self) -> list[Standing]:
        """Say of each topic that waits, or was ever relayed, how it stands.

        :raises StoreMismatch: if there are no tables of an outbox, or of another version.
        """
        self._tables.check(self._database)
        with self._database.core("asking how an outbox stands", reading=True) as connection:
            return standings(connection, self._tables)

    def create_tables(self, connection: Connection | None = None) -> bool:
        """Create the tables that are missing; return whether some were.

        :param connection: in whose transaction; one of its own if left out.
        :raises StoreMismatch: if they are there in another version.
        """
        if connection is not None:
            with translated(self.address, "making the tables of an outbox"):
                return self._tables.create(connection)
        if self._database.kind != POSTGRESQL:
            with self._database.connection("making the tables of an outbox") as raw:
                use_write_ahead_log(raw)
        with self._database.core("making the tables of an outbox") as own:
            return self._tables.create(own)

    def grant(self, role: str, *, relaying: bool) -> None:
        """Let a role of PostgreSQL publish, or run relays.

        :raises ArgumentError: if the database has no roles.
        :raises StoreError: if there is no such role, or the tables are not ours to grant.
        """
        if self._database.kind != POSTGRESQL:
            raise ArgumentError(f"{self.address} is a file, and has no roles: set the file's permissions")
        with self._database.core(f"granting rights to role {role}") as connection:
            quoted = connection.dialect.identifier_preparer.quote_identifier(role)
            connection.exec_driver_sql(f"GRANT USAGE ON SCHEMA {SCHEMA} TO {quoted}")
            for name, rights in (_RELAY if relaying else _WRITER).items():
                table = getattr(self._tables, name).fullname
                connection.exec_driver_sql(f"GRANT {rights} ON {table} TO {quoted}")

    def close(self) -> None:
        """Close the connections, unless the engine is the user's. Idempotent."""
        self._database.close()

    def _connection(self, transaction: Transaction) -> Connection:
        if isinstance(transaction, Connection):
            connection = transaction
        elif isinstance(transaction, Session | scoped_session):
            connection = transaction.connection()
        else:
            raise ArgumentError(
                f"publish takes a Connection or a Session of SQLAlchemy's, not {type(transaction).__name__}; with an "
                "AsyncConnection or an AsyncSession await publish_async"
            )
        self._check(connection)
        return connection

    def _check(self, connection: Connection) -> None:
        if connection.dialect.name != self._database.kind:
            raise ArgumentError(
                f"the transaction is one of {connection.dialect.name}, and this outbox lies in {self.address}; publish "
                "in a transaction of that database"
            )
        if _commits_by_itself(connection):
            raise ArgumentError(
                "the connection commits each statement by itself, so the event would stay when the rest is rolled "
                "back; publish in a transaction"
            )

    @contextmanager
    def _told(self, entity_id: str, expected: int | None) -> Iterator[None]:
        """Say what an undone transaction means to somebody who expected a version."""
        try:
            with translated(self.address, "publishing to an outbox"):
                yield
        except StoreConflict as error:
            if expected is None or getattr(error.__cause__, "sqlstate", None) != "40001":
                raise
            raise _conflict(entity_id, expected, None) from error
        except StoreError as error:
            if getattr(error.__cause__, "sqlstate", None) != "42P01" and "no such table" not in str(error):
                raise
            raise StoreError(
                f"there are no tables of an outbox in {self.address}; make them with everwhen outbox init or "
                "Outbox.create_tables"
            ) from error


def _commits_by_itself(connection: Connection) -> bool:
    raw = connection.connection.driver_connection
    if connection.dialect.name == POSTGRESQL:
        return getattr(raw, "autocommit", False) is True
    # With the isolation level None a transaction is open only if somebody has begun one.
    return getattr(raw, "isolation_level", "") is None and not getattr(raw, "in_transaction", False)


def _conflict(entity_id: str, expected: int, actual: int | None) -> VersionConflict:
    what = "was new" if expected == 0 else f"had version {expected}"
    now = (
        "another transaction has published for it meanwhile"
        if actual is None
        else f"its version is {actual}"
        if actual
        else "it has no event at all"
    )
    return VersionConflict(
        f"entity {entity_id!r} {what} when it was read, and now {now}; roll back, read it again and decide again",
        entity_id=entity_id,
        expected=expected,
        actual=actual,
    )


def _parameters(entry: Entry) -> dict[str, Any]:
    headers = dict(entry.headers)
    if unknown := headers.keys() - _KNOWN_HEADERS:
        raise ArgumentError(f"an outbox has no column for the header {min(unknown)}; publish it with Publisher")
    columns = {name: value.decode() if (value := headers.get(name)) is not None else None for name in HEADERS}
    return columns | {
        "entity": entry.entity_id,
        "topic": entry.topic,
        "id": entry.event_id,
        "type": entry.type,
        "payload": entry.value,
        "shard": shard_of(entry.entity_id.encode()),
        "now": entry.queued_at,
    }


_ADDED: Final = (
    *("aggregateid", "aggregatetype", "version", "queued_at"),
    *("id", "type", "payload", "shard", *HEADERS),
)


def _next(tables: OutboxTables) -> Any:
    """Select the row that comes next for an entity; no row if it has another version than was expected."""
    rows = tables.outbox.c
    last: Subquery = (
        select(rows.version, rows.queued_at)
        .where(rows.aggregateid == bindparam("entity"), rows.aggregatetype == bindparam("topic"))
        .order_by(rows.version.desc())
        .limit(1)
        .subquery("last")
    )
    one = select(literal_column("1").label("one")).subquery("one")
    now = bindparam("now", type_=BigInteger)
    version = func.coalesce(last.c.version, literal(0, BigInteger))
    given = {name: bindparam(name, type_=rows[name].type) for name in _ADDED[4:]}
    return (
        select(
            bindparam("entity", type_=Text),
            bindparam("topic", type_=Text),
            version + 1,
            # A clock that goes back must not change the order: relays go by this column.
            case((last.c.queued_at >= now, last.c.queued_at + 1), else_=now),
            *given.values(),
        )
        .select_from(one.outerjoin(last, true()))
        .where(
            or_(
                bindparam("expected", type_=BigInteger) == version,
                bindparam("expected", type_=BigInteger).is_(null()),
            )
        )
    )


def _adding_on_sqlite(tables: OutboxTables, *, notify: bool) -> Executable:
    del notify  # a file wakes nobody
    table = tables.outbox
    return sqlite.insert(table).from_select(_ADDED, _next(tables)).on_conflict_do_nothing().returning(table.c.version)


def _adding_on_postgresql(tables: OutboxTables, *, notify: bool) -> Executable:
    table = tables.outbox
    adding = (
        postgresql.insert(table).from_select(_ADDED, _next(tables)).on_conflict_do_nothing().returning(table.c.version)
    )
    if not notify:
        return adding
    added = adding.cte("added")
    return select(added.c.version, func.pg_notify(CHANNEL, bindparam("topic", type_=Text)))
