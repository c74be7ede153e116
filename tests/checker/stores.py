"""S: the tables of the store, with plain SQL."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any, TypeAlias

import psycopg

Row: TypeAlias = dict[str, Any]
Tables: TypeAlias = Mapping[str, Iterable[Row]]
"""Those that belong to entities are in the order of their ids."""

_EVENT = (
    "entity_id valid_from offset partition recorded_at refolded_offset refolded_at event_id event_type correlation_id "
    "causation_id withdraws event state"
)
COLUMNS = {
    "versions": _EVENT.split(),
    "superseded": [*_EVENT.split(), "ended_offset", "ended_at", "withdrawn"],
    "entities": [
        "entity_id",
        "partition",
        "state",
        "first_valid",
        "last_valid",
        "last_offset",
        "versions",
        "lead",
        "withdrawals",
        "unstored_offset",
        "unstored_valid",
        "quarantined_offset",
        "unstored_at",
        "quarantined_at",
        "pruned_before",
        "failing_valid",
        "failing_offset",
        "mended_offset",
        "mended_from",
        "pruned_offset",
        "pruned_at",
    ],
    "withdrawals": ["entity_id", "target_id", "offset", "partition", "recorded_at", "event_id", "event_type", "event"],
    "conflicts": ["entity_id", "event_id", "offset", "partition", "recorded_at", "valid_from", "event_type", "event"],
    "quarantine": ["partition", "offset", "error"],
    "pruned": ["entity_id", "event_id"],
}
SHARED = {
    "generations": ["projection", "number", "version", "topic", "state", "partitions", "retired_at"],
    "checkpoints": [
        "projection",
        "number",
        "partition",
        "topic",
        "cluster_id",
        "topic_id",
        "next_offset",
        "prunings",
        "watermark",
        "last_offset",
        "last_checksum",
        "trouble",
        "trouble_from",
        "trouble_to",
    ],
    "decisions": ["projection", "number", "partition", "reason"],
}
_AT_ONCE = 5_000
_INSTANTS = {
    *("valid_from", "recorded_at", "refolded_at", "ended_at", "first_valid", "last_valid", "unstored_valid"),
    *("unstored_at", "quarantined_at", "pruned_before", "pruned_at", "failing_valid", "watermark", "retired_at"),
}


def read(url: str, projection: str) -> dict[str, list[Row]]:
    """Read everything of a projection's first generation, in one snapshot; times become microseconds."""
    with opened(url, projection) as tables:
        return {name: list(rows) for name, rows in tables.items()}


@contextmanager
def opened(url: str, projection: str, partition: int | None = None) -> Iterator[Tables]:
    """Open what :func:`read` reads, of one partition or of all, to be read once, row by row, in one snapshot."""
    with _connected(url) as (connection, names):
        yield {
            table: map(_row(columns), _select(connection, table, columns, names(projection, table), partition))
            for table, columns in (COLUMNS | SHARED).items()
        }


def sizes(url: str, projection: str) -> dict[str, int]:
    """Count the rows of every table that has partitions."""
    with _connected(url) as (connection, names):
        tables = [each for each, columns in (COLUMNS | SHARED).items() if "partition" in columns]
        return {
            each: connection.execute(f"SELECT count(*) FROM {names(projection, each)}").fetchone()[0] for each in tables
        }


@contextmanager
def _connected(url: str) -> Iterator[tuple[Any, Any]]:
    if url.startswith("sqlite:///"):
        with closing(sqlite3.connect(f"file:{url.removeprefix('sqlite:///')}?mode=ro", uri=True)) as lite:
            lite.execute("BEGIN")
            yield lite, lambda projection, table: _name(projection, table, "everwhen_")
        return
    with psycopg.connect(url.replace("+psycopg", "", 1)) as server:
        server.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        yield server, lambda projection, table: _name(projection, table, "everwhen.")


def _name(projection: str, table: str, prefix: str) -> str:
    return prefix + (f"{projection}__1_{table}" if table in COLUMNS else table)


def _select(connection: Any, table: str, columns: list[str], name: str, partition: int | None) -> Any:
    server = isinstance(connection, psycopg.Connection)
    wanted = ", ".join(_expression(column, server=server) for column in columns)
    query = f"SELECT {wanted} FROM {name}"
    if partition is not None and "partition" in columns:
        query += f" WHERE partition = {partition:d}"
    if "entity_id" in columns:
        query += ' ORDER BY entity_id COLLATE "C"' if server else " ORDER BY entity_id COLLATE BINARY"
    if not server:
        return connection.execute(query)
    # Of the server's side: many are read side by side, and none of them whole.
    cursor = connection.cursor(name=table)
    cursor.itersize = _AT_ONCE
    return cursor.execute(query)


def _expression(column: str, *, server: bool) -> str:
    if server and column in _INSTANTS:
        return f'(extract(epoch FROM "{column}") * 1000000)::bigint'
    return f'"{column}"::text' if server and column == "state" else f'"{column}"'


def _row(columns: list[str]) -> Any:
    has_state = "entity_id" in columns and "state" in columns
    has_withdrawn = "withdrawn" in columns

    def make(values: Any) -> Row:
        row = dict(zip(columns, values, strict=True))
        if has_withdrawn:
            row["withdrawn"] = {0: False, 1: True}.get(row["withdrawn"], row["withdrawn"])
        if has_state:
            row["state"] = items(row["state"])
        return row

    return make


def items(state: str | None) -> Any:
    """Return the state's items as a tuple; something that equals no state where it is none."""
    if state is None:
        return None
    try:
        found = json.loads(state)
    except ValueError:
        return "no JSON", state
    return tuple(found["items"]) if isinstance(found, dict) and found.keys() == {"items"} else ("no state", state)
