"""Random damage to a row of a healthy store in a file, undone again before the next."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

Row: TypeAlias = dict[str, Any]

_SHARED = "everwhen_"
_OWN = "everwhen_torture__1_"

HARMLESS = {
    ("meta", "schema_version"): "every program refuses tables of another version",
    ("generations", "fingerprint"): "it stands for the code, which is not in the log; other code is refused",
    ("generations", "created_at"): "a clock's, and no answer rests on it",
    ("generations", "columns"): "views are made from it, and no answer rests on it",
    ("checkpoints", "owner"): "whoever claims the partition next replaces it",
    ("checkpoints", "epoch"): "as the owner, which tells two claims of one epoch apart",
    ("checkpoints", "quiet_until"): "a worker's clock says it, and the log does not",
    ("checkpoints", "leader_epoch"): "a local log has none",
    **{
        (
            "checkpoints",
            name,
        ): "how often processes died, and where, is not in the log; it only makes a worker slow"
        for name in ("attempts", "suspect_offset", "suspect_records", "suspect_deaths", "suspect_epoch")
    },
    ("decisions", "decided_at"): "a clock's",
    ("decisions", "kind"): "nobody decided anything, so that there is no row",
    ("decisions", "from_offset"): "as the kind",
    ("decisions", "to_offset"): "as the kind",
}
"""Columns that no checker can judge by the log, each with why that is no hole."""

LEFT_ALONE = {"meta"}
"""Tables of which nothing can be judged."""


class Damage(NamedTuple):
    """What was done to which row."""

    kind: str
    table: str
    column: str
    """Empty where the whole row is concerned."""
    row: Row
    """As it was, or as it was made up."""


class _Refused(Exception):
    """The damage changes nothing, or the tables themselves do not take it."""


class Fuzzer:
    """A copy of a healthy store, damaged one row at a time.

    :param healthy: the store's file, which nobody writes.
    :param copy: where the copy goes.
    :param seed: of everything that is drawn.
    """

    def __init__(self, healthy: Path, copy: Path, seed: int) -> None:
        self.path = copy
        self._draw = random.Random(seed)
        self._healthy = sqlite3.connect(":memory:")
        with closing(sqlite3.connect(healthy)) as source:
            source.backup(self._healthy)
        self._healthy.row_factory = sqlite3.Row
        self.columns = _columns(self._healthy)
        """Table without its prefix to its columns."""
        self._rows: dict[str, list[Row]] = {
            table: [dict(row) for row in self._healthy.execute(f"SELECT * FROM {_name(table)}")]
            for table in self.columns
        }
        self._keys = {table: _key(self._healthy, table) for table in self.columns}
        self._copy = sqlite3.connect(copy, isolation_level=None)
        for setting in ("journal_mode=MEMORY", "synchronous=OFF"):
            self._copy.execute(f"PRAGMA {setting}")
        self._healthy.backup(self._copy)
        self._kinds = [self._drop, self._double, self._invent, self._move, self._swap, *[self._change] * 5]

    def close(self) -> None:
        """Free both copies."""
        self._copy.close()
        self._healthy.close()

    @contextmanager
    def damaged(self) -> Iterator[Damage]:
        """Damage one row; it is whole again afterwards."""
        damage = self._damage()
        try:
            yield damage
        finally:
            self._healthy.backup(self._copy)

    def _damage(self) -> Damage:
        tables = sorted(self.columns.keys() - LEFT_ALONE)
        weights = [5 if self._rows[table] else 1 for table in tables]
        while True:
            (table,) = self._draw.choices(tables, weights)
            rows, kind = self._rows[table], self._draw.choice(self._kinds)
            self._copy.execute("BEGIN")
            try:
                damage = kind(table, self._draw.choice(rows)) if rows else self._invent(table, {})
            except (_Refused, sqlite3.IntegrityError):
                self._copy.execute("ROLLBACK")
            else:
                self._copy.execute("COMMIT")
                return damage

    # -- kinds of damage -----------------------------------------------------------------------------------------

    def _drop(self, table: str, row: Row) -> Damage:
        where = " AND ".join(f'"{each}" IS ?' for each in row)
        dropped = self._copy.execute(f"DELETE FROM {_name(table)} WHERE {where}", list(row.values())).rowcount
        assert dropped == 1, f"{row} stands in {table} {dropped} times"
        return Damage("drop", table, "", row)

    def _double(self, table: str, row: Row) -> Damage:
        """Put the row in once more, under another key."""
        column = self._draw.choice(self._keys[table])
        self._insert(table, row | {column: self._other(table, column, row[column])})
        return Damage("double", table, column, row)

    def _invent(self, table: str, _: Row) -> Damage:
        """Put in a row that nobody wrote."""
        row = {name: _MADE_UP[kind](self._draw) for name, kind in self.columns[table].items()}
        self._insert(table, row)
        return Damage("invent", table, "", row)

    def _move(self, table: str, row: Row) -> Damage:
        """Give the row to another entity or partition."""
        column = self._draw.choice(["entity_id", "partition"])
        if column not in row:
            raise _Refused
        return self._update(table, row, column, self._borrowed(column), "move")

    def _swap(self, table: str, row: Row) -> Damage:
        """Exchange what two rows have in one column."""
        other = self._draw.choice(self._rows[table])
        column = self._draw.choice([name for name in row if (table, name) not in HARMLESS])
        if row[column] == other[column]:
            raise _Refused
        self._drop(table, row)
        self._drop(table, other)
        self._insert(table, row | {column: other[column]})
        self._insert(table, other | {column: row[column]})
        return Damage("swap", table, column, row)

    def _change(self, table: str, row: Row) -> Damage:
        column = self._draw.choice([name for name in row if (table, name) not in HARMLESS])
        return self._update(table, row, column, self._other(table, column, row[column]), "change")

    def _update(self, table: str, row: Row, column: str, value: Any, kind: str) -> Damage:
        if value == row[column]:
            raise _Refused
        self._drop(table, row)
        self._insert(table, row | {column: value})
        return Damage(kind, table, column, row)

    def _insert(self, table: str, row: Row) -> None:
        marks = ", ".join("?" * len(row))
        self._copy.execute(f"INSERT INTO {_name(table)} VALUES ({marks})", list(row.values()))

    # -- other values --------------------------------------------------------------------------------------------

    def _other(self, table: str, column: str, value: Any) -> Any:
        """Another value that might stand there: of another row, of this one but a little off, or none."""
        ways: list[Callable[[], Any]] = [lambda: self._draw.choice(self._rows[table])[column], lambda: None]
        if isinstance(value, int):
            ways += [lambda: value + self._draw.choice([-1, 1])] * 3
        elif value is None:
            ways += [lambda: _MADE_UP[self.columns[table][column]](self._draw)] * 2
        elif value:
            ways += [lambda: self._flipped(value)] * 3
        return self._draw.choice(ways)()

    def _flipped(self, value: str | bytes) -> Any:
        """Flip one bit; a text stays one."""
        data = bytearray(value.encode() if isinstance(value, str) else value)
        data[self._draw.randrange(len(data))] ^= 1 << self._draw.randrange(8)
        try:
            return data.decode() if isinstance(value, str) else bytes(data)
        except UnicodeDecodeError:
            raise _Refused from None

    def _borrowed(self, column: str) -> Any:
        return self._draw.choice([row[column] for row in self._rows["versions"]])


_MADE_UP: dict[str, Callable[[random.Random], Any]] = {
    "TEXT": lambda draw: f"made up {draw.random()}",
    "BLOB": lambda draw: draw.randbytes(10),
    "BIGINT": lambda draw: draw.randrange(1_000),
    "INTEGER": lambda draw: draw.randrange(10),
    "BOOLEAN": lambda draw: draw.randrange(2),
}


def _columns(connection: sqlite3.Connection) -> dict[str, dict[str, str]]:
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    return {
        name.removeprefix(_OWN).removeprefix(_SHARED): {
            row["name"]: row["type"] for row in connection.execute(f"PRAGMA table_info({name})")
        }
        for name in names
    }


def _key(connection: sqlite3.Connection, table: str) -> list[str]:
    return [row["name"] for row in connection.execute(f"PRAGMA table_info({_name(table)})") if row["pk"]]


def _name(table: str) -> str:
    return (_SHARED if table in {"meta", "generations", "checkpoints", "decisions"} else _OWN) + table
