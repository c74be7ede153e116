"""S: the tables of the store, with plain SQL."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import Any, TypeAlias

import psycopg

Row: TypeAlias = dict[str, Any]
Tables: TypeAlias = dict[str, list[Row]]

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
    ],
    "withdrawals": ["entity_id", "target_id", "offset", "partition", "recorded_at", "event_id", "event_type", "event"],
    "conflicts": ["entity_id", "event_id", "offset", "partition", "recorded_at", "valid_from", "event_type", "event"],
    "quarantine": ["partition", "offset", "error"],
}
SHARED = {
    "generations": ["projection", "number", "version", "topic", "state"],
    "checkpoints": ["projection", "number", "partition", "topic", "cluster_id", "topic_id", "next_offset", "watermark"],
}
_INSTANTS = {
    *("valid_from", "recorded_at", "refolded_at", "ended_at", "first_valid", "last_valid", "unstored_valid"),
    *("unstored_at", "quarantined_at", "pruned_before", "failing_valid", "watermark"),
}


def read(url: str, projection: str) -> Tables:
    """Read everything of a projection's first generation, in one snapshot; times become microseconds."""
    if url.startswith("sqlite:///"):
        with closing(sqlite3.connect(f"file:{url.removeprefix('sqlite:///')}?mode=ro", uri=True)) as lite:
            lite.execute("BEGIN")
            return _read(lite, projection, prefix="everwhen_", server=False)
    with psycopg.connect(url.replace("+psycopg", "", 1)) as server:
        server.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        return _read(server, projection, prefix="everwhen.", server=True)


def _read(connection: Any, projection: str, *, prefix: str, server: bool) -> Tables:
    names = {table: f"{prefix}{projection}__1_{table}" for table in COLUMNS} | {each: prefix + each for each in SHARED}
    tables = {}
    for table, columns in (COLUMNS | SHARED).items():
        wanted = ", ".join(_expression(column, server=server) for column in columns)
        rows = connection.execute(f"SELECT {wanted} FROM {names[table]}").fetchall()
        tables[table] = [_row(columns, row) for row in rows]
    return tables


def _expression(column: str, *, server: bool) -> str:
    if server and column in _INSTANTS:
        return f'(extract(epoch FROM "{column}") * 1000000)::bigint'
    return f'"{column}"::text' if server and column == "state" else f'"{column}"'


def _row(columns: list[str], values: Any) -> Row:
    row = dict(zip(columns, values, strict=True))
    if "withdrawn" in row:
        row["withdrawn"] = {0: False, 1: True}.get(row["withdrawn"], row["withdrawn"])
    if "entity_id" in row and "state" in row:
        row["state"] = items(row["state"])
    return row


def items(state: str | None) -> Any:
    """Return the state's items as a tuple; something that equals no state where it is none."""
    if state is None:
        return None
    try:
        found = json.loads(state)
    except ValueError:
        return "no JSON", state
    return tuple(found["items"]) if isinstance(found, dict) and found.keys() == {"items"} else ("no state", state)
