"""Many rows at once on SQLite: one statement and its parameters on the driver's connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import Insert, Table, bindparam, delete, insert, update
from sqlalchemy.dialects.sqlite import dialect as sqlite_dialect
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.sql.elements import ClauseElement

from everwhen.ports.store import Inserter, Repeated
from everwhen.projection.rows import Changes, Version
from everwhen.sql.lookups import ALL, Lookup
from everwhen.sql.tables import GenerationTables

_key = itemgetter(0, 1, 2)
_entity = itemgetter(0)
_SIZES: Final = (500, 64, 1)
"""How many rows a statement inserts, whichever fits: the driver gives the interpreter away and takes it back for each
statement, and another thread may keep it for milliseconds. 64 rows have fewer parameters than any SQLite takes, 999."""


class SqliteWriter:
    """A :class:`everwhen.sql.batch.Writer`; connections are ``sqlite3.Connection``."""

    def __init__(self, tables: GenerationTables) -> None:
        self._lookups = {lookup: _compile_lookup(lookup, tables) for lookup in ALL}
        rows = tables.versions
        here = [column == bindparam(f"key_{column.name}") for column in rows.primary_key]
        changed: dict[str, Any] = {
            name: bindparam(f"new_{name}") for name in ("refolded_offset", "refolded_at", "state")
        }
        self._remove, _ = _compile(delete(rows).where(*here))
        self._update, _ = _compile(update(rows).values(changed).where(*here))
        self._insert, _ = _compile(insert(rows))
        self._inserts = {size: _of_rows(self._insert, size) for size in _SIZES}
        self._columns = len(rows.c)
        self._supersede, _ = _compile(insert(tables.superseded))
        self._withdraw, _ = _compile(insert(tables.withdrawals))
        self._conflict, _ = _compile(insert(tables.conflicts))
        self._head, _ = _compile(_upsert(tables.entities))
        self._keep, _ = _compile(_upsert(tables.quarantine))
        kept = [column == bindparam(f"key_{column.name}") for column in tables.quarantine.primary_key]
        self._release, _ = _compile(delete(tables.quarantine).where(*kept))

    def look(self, connection: Any, lookup: Lookup, keys: Sequence[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
        """Run the lookup key by key: there is no round trip to save, and a probe is all that it costs."""
        text, order = self._lookups[lookup]
        cursor = connection.cursor()
        for key in keys:
            yield from cursor.execute(text, [key[index] for index in order])

    @contextmanager
    def inserting(self, connection: Any) -> Iterator[Inserter]:
        """Take new versions and insert them at the end: in one process nothing works on them meanwhile."""
        rows: list[Version] = []
        yield lambda more: rows.extend(more)
        self._insert_all(connection, rows)

    def write(self, connection: Any, changes: Changes) -> None:
        """Execute the changes."""
        run = connection.cursor().executemany
        run(self._remove, map(_key, changes.removed))
        run(self._update, ((row[5], row[6], row[13], *row[:3]) for row in changes.updated))
        self._insert_all(connection, changes.inserted)
        run(self._supersede, ((*row.version, *row[1:]) for row in changes.superseded))
        run(self._withdraw, changes.withdrawals)
        run(self._conflict, changes.conflicts)
        run(self._head, changes.heads)
        run(self._release, (row[:2] for row in changes.released))
        run(self._keep, changes.kept)

    def _insert_all(self, connection: Any, rows: Sequence[Version]) -> None:
        # Entity by entity, so that rows that share a page are written while it is at hand.
        rows = sorted(rows, key=_entity)
        begin, most = 0, connection.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER) // self._columns
        cursor = connection.cursor()
        try:
            for size, statement in self._inserts.items():
                while size <= min(most, len(rows) - begin):
                    cursor.execute(statement, list(chain.from_iterable(rows[begin : begin + size])))
                    begin += size
        except sqlite3.IntegrityError as error:
            if "event_id" not in str(error):  # it names the columns
                raise
            raise Repeated("an event id of an entity came once more") from None


def _of_rows(insert_one: str, number: int) -> str:
    """Write an ``INSERT`` of one row as one of so many."""
    begin, values, row = insert_one.partition("VALUES ")
    return begin + values + ", ".join([row] * number)


def _compile(clause: ClauseElement) -> tuple[str, list[str]]:
    compiled = clause.compile(dialect=sqlite_dialect(paramstyle="qmark"))
    return str(compiled), list(compiled.positiontup)  # type: ignore[attr-defined]


def _compile_lookup(lookup: Lookup, tables: GenerationTables) -> tuple[str, list[int]]:
    names = list(lookup.key)
    text, wanted = _compile(lookup.inner(tables, *(bindparam(name, type_=kind) for name, kind in lookup.key.items())))
    return text, [names.index(name) for name in wanted]


def _upsert(table: Table) -> Insert:
    row, key = sqlite_insert(table), [column.name for column in table.primary_key]
    renewed = {column.name: column for column in row.excluded if column.name not in key}
    return row.on_conflict_do_update(index_elements=key, set_=renewed)
