"""The tables: four that all projections share, and seven for each generation of a projection.

On PostgreSQL they live in the schema ``everwhen``, so that a projection's views never meet the user's tables; on
SQLite their names begin with ``everwhen_``. ``entity_id`` leads every key of a table that holds entities, and there
are no foreign keys, no serials and no index across entities, so that the tables can be distributed by it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, Table, Text

from everwhen.sql.expressions import POSTGRESQL
from everwhen.sql.types import Blob, Flag, Id, Instant, JsonText

SCHEMA = "everwhen"
SCHEMA_VERSION = 5
IDS = "_ids"
"""What the name of the unique index of event ids ends with."""
_ROOM = {"fillfactor": 70}  # rows that are updated stay on their page, and so out of the index


class SharedTables:
    """``meta``, ``generations``, ``checkpoints`` and ``decisions``."""

    def __init__(self, dialect: str) -> None:
        self.metadata = metadata_of(dialect)
        self.meta = Table(
            name_of(dialect, "meta"),
            self.metadata,
            Column("schema_version", Integer, primary_key=True, autoincrement=False),
        )
        self.generations = Table(name_of(dialect, "generations"), self.metadata, *_generation_columns())
        self.checkpoints = Table(
            name_of(dialect, "checkpoints"), self.metadata, *_checkpoint_columns(), postgresql_with=_ROOM
        )
        self.decisions = Table(
            name_of(dialect, "decisions"),
            self.metadata,
            Column("projection", Id, primary_key=True),
            Column("number", Integer, primary_key=True, autoincrement=False),
            Column("partition", Integer, primary_key=True, autoincrement=False),
            Column("decided_at", Instant, primary_key=True),
            Column("kind", Text, nullable=False, comment="gap, roll-back, restart or partitions"),
            Column("from_offset", BigInteger, nullable=False),
            Column("to_offset", BigInteger, nullable=False),
            Column("reason", Text, nullable=False),
        )


class GenerationTables:
    """The tables of one build of a projection. Column order is field order in :mod:`everwhen.projection.rows`."""

    def __init__(self, dialect: str, projection: str, number: int) -> None:
        self.metadata = metadata_of(dialect)
        prefix = f"{name_of(dialect, projection)}__{number}_"

        def table(part: str, *columns: Column[Any], **options: Any) -> Table:
            return Table(prefix + part, self.metadata, *columns, **options)

        # On SQLite these two stay in the order in which they are written, beside their keys: clustered by key, a row
        # cost 40 % more to write, and reading one was only a tenth faster.
        self.versions = table("versions", *_version_columns())
        self.superseded = table("superseded", *_version_columns(), *_ending_columns())
        # An event id is one entity's own, so these find a duplicate for ever, whatever its valid time. They cost 2 us a
        # row. Where it is unique, an id that cannot be a duplicate's need not be looked up before.
        Index(self.versions.name + IDS, self.versions.c.entity_id, self.versions.c.event_id, unique=True)
        Index(f"{self.superseded.name}_event", self.superseded.c.entity_id, self.superseded.c.event_id)
        self.entities = table("entities", *_entity_columns(), sqlite_with_rowid=False, postgresql_with=_ROOM)
        self.withdrawals = table("withdrawals", *_withdrawal_columns(), sqlite_with_rowid=False)
        self.conflicts = table("conflicts", *_conflict_columns(), sqlite_with_rowid=False)
        self.pruned = table("pruned", *_pruned_columns(), sqlite_with_rowid=False)
        self.quarantine = table("quarantine", *_quarantine_columns())
        Index(f"{self.quarantine.name}_entity", self.quarantine.c.entity_id, self.quarantine.c.offset)
        # Asked for every few seconds, and nearly always empty.
        asked = self.quarantine.c.request.is_not(None)
        Index(
            f"{self.quarantine.name}_request",
            self.quarantine.c.partition,
            self.quarantine.c.offset,
            sqlite_where=asked,
            postgresql_where=asked,
        )


@lru_cache(maxsize=256)
def tables_of(dialect: str, projection: str, number: int) -> GenerationTables:
    """Return the tables of one build, the same objects each time.

    SQLAlchemy keeps what it has compiled for the objects that a statement was made of, hundreds of statements: with new
    ones for every question it would keep a copy of each.
    """
    return GenerationTables(dialect, projection, number)


def metadata_of(dialect: str) -> MetaData:
    return MetaData(schema=SCHEMA if dialect == POSTGRESQL else None)


def name_of(dialect: str, name: str) -> str:
    return name if dialect == POSTGRESQL else f"{SCHEMA}_{name}"


def _key(name: str, kind: Any) -> Column[Any]:
    return Column(name, kind, primary_key=True, autoincrement=False)


def _generation_columns() -> list[Column[Any]]:
    return [
        Column("projection", Id, primary_key=True),
        Column("number", Integer, primary_key=True, autoincrement=False),
        Column("version", Integer, nullable=False),
        Column("fingerprint", Text, nullable=False),
        Column("topic", Text, nullable=False),
        Column("state", Text, nullable=False, comment="live, building, retired or dropped"),
        Column("created_at", Instant, nullable=False),
        Column("partitions", Integer, comment="how many the topic had; null before the first claim"),
        Column("retired_at", Instant, comment="when another generation began to answer instead"),
        Column("columns", Text, comment="the state's fields for views, as JSON: [[name, kind], ...]"),
    ]


def _checkpoint_columns() -> list[Column[Any]]:
    return [
        Column("projection", Id, primary_key=True),
        Column("number", Integer, primary_key=True, autoincrement=False),
        Column("partition", Integer, primary_key=True, autoincrement=False),
        Column("topic", Text, nullable=False),
        Column("cluster_id", Text, nullable=False),
        Column("topic_id", Text, nullable=False),
        Column("next_offset", BigInteger, nullable=False),
        Column("leader_epoch", Integer),
        Column("owner", Text, nullable=False),
        Column("epoch", BigInteger, nullable=False),
        Column("watermark", Instant, comment="null before the first record"),
        Column("quiet_until", Instant, comment="nothing comes any more that was recorded up to here"),
        Column("last_offset", BigInteger, comment="of the last record that was applied"),
        Column("last_checksum", BigInteger, comment="CRC-32 of that record"),
        Column("trouble", Text, comment="why the partition stands still: the class of an error"),
        Column("trouble_from", BigInteger),
        Column("trouble_to", BigInteger),
        Column("attempts", Integer, nullable=False, comment="claims since the last batch that were not released"),
        Column("suspect_offset", BigInteger, comment="where records were about to be applied"),
        Column("suspect_records", Integer, comment="how many"),
        Column("suspect_deaths", Integer, comment="in how many claims"),
        Column("suspect_epoch", BigInteger, comment="the last of these claims"),
        Column("prunings", BigInteger, nullable=False, server_default="0", comment="how often entities were pruned"),
    ]


def _version_columns() -> list[Column[Any]]:
    return [
        _key("entity_id", Id),
        _key("valid_from", Instant),
        _key("offset", BigInteger),
        Column("partition", Integer, nullable=False),
        Column("recorded_at", Instant, nullable=False),
        Column("refolded_offset", BigInteger),
        Column("refolded_at", Instant),
        Column("event_id", Id, nullable=False),
        Column("event_type", Text, nullable=False),
        Column("correlation_id", Text),
        Column("causation_id", Text),
        Column("withdraws", Text),
        Column("event", Blob, nullable=False),
        Column("state", JsonText),
    ]


def _ending_columns() -> list[Column[Any]]:
    return [
        _key("ended_offset", BigInteger),  # the same row can be superseded again and again
        Column("ended_at", Instant, nullable=False),
        Column("withdrawn", Flag, nullable=False),
    ]


def _entity_columns() -> list[Column[Any]]:
    return [
        _key("entity_id", Id),
        Column("partition", Integer, nullable=False),
        Column("state", JsonText),
        Column("first_valid", Instant),
        Column("last_valid", Instant),
        Column("last_offset", BigInteger, nullable=False),
        Column("versions", BigInteger, nullable=False),
        Column("lead", BigInteger, nullable=False, comment="microseconds"),
        Column("withdrawals", BigInteger, nullable=False),
        Column("unstored_offset", BigInteger),
        Column("unstored_valid", Instant),
        Column("quarantined_offset", BigInteger),
        Column("unstored_at", Instant),
        Column("quarantined_at", Instant),
        Column("pruned_before", Instant),
        Column("failing_valid", Instant),
        Column("failing_offset", BigInteger),
        Column("mended_offset", BigInteger),
        Column("mended_from", BigInteger),
        Column("pruned_offset", BigInteger),
        Column("pruned_at", Instant),
    ]


def _withdrawal_columns() -> list[Column[Any]]:
    return [
        _key("entity_id", Id),
        Column("target_id", Text, nullable=False),
        Column("offset", BigInteger, nullable=False),
        Column("partition", Integer, nullable=False),
        Column("recorded_at", Instant, nullable=False),
        _key("event_id", Id),
        Column("event_type", Text, nullable=False),
        Column("event", Blob, nullable=False),
    ]


def _conflict_columns() -> list[Column[Any]]:
    return [
        _key("entity_id", Id),
        Column("event_id", Text, nullable=False),
        _key("offset", BigInteger),
        _key("partition", Integer),
        Column("recorded_at", Instant, nullable=False),
        Column("valid_from", Instant, nullable=False),
        Column("event_type", Text, nullable=False),
        Column("event", Blob, nullable=False),
    ]


def _pruned_columns() -> list[Column[Any]]:
    return [
        _key("entity_id", Id),
        _key("event_id", Id),
        Column("valid_from", Instant, nullable=False),
        Column("withdraws", Text),
        Column("counted", Flag, nullable=False, comment="it was not withdrawn"),
        Column("digest", Blob, nullable=False, comment="SHA-256 of what the event held"),
    ]


def _quarantine_columns() -> list[Column[Any]]:
    return [
        _key("partition", Integer),
        _key("offset", BigInteger),
        Column("entity_id", Id),
        Column("recorded_at", Instant, nullable=False),
        Column("key", Blob),
        Column("value", Blob),
        Column("headers", JsonText, nullable=False),
        Column("error_class", Text, comment="null for what only waits"),
        Column("error", Text),
        Column("attempts", Integer, nullable=False),
        Column("status", Text, nullable=False, comment="failed, waiting or discarded"),
        Column("reason", Text),
        Column("request", Text, comment="retry or discard, until the worker has done it"),
    ]
