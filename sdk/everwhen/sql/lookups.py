"""What a batch asks before it writes, for many entities at once.

Each lookup is written for one key. On SQLite it is run once per key; on PostgreSQL once for all of them, joined
to arrays of keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from sqlalchemy import ColumnElement, Select, literal_column, select, union_all
from sqlalchemy.sql.base import ReadOnlyColumnCollection
from sqlalchemy.types import TypeEngine

from everwhen.sql.tables import GenerationTables
from everwhen.sql.types import Id, Instant

_Columns: TypeAlias = ReadOnlyColumnCollection[str, Any]


class Inner(Protocol):
    """Writes a lookup for the given key columns."""

    def __call__(self, tables: GenerationTables, *key: ColumnElement[Any]) -> Any: ...


@dataclass(frozen=True, slots=True, eq=False)
class Lookup:
    """A question with a key of one or two columns."""

    inner: Inner
    key: Mapping[str, TypeEngine[Any]]
    """Name and type of the key's columns, in order."""


def _heads(tables: GenerationTables, *key: ColumnElement[Any]) -> Select[Any]:
    return select(*tables.entities.c).where(tables.entities.c.entity_id == key[0])


def _live(tables: GenerationTables, *key: ColumnElement[Any]) -> Select[Any]:
    rows = tables.versions.c
    return select(*_known(rows)).where(rows.entity_id == key[0], rows.event_id == key[1])


def _gone(tables: GenerationTables, *key: ColumnElement[Any]) -> Select[Any]:
    rows = tables.superseded.c
    return select(*_known(rows)).where(rows.entity_id == key[0], rows.event_id == key[1], rows.withdrawn)


def _known(rows: _Columns) -> tuple[ColumnElement[Any], ...]:
    return rows.entity_id, rows.event_id, rows.valid_from, rows.event_type, rows.event, rows.withdraws


def _withdrawing(tables: GenerationTables, *key: ColumnElement[Any]) -> Select[Any]:
    rows = tables.withdrawals.c
    return select(rows.entity_id, rows.event_id, rows.recorded_at, rows.event_type, rows.event, rows.target_id).where(
        rows.entity_id == key[0], rows.event_id == key[1]
    )


def _pruned(tables: GenerationTables, *key: ColumnElement[Any]) -> Select[Any]:
    rows = tables.pruned.c
    return select(*rows).where(rows.entity_id == key[0], rows.event_id == key[1])


def _withdrawn(tables: GenerationTables, *key: ColumnElement[Any]) -> Select[Any]:
    rows = tables.withdrawals.c
    return select(rows.entity_id, rows.target_id, rows.offset).where(rows.entity_id == key[0])


def _tails(tables: GenerationTables, *key: ColumnElement[Any]) -> Any:
    rows = tables.versions.c
    before = (
        select(*rows)
        .where(rows.entity_id == key[0], rows.valid_from < key[1])
        .order_by(rows.valid_from.desc(), rows.offset.desc())
        .limit(literal_column("1"))
        .offset(literal_column("0"))
        .subquery()
    )
    return union_all(select(*before.c), select(*rows).where(rows.entity_id == key[0], rows.valid_from >= key[1]))


def _quarantined(tables: GenerationTables, *key: ColumnElement[Any]) -> Select[Any]:
    rows = tables.quarantine.c
    waiting = select(*rows).where(rows.entity_id == key[0], rows.status != literal_column("'discarded'"))
    return waiting.with_for_update()  # what a user asks for meanwhile must not be overwritten


_ENTITY: dict[str, TypeEngine[Any]] = {"entity_id": Id}
_EVENT: dict[str, TypeEngine[Any]] = {"entity_id": Id, "event_id": Id}

HEADS = Lookup(_heads, _ENTITY)
LIVE = Lookup(_live, _EVENT)
GONE = Lookup(_gone, _EVENT)
WITHDRAWING = Lookup(_withdrawing, _EVENT)
PRUNED = Lookup(_pruned, _EVENT)
WITHDRAWN = Lookup(_withdrawn, _ENTITY)
TAILS = Lookup(_tails, {"entity_id": Id, "since": Instant()})
QUARANTINED = Lookup(_quarantined, _ENTITY)
ALL = (HEADS, LIVE, GONE, WITHDRAWING, PRUNED, WITHDRAWN, TAILS, QUARANTINED)
