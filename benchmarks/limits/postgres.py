"""L2 on PostgreSQL: rows packed by hand for a binary ``COPY``, entities in one upsert."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import psycopg

from benchmarks.limits.fold import Batch, Row
from benchmarks.limits.project import Claim

_ZERO: Final = 946_684_800_000_000
"""PostgreSQL's zero of time, 2000-01-01, in microseconds since 1970."""
_NULL: Final = b"\xff\xff\xff\xff"
_head = struct.Struct(">hi").pack
_fixed = struct.Struct(">iqiqiiiq").pack
_size = struct.Struct(">i").pack

_MOVE: Final = """
    UPDATE everwhen.checkpoints SET next_offset = %s, watermark = timestamptz 'epoch' + %s * interval '1 microsecond'
    WHERE projection = 'aircraft' AND number = 1 AND partition = %s AND owner = %s AND epoch = %s AND next_offset = %s
"""
_COPY: Final = """
    COPY everwhen.aircraft__1_versions (entity_id, valid_from, "offset", partition, recorded_at, refolded_offset,
    refolded_at, event_id, event_type, correlation_id, causation_id, withdraws, event, state) FROM STDIN (FORMAT binary)
"""
_UPSERT: Final = """
    INSERT INTO everwhen.aircraft__1_entities AS e (entity_id, partition, state, first_valid, last_valid, last_offset,
    versions, lead, withdrawals)
    SELECT k.entity_id, k.partition, k.state::json, timestamptz 'epoch' + k.first_valid * interval '1 microsecond',
    timestamptz 'epoch' + k.last_valid * interval '1 microsecond', k.last_offset, k.versions, k.lead, 0
    FROM unnest(%s::text[], %s::int[], %s::text[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[])
    AS k (entity_id, partition, state, first_valid, last_valid, last_offset, versions, lead)
    ON CONFLICT (entity_id) DO UPDATE SET state = excluded.state, last_valid = excluded.last_valid,
    last_offset = excluded.last_offset, versions = e.versions + excluded.versions,
    lead = greatest(e.lead, excluded.lead)
"""


class PostgresSink:
    """Writes to the tables of generation 1 of ``aircraft``.

    :param url: a SQLAlchemy URL, as a worker has it.
    """

    def __init__(self, url: str, claims: Mapping[int, Claim]) -> None:
        self._connection = psycopg.connect(url.replace("postgresql+psycopg", "postgresql"), autocommit=True)
        self._claims = claims

    def load(self, entity_ids: Sequence[str]) -> Iterable[tuple[str, str]]:
        """Return the stored states, as JSON."""
        text = "SELECT entity_id, state::text FROM everwhen.aircraft__1_entities WHERE entity_id = ANY(%s)"
        found: list[Any] = self._connection.execute(text, (list(entity_ids),)).fetchall()
        return found

    def commit(self, batch: Batch, expected: Mapping[int, int]) -> None:
        """Move the checkpoints, then write the rows."""
        self._write(batch, expected, rows=True)

    def _write(self, batch: Batch, expected: Mapping[int, int], *, rows: bool) -> None:
        with self._connection.transaction(), self._connection.cursor() as cursor:
            for partition, (reached, recorded) in batch.reached.items():
                owner, epoch, _ = self._claims[partition]
                cursor.execute(_MOVE, (reached, recorded, partition, owner, epoch, expected[partition]))
                if cursor.rowcount != 1:
                    raise RuntimeError("another one has the partition")
            if rows:
                with cursor.copy(_COPY) as copy:
                    copy.write(pack(batch.rows))
            cursor.execute(_UPSERT, [list(column) for column in zip(*batch.heads.values(), strict=True)])


def pack(rows: Iterable[Row]) -> bytes:
    """Write PostgreSQL's binary format of COPY; what these events never have stays null."""
    packed = [b"PGCOPY\n\xff\r\n\0" + bytes(8)]
    add, nulls = packed.append, _NULL * 3
    for key, at, offset, partition, recorded, _, _, event_id, name, _, _, _, event, state in rows:
        entity, id_, type_, text = key.encode(), event_id.encode(), name.encode(), state.encode()
        places = _fixed(8, at - _ZERO, 8, offset, 4, partition, 8, recorded - _ZERO)
        add(_head(14, len(entity)) + entity + places + _NULL * 2)
        add(b"".join((_size(len(id_)), id_, _size(len(type_)), type_, nulls, _size(len(event)), event)))
        add(_size(len(text)) + text)
    add(b"\xff\xff")
    return b"".join(packed)
