"""The tables of an outbox: they lie in the service's own database, beside what it changes in the same transaction.

On PostgreSQL in the schema ``everwhen``, on SQLite with names that begin with ``everwhen_``, as the tables of a store.
The names of ``outbox``'s columns are those that Debezium's outbox event router looks for
(https://debezium.io/documentation/reference/stable/transformations/outbox-event-router.html); what a header needs that
no other column has is a column of the header's own name, which the router can place there.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from sqlalchemy import BigInteger, Column, Connection, Index, Integer, SmallInteger, Table, Text, inspect, select
from sqlalchemy.schema import CreateSchema

from everwhen.errors import StoreMismatch
from everwhen.sql.database import Database
from everwhen.sql.expressions import POSTGRESQL
from everwhen.sql.tables import SCHEMA, metadata_of, name_of
from everwhen.sql.types import Blob, Id
from everwhen.sql.versions import wait_for_turn

OUTBOX_VERSION: Final = 1
"""Of these tables; those of a store have their own."""
HEADERS: Final = (
    "ce_source",
    "ce_time",
    "ce_correlationid",
    "ce_causationid",
    "traceparent",
    "tracestate",
    "ce_withdraws",
)
"""Headers that are columns."""


class OutboxTables:
    """``outbox``, and for relays ``outbox_shards`` and ``outbox_relays``; ``outbox_meta`` says of which version."""

    def __init__(self, dialect: str) -> None:
        self.metadata = metadata_of(dialect)

        def table(part: str, *columns: Column[Any]) -> Table:
            return Table(name_of(dialect, part), self.metadata, *columns)

        self.meta = table("outbox_meta", Column("schema_version", Integer, primary_key=True, autoincrement=False))
        self.outbox = table("outbox", *_outbox_columns())
        self.shards = table(
            "outbox_shards",
            Column("topic", Id, primary_key=True),
            Column("shard", SmallInteger, primary_key=True, autoincrement=False),
            Column("owner", Text, comment="the relay that has it"),
            Column("epoch", BigInteger, nullable=False, comment="how often it was taken"),
            Column("renewed_at", BigInteger, nullable=False, comment="microseconds, by the database's clock"),
        )
        self.relays = table(
            "outbox_relays",
            Column("topic", Id, primary_key=True),
            Column("owner", Id, primary_key=True),
            Column("seen_at", BigInteger, nullable=False, comment="microseconds, by the database's clock"),
        )
        rows = self.outbox.c
        waiting, sent = rows.sent_at.is_(None), rows.sent_at.is_not(None) & rows.payload.is_not(None)
        _index(self.outbox, "waiting", waiting, rows.aggregatetype, rows.shard, rows.queued_at)
        _index(self.outbox, "sent", sent, rows.aggregatetype, rows.sent_at)

    def create(self, connection: Connection) -> bool:
        """Create what is missing; return whether something was.

        :raises StoreMismatch: if the tables are there in another version.
        """
        wait_for_turn(connection)
        if connection.dialect.name == POSTGRESQL and not inspect(connection).has_schema(SCHEMA):
            connection.execute(CreateSchema(SCHEMA))
        missing = not self._exist(connection)
        if missing:
            self.metadata.create_all(connection)
            connection.execute(self.meta.insert().values(schema_version=OUTBOX_VERSION))
        self._check_version(connection)
        return missing

    def check(self, database: Database) -> None:
        """Make sure that the tables are there, in our version; make no file to find out.

        :raises StoreMismatch: if not.
        """
        if database.is_absent():
            raise _no_tables(database.address, ": there is no such file")
        with database.core("looking for an outbox", reading=True) as connection:
            if not self._exist(connection):
                raise _no_tables(database.address)
            self._check_version(connection)

    def _check_version(self, connection: Connection) -> None:
        found = connection.execute(select(self.meta.c.schema_version)).scalars().all()
        if found != [OUTBOX_VERSION]:
            raise StoreMismatch(
                f"the tables of the outbox are of version {', '.join(map(str, found)) or '?'}, and this package works "
                f"with version {OUTBOX_VERSION}; install the everwhen that made them, or a newer one"
            )

    def _exist(self, connection: Connection) -> bool:
        return inspect(connection).has_table(self.meta.name, schema=self.meta.schema)


def _no_tables(address: str, why: str = "") -> StoreMismatch:
    return StoreMismatch(
        f"there are no tables of an outbox in {address}{why}; check the URL, or make them with everwhen outbox init"
    )


@lru_cache(maxsize=2)
def outbox_tables(dialect: str) -> OutboxTables:
    """Return the tables, the same objects each time."""
    return OutboxTables(dialect)


def _outbox_columns() -> list[Column[Any]]:
    return [
        Column("aggregateid", Id, primary_key=True, comment="the entity"),
        Column("aggregatetype", Id, primary_key=True, comment="the topic"),
        Column("version", BigInteger, primary_key=True, autoincrement=False, comment="of the entity: 1, 2, 3, ..."),
        Column("id", Id, nullable=False, comment="of the event"),
        Column("type", Text, nullable=False, comment="of the event"),
        Column("payload", Blob, comment="Avro, as it goes into the log; null once it was removed"),
        Column("shard", SmallInteger, nullable=False),
        Column("queued_at", BigInteger, nullable=False, comment="microseconds, rising for each entity"),
        Column("sent_at", BigInteger, comment="microseconds; null until the log has acknowledged it"),
        *(Column(name, Text, nullable=name not in {"ce_source", "ce_time"}) for name in HEADERS),
    ]


def _index(table: Table, name: str, where: Any, *columns: Column[Any]) -> None:
    Index(f"{table.name}_{name}", *columns, sqlite_where=where, postgresql_where=where)
