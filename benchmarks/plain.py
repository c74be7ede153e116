"""A store without the second axis, to see what that axis costs: the same rows in the same tables, less what serves it.

Left out are the columns for recorded times and for refolding, and the look whether an entity has withdrawals. Repeated
event ids are looked for all the same. It takes only events that are new and in time order.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from operator import itemgetter
from typing import Any, TypeAlias

from sqlalchemy import MetaData, Table, create_engine, inspect, text

from everwhen.ports.continuity import Applied
from everwhen.ports.generations import Blueprint, Generation
from everwhen.ports.store import Claim, Inserter
from everwhen.positions import Mark
from everwhen.projection.rows import Changes, Known, Version, VersionValues
from everwhen.sql import SqlStore, lookups, wire
from everwhen.sql.batch import SqlBatch
from everwhen.sql.expressions import POSTGRESQL
from everwhen.sql.postgres import tuple_cursor
from everwhen.sql.sqlite import _key
from everwhen.sql.sqlite_insert import Insertion
from everwhen.sql.tables import GenerationTables

_LEFT_OUT = ("recorded_at", "refolded_offset", "refolded_at")
_COLUMNS = [name for name in Version._fields if name not in _LEFT_OUT]
_kept = itemgetter(*map(Version._fields.index, _COLUMNS))
_when_and_where = struct.Struct(">iqiqii").pack
_Insert: TypeAlias = Callable[[Any], AbstractContextManager[Inserter]]


class PlainStore(SqlStore):
    """Keeps versions on the valid axis only."""

    def prepare(self, blueprint: Blueprint, number: int | None = None) -> Generation:
        """Make the tables, then drop what is left out."""
        generation = super().prepare(blueprint, number)
        engine = create_engine(self._database.engine.url)
        rows = GenerationTables(engine.dialect.name, generation.projection, generation.number).versions
        schema = f"{rows.schema}." if rows.schema else ""
        with engine.begin() as connection:
            for view in inspect(engine).get_view_names(rows.schema):
                connection.execute(text(f'DROP VIEW IF EXISTS {schema}"{view}"'))
            for column in _LEFT_OUT:
                connection.execute(text(f"ALTER TABLE {schema}{rows.name} DROP COLUMN {column}"))
        engine.dispose()
        names = ", ".join(f'"{name}"' for name in _COLUMNS)
        if engine.dialect.name == POSTGRESQL:
            self._insert = _copying(f"COPY {schema}{rows.name} ({names}) FROM STDIN (FORMAT binary)")
        else:
            left = [column._copy() for column in rows.c if column.name not in _LEFT_OUT]
            self._insert = _at_the_end(Insertion(Table(rows.name, MetaData(), *left)))
        return generation

    @contextmanager
    def batch(
        self, claim: Claim, expected: int, reached: Mark, *, applied: Applied | None = None
    ) -> Iterator[SqlBatch]:
        """Open a transaction that writes plain rows."""
        with super().batch(claim, expected, reached, applied=applied) as batch:
            yield _PlainBatch(batch, self._insert)


class _PlainBatch(SqlBatch):
    def __init__(self, batch: SqlBatch, insert: _Insert) -> None:
        super().__init__(batch._writer, batch._connection, batch.prunings)
        self._insert = insert

    def known(
        self, events: Collection[tuple[str, str]], corrected: Collection[str], pruned: Collection[str] = ()
    ) -> list[Known]:
        if list(self._look(lookups.LIVE, list(events))):
            raise ValueError("an event came twice")
        return []

    def inserting(self) -> AbstractContextManager[Inserter]:
        return self._insert(self._connection)

    def write(self, changes: Changes) -> None:
        super().write(Changes(heads=changes.heads))


def _copying(statement: str) -> _Insert:
    @contextmanager
    def inserting(connection: Any) -> Iterator[Inserter]:
        with tuple_cursor(connection).copy(statement) as copy:
            copy.write(wire.HEADER)
            yield lambda rows: copy.write(_packed(rows))
            copy.write(wire.TRAILER)

    return inserting


def _at_the_end(insertion: Insertion) -> _Insert:
    @contextmanager
    def inserting(connection: Any) -> Iterator[Inserter]:
        rows: list[VersionValues] = []
        yield rows.extend
        insertion.run(connection, list(map(_kept, sorted(rows, key=_key))))

    return inserting


def _packed(rows: Iterable[VersionValues]) -> bytes:
    """Do what :func:`everwhen.sql.wire.version_rows` does, with three columns less."""
    packed: list[bytes] = []
    add, texts, count = packed.append, wire._TextCache(), len(_COLUMNS).to_bytes(2, "big")
    last, begin = None, b""
    for row in rows:
        if row[0] != last:
            last, begin = row[0], count + wire._text(row[0])
        add(begin)
        add(_when_and_where(8, row[1] - wire._EPOCH, 8, row[2], 4, row[3]))
        add(wire._text(row[7]))
        add(texts[row[8]])
        if row[9] is row[10] is row[11] is None:
            add(wire._THREE_NULLS)
        else:
            add(b"".join([wire._NULL if each is None else wire._text(each) for each in row[9:12]]))
        add(wire._int32(len(row[12])))
        add(row[12])
        add(wire._NULL if row[13] is None else wire._text(row[13]))
    return b"".join(packed)
