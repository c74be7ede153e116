"""L3: all entities at one instant, and many points at once, by the best statements that were found on PostgreSQL.

They give the columns that answers are made of, as tuples of the driver in binary; nothing is turned into objects.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, TypeAlias

import psycopg

Pair: TypeAlias = tuple[str, datetime]
_VERSIONS: Final = "everwhen.aircraft__1_versions"
_COLUMNS: Final = (
    'v.valid_from, n.valid_from, v.recorded_at, v.event_id, v.event_type, v.partition, v."offset", v.state::text'
)
_LAST: Final = f"""
LEFT JOIN LATERAL (SELECT * FROM {_VERSIONS} WHERE entity_id = {{id}} AND valid_from <= {{at}}
  ORDER BY valid_from DESC, "offset" DESC LIMIT 1) v ON true
LEFT JOIN LATERAL (SELECT valid_from FROM {_VERSIONS} WHERE entity_id = {{id}} AND valid_from > {{at}}
  ORDER BY valid_from, "offset" LIMIT 1) n ON true
"""
_SNAPSHOT: Final = (
    f"SELECT e.entity_id, {_COLUMNS} FROM everwhen.aircraft__1_entities e "
    + _LAST.format(id="e.entity_id", at="%(at)s")
    + " WHERE v.valid_from IS NOT NULL ORDER BY e.entity_id"
)
_JOIN: Final = f"SELECT p.n, {_COLUMNS} FROM pairs p " + _LAST.format(id="p.entity_id", at="p.valid_at")
_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_place_and_size = struct.Struct(">hiqi").pack
_instant = struct.Struct(">iq").pack
_EPOCH: Final = 946_684_800


def snapshot(connection: psycopg.Connection[Any], valid_at: datetime) -> list[tuple[Any, ...]]:
    """Return all entities that have a version at the instant, ordered by id."""
    with connection.transaction():
        connection.execute("SET LOCAL jit = off")
        return connection.cursor(binary=True).execute(_SNAPSHOT, {"at": valid_at}).fetchall()


def join(connection: psycopg.Connection[Any], pairs: Sequence[Pair]) -> list[tuple[Any, ...]]:
    """Return the version for each pair, in their order: they are sorted, copied into a table, and seeked from there."""
    order = sorted(range(len(pairs)), key=pairs.__getitem__)
    with connection.transaction():
        connection.execute(
            'CREATE TEMP TABLE pairs (n bigint, entity_id text COLLATE "C", valid_at timestamptz) ON COMMIT DROP'
        )
        with connection.cursor().copy("COPY pairs FROM STDIN (FORMAT binary)") as copy:
            copy.write(_HEADER + b"".join([_packed(place, *pairs[place]) for place in order]) + b"\xff\xff")
        connection.execute("ANALYZE pairs")
        connection.execute("SET LOCAL jit = off")
        rows = connection.cursor(binary=True).execute(_JOIN).fetchall()
    found: list[tuple[Any, ...]] = [()] * len(pairs)
    for row in rows:
        found[row[0]] = row
    return found


def _packed(place: int, entity_id: str, valid_at: datetime) -> bytes:
    key = entity_id.encode()
    micros = round((valid_at.timestamp() - _EPOCH) * 1_000_000)
    return _place_and_size(3, 8, place, len(key)) + key + _instant(8, micros)
