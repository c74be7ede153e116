"""Many rows into a table of SQLite's: few statements, and few values that the driver has to think about.

The driver, CPython's ``sqlite3``, looks for an adapter for each value that is no ``int``, ``float``, ``str`` or
``bytearray`` (``need_adapt`` in its source). That takes it 0.3 us for each ``None`` and each ``bytes``, together more
than the rest of a row: so columns in which no row has a value are left out, and bytes are given as a ``bytearray``.
For each statement it also gives the interpreter away and takes it back, and another thread may keep it for
milliseconds; so a statement has many rows.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, Final

from sqlalchemy import LargeBinary, Table, bindparam
from sqlalchemy.dialects.sqlite import dialect, insert

_SIZES: Final = (500, 64, 8, 1)
"""How many rows a statement inserts: the most that are left, and for which SQLite takes the parameters. It takes 999 at
least, and 32,766 by default."""
_SHAPES: Final = 64
"""How many statements are kept: of each size, for the few columns that are sometimes empty."""


class Insertion:
    """Rows into one table.

    :param table: its columns are in the order of a row's values, and have no defaults.
    :param renews: a row whose key is there already takes its place.
    """

    def __init__(self, table: Table, *, renews: bool = False) -> None:
        columns = list(table.c)
        blobs = {number for number, column in enumerate(columns) if isinstance(column.type, LargeBinary)}
        self._optional = {number for number, column in enumerate(columns) if column.nullable}
        self._bytes = blobs - self._optional
        self._statement = lru_cache(_SHAPES)(_statements(table, renews=renews))

    def run(self, connection: sqlite3.Connection, rows: Sequence[Sequence[Any]]) -> None:
        """Insert the rows in their order."""
        cursor, begin = connection.cursor(), 0
        most = connection.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER)
        for size in _SIZES:
            while size <= len(rows) - begin and size * len(rows[begin]) <= most:
                filled = dict(self._filled(rows[begin : begin + size]))
                values = chain.from_iterable(zip(*filled.values(), strict=True))
                cursor.execute(self._statement(size, tuple(filled)), list(values))
                begin += size

    def _filled(self, rows: Sequence[Sequence[Any]]) -> Iterator[tuple[int, Sequence[Any]]]:
        """Yield the columns that have values, each with its number."""
        for number, values in enumerate(zip(*rows, strict=True)):
            if number in self._bytes:
                yield number, list(map(bytearray, values))
            elif number not in self._optional or values[0] is not None or values.count(None) < len(values):
                yield number, values


def _statements(table: Table, *, renews: bool) -> Callable[[int, Collection[int]], str]:
    """Return the function from a number of rows, and the numbers of the columns that they fill, to a statement."""
    columns = list(table.c)

    def statement(size: int, filled: Collection[int]) -> str:
        row: Any = insert(table).values({columns[number]: bindparam(columns[number].name) for number in filled})
        if renews:
            renewed = {column.name: row.excluded[column.name] for column in columns if not column.primary_key}
            row = row.on_conflict_do_update(index_elements=list(table.primary_key), set_=renewed)
        begin, values, rest = str(row.compile(dialect=dialect(paramstyle="qmark"))).partition("VALUES ")
        one, close, end = rest.partition(")")
        return begin + values + ", ".join([one + close] * size) + end

    return statement
