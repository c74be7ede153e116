"""Taking a partition back to an earlier offset: which entities are touched, and what is removed of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, Table, and_, bindparam, delete, func, or_, select, union_all

from everwhen.instants import Micros
from everwhen.ports.answers import EntityRows
from everwhen.ports.generations import Generation
from everwhen.projection.rows import Quarantined
from everwhen.sql.batch import SqlBatch
from everwhen.sql.found import rows_of
from everwhen.sql.queries import Queries
from everwhen.sql.tables import GenerationTables

_AT_ONCE: Final = 200
"""Entities whose rows are in memory together."""


class Touched:
    """The entities of a partition that a record from an offset on has touched, in one transaction.

    :param connection: of the transaction.
    :param tables: of the generation.
    :param partition: which goes back.
    :param offset: to where.
    """

    def __init__(self, connection: Connection, tables: GenerationTables, partition: int, offset: int) -> None:
        self.connection = connection
        self._tables = tables
        self._partition = partition
        self._offset = offset

    def ids(self) -> list[str]:
        """Return the entities, in no particular order."""
        head = self._tables.entities.c
        touching = union_all(
            self._from_here_on(self._tables.versions, "offset", "refolded_offset"),
            self._from_here_on(self._tables.superseded, "offset", "refolded_offset", "ended_offset"),
            self._from_here_on(self._tables.withdrawals, "offset"),
            self._from_here_on(self._tables.conflicts, "offset"),
            self._from_here_on(self._tables.quarantine, "offset"),
        ).subquery()
        offsets = (head.last_offset, head.unstored_offset, head.quarantined_offset)
        touched = or_(*(each >= self._offset for each in offsets), head.entity_id.in_(select(touching.c.entity_id)))
        asked = select(head.entity_id).where(head.partition == self._partition, touched)
        return list(self.connection.execute(asked).scalars())

    def pruned(self) -> str | None:
        """Return one of the entities whose history was pruned, if there is any."""
        head = self._tables.entities.c
        touched = set(self.ids())
        asked = select(head.entity_id).where(head.partition == self._partition, head.pruned_before.is_not(None))
        found = self.connection.execute(asked).scalars()
        return next((entity_id for entity_id in found if entity_id in touched), None)

    def watermark(self) -> Micros | None:
        """Return the latest recorded time of the records before the offset that left a row; ``None`` if none did."""
        tables = self._tables
        latest: list[Micros | None] = []
        for table in (tables.versions, tables.superseded, tables.withdrawals, tables.conflicts, tables.quarantine):
            here = table.c.partition == self._partition, table.c.offset < self._offset
            latest.append(self.connection.execute(select(func.max(table.c.recorded_at)).where(*here)).scalar())
        return max((each for each in latest if each is not None), default=None)

    def forget(self, entity_ids: list[str]) -> None:
        """Remove all rows of entities; what was discarded stays, and what is kept aside of other partitions."""
        tables, keys = self._tables, [{"of_entity": entity_id} for entity_id in entity_ids]
        for table in (tables.versions, tables.superseded, tables.withdrawals, tables.conflicts, tables.entities):
            self.connection.execute(delete(table).where(_of_entity(table)), keys)
        aside = tables.quarantine
        here = and_(_of_entity(aside), aside.c.partition == self._partition, aside.c.status != "discarded")
        self.connection.execute(delete(aside).where(here), keys)

    def forget_records(self) -> None:
        """Remove the records from the offset on that are kept aside."""
        aside = self._tables.quarantine
        gone = aside.c.partition == self._partition, aside.c.offset >= self._offset
        self.connection.execute(delete(aside).where(*gone))

    def _from_here_on(self, table: Table, *columns: str) -> Select[Any]:
        reached = or_(*(table.c[name] >= self._offset for name in columns))
        return select(table.c.entity_id).where(table.c.partition == self._partition, reached)

    def is_before(self, row: Quarantined) -> bool:
        """Whether a record that is kept aside is one of those that stay."""
        return row.partition == self._partition and row.offset < self._offset


class SqlRollBack:
    """Implements :class:`everwhen.ports.continuity.StoreRollBack`."""

    def __init__(self, stood: int, batch: SqlBatch, touched: Touched, queries: Queries, generation: Generation) -> None:
        self.stood = stood
        self.batch = batch
        self._touched = touched
        self._queries = queries
        self._generation = generation

    def entities(self) -> Iterator[list[tuple[EntityRows, list[Quarantined]]]]:
        """Yield the entities, some at a time; their rows are removed by then."""
        left = iter(self._touched.ids())
        cursor: Any = self._touched.connection.connection.driver_connection
        while some := list(islice(left, _AT_ONCE)):
            rows = [rows_of(cursor.cursor(), self._queries, self._generation, entity_id) for entity_id in some]
            aside = self.batch.quarantined(some)
            kept = [list(filter(self._touched.is_before, aside.get(entity_id, ()))) for entity_id in some]
            self._touched.forget(some)
            yield list(zip(rows, kept, strict=True))


def _of_entity(table: Table) -> ColumnElement[bool]:
    return table.c.entity_id == bindparam("of_entity", type_=table.c.entity_id.type)
