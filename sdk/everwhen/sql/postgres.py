"""Many rows at once on PostgreSQL: ``COPY`` for new rows, arrays of keys for everything else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import starmap
from operator import itemgetter
from typing import Any

from psycopg import Copy
from psycopg.abc import PyFormat
from psycopg.adapt import Dumper
from psycopg.errors import UniqueViolation
from psycopg.pq import Format
from psycopg.rows import tuple_row
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    FromClause,
    Integer,
    LargeBinary,
    Select,
    Table,
    TableValuedAlias,
    Text,
    bindparam,
    cast,
    column,
    delete,
    func,
    literal_column,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.elements import ClauseElement
from sqlalchemy.types import NullType, TypeEngine

from everwhen.ports.store import Inserter, Repeated
from everwhen.projection.rows import Changes, VersionValues
from everwhen.sql import wire
from everwhen.sql.lookups import ALL, Lookup
from everwhen.sql.tables import IDS, GenerationTables
from everwhen.sql.types import Instant, JsonText
from everwhen.sql.wire import Kind

# The first that fits; a BigInteger is an Integer too.
_KINDS: tuple[tuple[type[TypeEngine[Any]], Kind], ...] = (
    (Instant, wire.INSTANT),
    (JsonText, wire.JSON),
    (BigInteger, wire.BIGINT),
    (Integer, wire.INTEGER),
    (Boolean, wire.BOOLEAN),
    (LargeBinary, wire.BYTES),
    (Text, wire.TEXT),
)
_key = itemgetter(0, 1, 2)
_Columns = Mapping[str, TypeEngine[Any]]


class PostgresWriter:
    """A :class:`everwhen.sql.batch.Writer`; connections are ``psycopg.Connection``."""

    def __init__(self, tables: GenerationTables, dialect: Dialect) -> None:
        self._lookups = {lookup: _compile_lookup(lookup, tables, dialect) for lookup in ALL}
        self._remove = _compile_remove(tables.versions, dialect)
        self._update = _compile_update(tables.versions, dialect)
        self._head = _compile_upsert(tables.entities, dialect)
        self._keep = _compile_upsert(tables.quarantine, dialect)
        self._release = _compile_remove(tables.quarantine, dialect)
        self._insert = _copy_text(tables.versions, dialect)
        self._cold = {
            table: (_copy_text(table, dialect), [_kind(each.type) for each in table.c])
            for table in (tables.superseded, tables.withdrawals, tables.conflicts)
        }
        self._tables = tables

    def look(self, connection: Any, lookup: Lookup, keys: Sequence[tuple[Any, ...]]) -> Iterable[tuple[Any, ...]]:
        """Run the lookup for all keys in one statement."""
        rows: Iterable[tuple[Any, ...]] = self._lookups[lookup].run(tuple_cursor(connection), keys).fetchall()
        return rows

    @contextmanager
    def inserting(self, connection: Any) -> Iterator[Inserter]:
        """Send new versions bit by bit in one ``COPY``, which the server parses and indexes while more are folded."""
        with _unrepeated(), ExitStack() as opened:
            copy: Copy | None = None

            def insert(rows: Sequence[VersionValues]) -> None:
                nonlocal copy
                if copy is None:
                    copy = opened.enter_context(tuple_cursor(connection).copy(self._insert))
                    copy.write(wire.HEADER)
                copy.write(wire.version_rows(rows))

            yield insert
            if copy is not None:
                copy.write(wire.TRAILER)

    def write(self, connection: Any, changes: Changes) -> None:
        """Execute the changes."""
        cursor, tables = tuple_cursor(connection), self._tables
        self._remove.run(cursor, [_key(row) for row in changes.removed])
        self._update.run(cursor, [(*_key(row), row[5], row[6], row[13]) for row in changes.updated])
        if changes.inserted:
            with self.inserting(connection) as insert:
                insert(changes.inserted)
        self._append(cursor, tables.superseded, [(*row.version, *row[1:]) for row in changes.superseded])
        self._append(cursor, tables.withdrawals, changes.withdrawals)
        self._append(cursor, tables.conflicts, changes.conflicts)
        self._head.run(cursor, changes.heads)
        self._release.run(cursor, [row[:2] for row in changes.released])
        self._keep.run(cursor, changes.kept)

    def _append(self, cursor: Any, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
        if rows:
            text, kinds = self._cold[table]
            _copy(cursor, text, wire.copy_block(kinds, rows))


class _Keyed:
    """A statement that is joined to rows given as arrays, one for each of their columns."""

    def __init__(self, clause: ClauseElement, columns: _Columns, dialect: Dialect) -> None:
        self._text = str(clause.compile(dialect=dialect))
        self._kinds = [(name, _kind(type_)) for name, type_ in columns.items()]

    def run(self, cursor: Any, rows: Sequence[Sequence[Any]]) -> Any:
        if rows:
            columns = zip(self._kinds, zip(*rows, strict=True), strict=True)
            cursor.execute(self._text, {name: Array(kind, values) for (name, kind), values in columns})
        return cursor


def _given(columns: _Columns) -> TableValuedAlias:
    arrays = [cast(bindparam(name, type_=NullType()), ARRAY(type_)) for name, type_ in columns.items()]
    return func.unnest(*arrays).table_valued(*starmap(column, columns.items())).render_derived(name="k")


def _compile_lookup(lookup: Lookup, tables: GenerationTables, dialect: Dialect) -> _Keyed:
    # A column of the outer query by its text: inside the lateral part there is nothing to correlate then.
    key = [literal_column(f"k.{name}", type_) for name, type_ in lookup.key.items()]
    found = lookup.inner(tables, *key).lateral("found")
    clause = select(*found.c).select_from(_given(lookup.key).join(found, true()))
    return _Keyed(clause, lookup.key, dialect)


def _compile_remove(rows: Table, dialect: Dialect) -> _Keyed:
    columns = _types(rows.primary_key)
    given = _given(columns)
    return _Keyed(delete(rows).where(*_same_key(rows, given)), columns, dialect)


def _compile_update(rows: Table, dialect: Dialect) -> _Keyed:
    changed = [rows.c[name] for name in ("refolded_offset", "refolded_at", "state")]
    columns = _types([*rows.primary_key, *changed])
    given = _given(columns)
    clause = update(rows).values({each.name: given.c[each.name] for each in changed}).where(*_same_key(rows, given))
    return _Keyed(clause, columns, dialect)


def _compile_upsert(table: Table, dialect: Dialect) -> _Keyed:
    columns, key = _types(table.c), [each.name for each in table.primary_key]
    given: Select[Any] = select(literal_column("*")).select_from(_given(columns))
    row = postgres_insert(table).from_select(list(columns), given)
    renewed = {each.name: each for each in row.excluded if each.name not in key}
    return _Keyed(row.on_conflict_do_update(index_elements=key, set_=renewed), columns, dialect)


def _types(columns: Iterable[Column[Any]]) -> _Columns:
    return {each.name: each.type for each in columns}


def _same_key(rows: Table, given: FromClause) -> list[ColumnElement[bool]]:
    return [each == given.c[each.name] for each in rows.primary_key]


def _kind(type_: TypeEngine[Any]) -> Kind:
    return next(kind for known, kind in _KINDS if isinstance(type_, known))


def _copy_text(table: Table, dialect: Dialect) -> str:
    prepare = dialect.identifier_preparer
    names = ", ".join(prepare.format_column(each) for each in table.c)
    return f"COPY {prepare.format_table(table)} ({names}) FROM STDIN (FORMAT binary)"


@contextmanager
def _unrepeated() -> Iterator[None]:
    try:
        yield
    except UniqueViolation as error:
        if not (error.diag.constraint_name or "").endswith(IDS):
            raise
        # Not chained: it says which ids.
        raise Repeated("an event id of an entity came once more") from None


def _copy(cursor: Any, text: str, block: bytes) -> None:
    with cursor.copy(text) as copy:
        copy.write(block)


class Array:
    """A parameter that is packed already."""

    __slots__ = ("data", "oid")

    def __init__(self, kind: Kind, values: Sequence[Any]) -> None:
        self.oid, self.data = kind.array_oid, wire.array(kind, values)


class _ArrayDumper(Dumper):
    """Hands a packed parameter through. One dumper for each type, since a dumper has one type."""

    format = Format.BINARY

    def get_key(self, obj: Array, format: PyFormat) -> Any:  # noqa: A002  # the name is psycopg's
        return (Array, obj.oid)

    def upgrade(self, obj: Array, format: PyFormat) -> _ArrayDumper:  # noqa: A002
        dumper = _ArrayDumper(Array)
        dumper.oid = obj.oid
        return dumper

    def dump(self, obj: Array) -> bytes:
        return obj.data


def tuple_cursor(connection: Any) -> Any:
    """Return a cursor that gives tuples, whatever the user's engine gives, and takes :class:`Array`."""
    cursor = connection.cursor(row_factory=tuple_row)
    cursor.adapters.register_dumper(Array, _ArrayDumper)
    return cursor
