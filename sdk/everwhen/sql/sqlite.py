"""Many rows at once on SQLite: one statement and its parameters on the driver's connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from operator import itemgetter
from typing import Any

from sqlalchemy import bindparam, delete, update
from sqlalchemy.dialects.sqlite import dialect as sqlite_dialect
from sqlalchemy.sql.elements import ClauseElement

from everwhen.ports.store import Inserter, Repeated
from everwhen.projection.rows import Changes, VersionValues
from everwhen.sql.lookups import ALL, Lookup
from everwhen.sql.sqlite_insert import Insertion
from everwhen.sql.tables import GenerationTables

_key = itemgetter(0, 1, 2)
_entity = itemgetter(0)


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
        self._insert = Insertion(rows)
        self._supersede = Insertion(tables.superseded)
        self._withdraw = Insertion(tables.withdrawals)
        self._conflict = Insertion(tables.conflicts)
        self._head = Insertion(tables.entities, renews=True)
        self._keep = Insertion(tables.quarantine, renews=True)
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
        rows: list[VersionValues] = []
        yield lambda more: rows.extend(more)
        self._insert_all(connection, rows)

    def write(self, connection: Any, changes: Changes) -> None:
        """Execute the changes."""
        run = connection.cursor().executemany
        if changes.removed:
            run(self._remove, map(_key, changes.removed))
        if changes.updated:
            run(self._update, ((row[5], row[6], row[13], *row[:3]) for row in changes.updated))
        self._insert_all(connection, changes.inserted)
        self._supersede.run(connection, [(*row.version, *row[1:]) for row in changes.superseded])
        self._withdraw.run(connection, changes.withdrawals)
        self._conflict.run(connection, changes.conflicts)
        self._head.run(connection, changes.heads)
        if changes.released:
            run(self._release, (row[:2] for row in changes.released))
        self._keep.run(connection, changes.kept)

    def _insert_all(self, connection: Any, rows: Sequence[VersionValues]) -> None:
        try:
            # Entity by entity, so that rows that share a page are written while it is at hand.
            self._insert.run(connection, sorted(rows, key=_entity))
        except sqlite3.IntegrityError as error:
            if "event_id" not in str(error):  # it names the columns
                raise
            raise Repeated("an event id of an entity came once more") from None


def _compile(clause: ClauseElement) -> tuple[str, list[str]]:
    compiled = clause.compile(dialect=sqlite_dialect(paramstyle="qmark"))
    return str(compiled), list(compiled.positiontup)  # type: ignore[attr-defined]


def _compile_lookup(lookup: Lookup, tables: GenerationTables) -> tuple[str, list[int]]:
    names = list(lookup.key)
    text, wanted = _compile(lookup.inner(tables, *(bindparam(name, type_=kind) for name, kind in lookup.key.items())))
    return text, [names.index(name) for name in wanted]
