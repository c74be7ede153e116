"""The table ``quarantine``, for those who look into it and decide; the worker writes it with its batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from sqlalchemy import Column, ColumnElement, Table, Text, literal_column, select, update
from sqlalchemy import cast as sql_cast

from everwhen.ports.generations import Generation
from everwhen.ports.store import Claim
from everwhen.projection.rows import Quarantined
from everwhen.sql.database import Database
from everwhen.sql.tables import tables_of

_LARGE = ("key", "value", "headers")


class SqlQuarantine:
    """Implements :class:`everwhen.ports.quarantine.StoreQuarantine`."""

    def __init__(self, database: Database, generation: Generation) -> None:
        self._database = database
        self._generation = generation
        self._table = _table(database, generation)
        self._doing = f"looking at what is quarantined of projection {generation.projection}"

    @property
    def generation(self) -> Generation:
        """The generation whose records they are."""
        return self._generation

    def records(self) -> list[Quarantined]:
        """Return all of them in order of their positions, without key, value and headers.

        :raises StoreUnavailable: if the database cannot be reached.
        """
        columns = [_left_out(each) if each.name in _LARGE else each for each in self._table.c]
        asked = select(*columns).order_by(self._table.c.partition, self._table.c.offset)
        with self._database.core(self._doing, reading=True) as connection:
            return [Quarantined(*row) for row in connection.execute(asked)]

    def record(self, partition: int, offset: int) -> Quarantined | None:
        """Return one of them whole.

        :raises StoreUnavailable: if the database cannot be reached.
        """
        rows = self._table.c
        asked = select(*rows).where(rows.partition == partition, rows.offset == offset)
        with self._database.core(self._doing, reading=True) as connection:
            row = connection.execute(asked).one_or_none()
        return None if row is None else Quarantined(*row)

    def ask(
        self,
        request: Literal["retry", "discard"],
        *,
        position: tuple[int, int] | None = None,
        entity_id: str | None = None,
        reason: str | None = None,
    ) -> int:
        """Write down what the worker shall do; return for how many records.

        :raises StoreUnavailable: if the database cannot be reached.
        """
        rows = self._table.c
        which: list[ColumnElement[bool]] = [rows.status != "discarded"]
        if position is not None:
            which += [rows.partition == position[0], rows.offset == position[1]]
        if entity_id is not None:
            which.append(rows.entity_id == entity_id)
        asked = update(self._table).where(*which).values(request=request, reason=reason)
        with self._database.core(self._doing) as connection:
            return connection.execute(asked).rowcount


def requested(database: Database, claims: Sequence[Claim]) -> list[Quarantined]:
    """Return the records of these partitions that something is asked for, in order of their positions."""
    if not claims:
        return []
    rows = _table(database, claims[0].generation).c
    asked = (
        select(*rows)
        .where(rows.request.is_not(None), rows.partition.in_([claim.partition for claim in claims]))
        .order_by(rows.partition, rows.offset)
    )
    with database.core("looking for requests about quarantined records", reading=True) as connection:
        return [Quarantined(*row) for row in connection.execute(asked)]


def _table(database: Database, generation: Generation) -> Table:
    return tables_of(database.kind, generation.projection, generation.number).quarantine


def _left_out(column: Column[Any]) -> ColumnElement[Any]:
    if column.name == "headers":
        return literal_column("'[]'", Text).label(column.name)
    return sql_cast(literal_column("NULL"), column.type).label(column.name)
