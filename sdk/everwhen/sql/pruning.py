"""Dropping the history of one generation before an instant, a few entities at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Table,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    literal_column,
    or_,
    select,
    update,
)

from everwhen.instants import Micros
from everwhen.ports.generations import Generation
from everwhen.ports.pruning import Pruned
from everwhen.projection.rows import digest_of
from everwhen.sql.claims import of_generation
from everwhen.sql.database import Database
from everwhen.sql.tables import GenerationTables, SharedTables
from everwhen.sql.types import Id, Instant
from everwhen.sql.versions import check_version

_ENTITIES_AT_ONCE: Final = 500
_VERSIONS_AT_ONCE: Final = 10_000
"""About how many versions the entities of one transaction have; one entity's are not divided."""
_FETCHED_AT_ONCE: Final = 1_000


class SqlPruning:
    """Implements :class:`everwhen.ports.pruning.StorePruning`."""

    def __init__(self, database: Database, shared: SharedTables, generation: Generation) -> None:
        self._database = database
        self._shared = shared
        self._checkpoints = shared.checkpoints
        self._generation = generation
        self._tables = GenerationTables(database.kind, generation.projection, generation.number)
        self._doing = f"pruning projection {generation.projection}"

    @property
    def generation(self) -> Generation:
        """The generation whose history is dropped."""
        return self._generation

    def outlook(self, before: Micros) -> Pruned:
        """Return what would be dropped, and change nothing.

        :raises StoreUnavailable: if the database cannot be reached.
        """
        heads, tables = self._tables.entities, self._tables
        due, parked = self._due(before), heads.c.quarantined_offset.is_not(None)

        def count(table: Table, *where: ColumnElement[bool]) -> Any:
            joined = table.join(heads, table.c.entity_id == heads.c.entity_id)
            asked = select(func.count()).select_from(joined).where(due, ~parked, table.c.valid_from < before, *where)
            return connection.execute(asked).scalar_one()

        with self._database.core(self._doing, reading=True) as connection:
            sums = select(func.count(), func.count(case((parked, literal_column("1"))))).select_from(heads).where(due)
            entities, waiting = connection.execute(sums).one()
            with_floor = select(func.count()).select_from(heads).where(due, ~parked, heads.c.first_valid < before)
            floors = connection.execute(with_floor).scalar_one()
            versions, superseded = count(tables.versions), count(tables.superseded)
        return Pruned(entities - waiting, versions - floors, superseded, waiting)

    def portions(self, before: Micros) -> Iterator[Pruned]:
        """Drop the history before an instant, some entities in each transaction; yield what each has dropped.

        :raises StoreUnavailable: if the database failed.
        """
        after = ""
        while found := self._candidates(before, after):
            after = found[-1].entity_id
            if parked := sum(each.quarantined_offset is not None for each in found):
                yield Pruned(parked=parked)
            for partition, entity_ids in _groups(each for each in found if each.quarantined_offset is None):
                yield self._prune(partition, entity_ids, before)

    def _candidates(self, before: Micros, after: str) -> Sequence[Any]:
        heads = self._tables.entities.c
        asked = (
            select(heads.entity_id, heads.partition, heads.versions, heads.quarantined_offset)
            .where(heads.entity_id > after, self._due(before))
            .order_by(heads.entity_id)
            .limit(_ENTITIES_AT_ONCE)
        )
        with self._database.core(self._doing, reading=True) as connection:
            return connection.execute(asked).all()

    def _due(self, before: Micros) -> ColumnElement[bool]:
        """Whether an entity has history before the instant that was not dropped yet."""
        heads, ended = self._tables.entities.c, self._tables.superseded.alias("replaced").c
        replaced = exists().where(ended.entity_id == heads.entity_id, ended.valid_from < before)
        return and_(
            or_(heads.pruned_before.is_(None), heads.pruned_before < before),
            or_(heads.first_valid < before, replaced),
        )

    def _prune(self, partition: int, entity_ids: Sequence[str], before: Micros) -> Pruned:
        heads = self._tables.entities.c
        with self._database.core(self._doing) as connection:
            watermark = self._lock(connection, partition)
            check_version(connection, self._shared, self._database.address)
            # Again, now that no batch can write them: one may have been parked since.
            still = heads.partition == partition, heads.quarantined_offset.is_(None), self._due(before)
            asked = select(heads.entity_id).where(heads.entity_id.in_(entity_ids), *still)
            due = connection.execute(asked).scalars().all()
            if not due:
                return Pruned()
            self._keep_ids(connection, due, before)
            floors = self._floors(connection, due, before)
            dropped = self._drop(connection, due, before)
            self._mark(connection, due, floors, before, watermark)
        return dropped

    def _lock(self, connection: Connection, partition: int) -> Micros:
        """Wait for a batch that is being written, keep others waiting, and have the next one read heads again."""
        rows = self._checkpoints.c
        here = of_generation(self._checkpoints, self._generation), rows.partition == partition
        counted = update(self._checkpoints).where(*here).values(prunings=rows.prunings + 1).returning(rows.watermark)
        watermark: Micros = connection.execute(counted).scalar_one()
        return watermark

    def _keep_ids(self, connection: Connection, entity_ids: Sequence[str], before: Micros) -> None:
        """Keep by what an event is recognised when it comes again."""
        ended = self._tables.superseded
        withdrawn = select(*_event(ended)).where(*_early(ended, entity_ids, before), ended.c.withdrawn)
        for counted, rows in ((True, self._dropped(entity_ids, before)), (False, withdrawn)):
            found = connection.execute(rows.execution_options(yield_per=_FETCHED_AT_ONCE))
            for some in found.partitions():
                kept = [
                    {
                        "entity_id": row.entity_id,
                        "event_id": row.event_id,
                        "valid_from": row.valid_from,
                        "withdraws": row.withdraws,
                        "counted": counted,
                        "digest": digest_of(row.event_type, bytes(row.event), row.withdraws),
                    }
                    for row in some
                ]
                connection.execute(insert(self._tables.pruned), kept)

    def _dropped(self, entity_ids: Sequence[str], before: Micros) -> Select[Any]:
        versions = self._tables.versions
        return select(*_event(versions)).where(*_early(versions, entity_ids, before), self._is_no_floor(before))

    def _is_no_floor(self, before: Micros) -> ColumnElement[bool]:
        """Whether another version of the entity follows and begins before the instant too."""
        row, later = self._tables.versions.c, self._tables.versions.alias("later").c
        follows = or_(later.valid_from > row.valid_from, later.offset > row.offset)
        return exists().where(
            later.entity_id == row.entity_id, later.valid_from >= row.valid_from, later.valid_from < before, follows
        )

    def _floors(self, connection: Connection, entity_ids: Sequence[str], before: Micros) -> dict[str, Micros]:
        """Say where the floor begins, of the entities that have one."""
        rows = self._tables.versions
        latest = func.max(rows.c.valid_from, type_=Instant())
        asked = select(rows.c.entity_id, latest).where(*_early(rows, entity_ids, before)).group_by(rows.c.entity_id)
        return dict(map(tuple, connection.execute(asked)))

    def _drop(self, connection: Connection, entity_ids: Sequence[str], before: Micros) -> Pruned:
        versions, ended, conflicts = self._tables.versions, self._tables.superseded, self._tables.conflicts
        heads = self._tables.entities
        removed = delete(versions).where(*_early(versions, entity_ids, before), self._is_no_floor(before))
        gone: dict[str, int] = {}
        for entity_id in connection.execute(removed.returning(versions.c.entity_id)).scalars():
            gone[entity_id] = gone.get(entity_id, 0) + 1
        replaced = connection.execute(delete(ended).where(*_early(ended, entity_ids, before))).rowcount
        connection.execute(delete(conflicts).where(*_early(conflicts, entity_ids, before)))
        if gone:
            fewer = {"versions": heads.c.versions - bindparam("gone")}
            counted = update(heads).where(heads.c.entity_id == bindparam("of_entity", type_=Id)).values(fewer)
            connection.execute(counted, [{"of_entity": each, "gone": count} for each, count in gone.items()])
        return Pruned(len(entity_ids), sum(gone.values()), replaced)

    def _mark(
        self,
        connection: Connection,
        entity_ids: Sequence[str],
        floors: dict[str, Micros],
        before: Micros,
        watermark: Micros,
    ) -> None:
        """Say in the heads what is left."""
        heads = self._tables.entities
        settled = {"pruned_before": before, "pruned_offset": heads.c.last_offset, "pruned_at": watermark}
        connection.execute(update(heads).where(heads.c.entity_id.in_(entity_ids)).values(settled))
        if floors:
            begin = {"first_valid": bindparam("floor", type_=Instant())}
            moved = update(heads).where(heads.c.entity_id == bindparam("of_entity", type_=Id)).values(begin)
            connection.execute(moved, [{"of_entity": each, "floor": instant} for each, instant in floors.items()])


def _groups(found: Iterable[Any]) -> Iterator[tuple[int, list[str]]]:
    """Divide entities by partition, and so that the versions of each group are few."""
    by_partition = attrgetter("partition")
    for partition, rows in groupby(sorted(found, key=by_partition), by_partition):
        group: list[str] = []
        versions = 0
        for row in rows:
            if group and versions + row.versions > _VERSIONS_AT_ONCE:
                yield partition, group
                group, versions = [], 0
            group.append(row.entity_id)
            versions += row.versions
        yield partition, group


def _early(table: Table, entity_ids: Sequence[str], before: Micros) -> tuple[ColumnElement[bool], ...]:
    return table.c.entity_id.in_(entity_ids), table.c.valid_from < before


def _event(table: Table) -> Sequence[ColumnElement[Any]]:
    return [table.c[name] for name in ("entity_id", "event_id", "valid_from", "event_type", "event", "withdraws")]
