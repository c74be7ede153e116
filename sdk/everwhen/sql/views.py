"""Views on PostgreSQL that a BI tool can read: the current state in typed columns, and its whole history.

``everwhen.<projection>`` has a row for each entity that exists now. ``everwhen.<projection>_history`` is a type-2
slowly changing dimension: a row for each version with the half-open interval over which it is valid, and a key
that depends on the event alone, so that it is the same after a rebuild.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Connection,
    Date,
    DateTime,
    Label,
    Numeric,
    Select,
    Text,
    Uuid,
    cast,
    func,
    literal_column,
    select,
    true,
    type_coerce,
)
from sqlalchemy.types import TypeEngine

from everwhen.ports.store import Blueprint
from everwhen.sql.expressions import MicrosOf
from everwhen.sql.tables import SCHEMA, GenerationTables

HISTORY: Final = "_history"
"""What the name of the history's view ends with."""

_OWN: Final = ("entity_id", "version_key", "valid_from", "valid_to", "is_current", "is_deleted", "event_type")
_IDENTIFIER_BYTES: Final = 63  # PostgreSQL cuts longer names off
_INSTANT: Final = DateTime(timezone=True)
# A JSON integer has no bound, so its column has none: a single number past bigint would break the whole view.
_TYPES: Final[dict[str, TypeEngine[Any]]] = {
    "integer": Numeric(),
    "number": Numeric(),
    "boolean": Boolean(),
    "instant": _INSTANT,
    "date": Date(),
    "uuid": Uuid(),
}


def create_views(connection: Connection, blueprint: Blueprint, tables: GenerationTables) -> None:
    """Create both views of a projection over the tables of one generation."""
    quote = connection.dialect.identifier_preparer.quote
    for name, query in (
        (blueprint.projection, _current(blueprint, tables)),
        (blueprint.projection + HISTORY, _history(blueprint, tables)),
    ):
        body = query.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True})
        connection.exec_driver_sql(f"CREATE OR REPLACE VIEW {quote(SCHEMA)}.{quote(name)} AS {body}")


def _current(blueprint: Blueprint, tables: GenerationTables) -> Select[Any]:
    rows, entities = tables.versions.c, tables.entities
    version = (
        select(rows.state, rows.valid_from, rows.event_type)
        .where(rows.entity_id == entities.c.entity_id, _time(rows.valid_from) <= func.now())
        .order_by(rows.valid_from.desc(), rows.offset.desc())
        .limit(literal_column("1"))
        .lateral("version")
    )
    return (
        select(
            entities.c.entity_id,
            _time(version.c.valid_from).label("valid_from"),
            version.c.event_type,
            *_fields(blueprint, version.c.state),
        )
        .select_from(entities.join(version, true()))
        .where(_json(version.c.state).is_not(None))
    )


def _history(blueprint: Blueprint, tables: GenerationTables) -> Select[Any]:
    rows = tables.versions.c
    begin = _time(rows.valid_from)
    end = func.lead(begin).over(partition_by=rows.entity_id, order_by=[rows.valid_from, rows.offset])
    identity = func.concat_ws("|", rows.entity_id, MicrosOf(rows.valid_from), rows.offset)
    history = select(
        rows.entity_id,
        func.md5(identity).label("version_key"),
        begin.label("valid_from"),
        end.label("valid_to"),
        _json(rows.state).is_(None).label("is_deleted"),
        rows.event_type,
        rows.state,
    ).subquery("history")
    is_current = (history.c.valid_from <= func.now()) & (
        history.c.valid_to.is_(None) | (history.c.valid_to > func.now())
    )
    own = [history.c[name] for name in _OWN if name != "is_current"]
    return select(*own, is_current.label("is_current"), *_fields(blueprint, history.c.state))


def _fields(blueprint: Blueprint, state: ColumnElement[Any]) -> list[Label[Any]]:
    taken = set(_OWN)
    return [_field(name, kind, state).label(_free_name(name, taken)) for name, kind in blueprint.columns]


def _field(name: str, kind: str, state: ColumnElement[Any]) -> ColumnElement[Any]:
    if kind == "json":
        return _json(state).op("->")(name)
    value = _json(state).op("->>")(name)
    return cast(value, _TYPES[kind]) if kind in _TYPES else value


def _free_name(name: str, taken: set[str]) -> str:
    """Return a column name that is not taken yet, by adding underscores or numbers; take it."""
    wanted = name.encode()[:_IDENTIFIER_BYTES].decode(errors="ignore")
    free, count = wanted, 0
    while free in taken:
        count += 1
        suffix = "_" if count == 1 else f"_{count}"
        free = wanted.encode()[: _IDENTIFIER_BYTES - len(suffix)].decode(errors="ignore") + suffix
    taken.add(free)
    return free


def _time(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """The column as the database has it, not as microseconds."""
    return type_coerce(column, _INSTANT)


def _json(column: ColumnElement[Any]) -> ColumnElement[Any]:
    return type_coerce(column, Text())
