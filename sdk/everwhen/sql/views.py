"""Views on PostgreSQL that a BI tool can read: the current state in typed columns, and its whole history.

``everwhen.<projection>`` has a row for each entity that exists now. ``everwhen.<projection>_history`` is a type-2
slowly changing dimension: a row for each version with the half-open interval over which it is valid, and a key
that depends on the event alone, so that it is the same after a rebuild.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

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
    text,
    true,
    type_coerce,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import TypeEngine

from everwhen.errors import StoreError
from everwhen.sql.expressions import MicrosOf
from everwhen.sql.tables import SCHEMA, GenerationTables

Columns: TypeAlias = Sequence[Sequence[str]]

HISTORY: Final = "_history"
"""What the name of the history's view ends with."""

_OWN: Final = ("entity_id", "version_key", "valid_from", "valid_to", "is_current", "is_deleted", "event_type")
_OTHER_COLUMNS: Final = "42P16"  # of PostgreSQL's errors: invalid_table_definition
_IN_USE: Final = "2BP01"  # dependent_objects_still_exist
_GRANTS: Final = text(
    "SELECT r.rolname, a.privilege_type FROM pg_class c, aclexplode(c.relacl) a "
    "LEFT JOIN pg_roles r ON r.oid = a.grantee "
    "WHERE c.oid = CAST(:view AS regclass) AND a.grantee <> c.relowner"
)
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


def create_views(connection: Connection, projection: str, columns: Columns, tables: GenerationTables) -> None:
    """Create both views of a projection over the tables of one generation.

    :param columns: fields of the state, as in :class:`~everwhen.ports.generations.Blueprint`.
    """
    quote = connection.dialect.identifier_preparer.quote
    for name, query in (
        (projection, _current(columns, tables)),
        (projection + HISTORY, _history(columns, tables)),
    ):
        body = query.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True})
        connection.exec_driver_sql(f"CREATE OR REPLACE VIEW {quote(SCHEMA)}.{quote(name)} AS {body}")


def replace_views(connection: Connection, projection: str, columns: Columns, tables: GenerationTables) -> None:
    """Let both views of a projection show another generation.

    Where its state has other fields the views are made anew, with the rights that were granted on them.

    :raises StoreError: if something depends on a view that must be made anew.
    """
    connection.exec_driver_sql("SAVEPOINT views")
    try:
        create_views(connection, projection, columns, tables)
    except DBAPIError as error:
        if _sqlstate(error) != _OTHER_COLUMNS:
            raise
        connection.exec_driver_sql("ROLLBACK TO SAVEPOINT views")
        _recreate_views(connection, projection, columns, tables)


def _recreate_views(connection: Connection, projection: str, columns: Columns, tables: GenerationTables) -> None:
    quote = connection.dialect.identifier_preparer.quote
    names = [f"{quote(SCHEMA)}.{quote(name)}" for name in (projection, projection + HISTORY)]
    granted = [(name, *grant) for name in names for grant in connection.execute(_GRANTS, {"view": name})]
    try:
        for name in names:
            connection.exec_driver_sql(f"DROP VIEW {name}")
    except DBAPIError as error:
        if _sqlstate(error) != _IN_USE:
            raise
        raise StoreError(
            f"the views of projection {projection} must be made anew, as its state has other fields, and something of "
            f"yours depends on them; drop that first, and make it again afterwards: \\d+ {SCHEMA}.{projection} in psql"
        ) from error
    create_views(connection, projection, columns, tables)
    for name, grantee, privilege in granted:
        role = quote(grantee) if grantee is not None else "PUBLIC"
        connection.exec_driver_sql(f"GRANT {privilege} ON {name} TO {role}")


def _sqlstate(error: DBAPIError) -> str | None:
    return getattr(error.orig, "sqlstate", None)


def _current(columns: Columns, tables: GenerationTables) -> Select[Any]:
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
            *_fields(columns, version.c.state),
        )
        .select_from(entities.join(version, true()))
        .where(_json(version.c.state).is_not(None))
    )


def _history(columns: Columns, tables: GenerationTables) -> Select[Any]:
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
    return select(*own, is_current.label("is_current"), *_fields(columns, history.c.state))


def _fields(columns: Columns, state: ColumnElement[Any]) -> list[Label[Any]]:
    taken = set(_OWN)
    return [_field(name, kind, state).label(_free_name(name, taken)) for name, kind in columns]


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
