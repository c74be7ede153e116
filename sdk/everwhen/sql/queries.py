"""The statements that the readers of one generation run, compiled once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import starmap
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    ScalarSelect,
    Select,
    Subquery,
    TableValuedAlias,
    Text,
    and_,
    bindparam,
    case,
    cast,
    column,
    func,
    literal_column,
    or_,
    select,
    true,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.base import Executable, ReadOnlyColumnCollection
from sqlalchemy.types import NullType, TypeEngine

from everwhen.instants import MAX_MICROS
from everwhen.ports.answers import HeadRow
from everwhen.ports.generations import Generation
from everwhen.sql.expressions import POSTGRESQL, Earlier, Joined, MicrosOf, NotBefore, NumberIn
from everwhen.sql.seeks import Past, Question, Seeks
from everwhen.sql.statement import Statement
from everwhen.sql.tables import GenerationTables, SharedTables
from everwhen.sql.types import Id, Instant, JsonText

_ENTITY_ID = bindparam("entity_id", type_=Id)
_VALID_AT = bindparam("valid_at", type_=Instant)
_KNOWN_AT = bindparam("known_at", type_=Instant)
_KNOWN_MICROS = bindparam("known_micros", type_=BigInteger)
_OFFSETS, _OTHER_OFFSET = bindparam("offsets", type_=Text), bindparam("other_offset", type_=BigInteger)
_BOUNDS, _OTHER_BOUND = bindparam("bounds", type_=Text), bindparam("other_bound", type_=BigInteger)


class Timed:
    """One question about what is believed now, and about a point in the past of the log."""

    def __init__(self, write: Callable[[bool], Executable], dialect: Dialect) -> None:
        self.now = Statement(lambda: write(False), dialect)
        self.past = Statement(lambda: write(True), dialect)


class Queries:
    """All statements. Thread-safe.

    Parameters: ``entity_id`` and ``valid_at``. For the past also ``known_at``, and ``known_micros``, the same in
    microseconds; ``offsets`` and ``bounds``, JSON objects that give the basis' next offset and recorded time for a
    partition, and ``other_offset`` and ``other_bound`` for those partitions that are not in them. Questions about
    many points take arrays instead: ``entity_ids`` and ``instants``.
    """

    def __init__(self, kind: str, dialect: Dialect, shared: SharedTables, generation: Generation) -> None:
        self._kind = kind
        self._tables = GenerationTables(kind, generation.projection, generation.number)
        self._seeks = Seeks(self._tables)
        self._all_marks = _marks(shared, generation)
        self._records_of_marks = _records_of_marks(shared, generation)
        entities = self._entities = self._tables.entities.alias("e")
        self._head = select(entities).where(entities.c.entity_id == _ENTITY_ID).cte("head")
        self.marks = Statement(lambda: select(self._all_marks), dialect)
        self.about = Statement(self._about, dialect)
        """``marks`` and the head's columns. Always one row."""
        self.find = Timed(lambda past: self._find(past, anyway=False), dialect)
        """``marks``, the head row's columns, the version row's columns. No row if there is no such entity."""
        self.find_anyway = Timed(lambda past: self._find(past, anyway=True), dialect)
        """The same. Always one row."""
        self.history = Timed(lambda past: self._seeks.history(self._one_entity(past)), dialect)
        """The rows' columns."""
        self.heads = Statement(lambda: select(entities).order_by(entities.c.entity_id), dialect)
        """The heads' columns."""
        self.head_rows = Statement(lambda: select(*_head_row(entities.c)).order_by(entities.c.entity_id), dialect)
        """The head rows' columns."""
        self.believed = Statement(self._believed, dialect)
        """The rows' columns, of all entities."""
        self.seek = Timed(self._seek, dialect)
        """The version row's columns. Always one row."""
        self.snapshot = Timed(self._snapshot, dialect) if kind == POSTGRESQL else None
        """The head row's columns, the version row's columns, as they are stored. SQLite has no LATERAL."""
        self.heads_of = Statement(self._heads_of, dialect) if kind == POSTGRESQL else None
        """The head rows' columns, of those entities of the array that have one."""
        self.head = Statement(lambda: select(*_head_row(entities.c)).where(entities.c.entity_id == _ENTITY_ID), dialect)
        """The head row's columns; no row if there is none."""
        self.recorded_since = Statement(lambda: self._recorded_since(entities), dialect)
        """The head rows' columns, of those entities that had a record since the past."""
        self.changed_from = Statement(self._changed_from, dialect)
        """From where on an entity changed since the past; null if it did not."""
        self.changes = Statement(self._changes, dialect) if kind == POSTGRESQL else None
        """From where on, the head row's columns, the version row's columns."""
        self.parts = {
            table.name: Statement(lambda table=table: _of_entity(table), dialect)  # type: ignore[misc]
            for table in (self._tables.superseded, self._tables.withdrawals, self._tables.conflicts)
        }
        self.parts["discarded"] = Statement(lambda: _discarded(self._tables.quarantine), dialect)
        """All rows of an entity in one table."""

    def _about(self) -> Select[Any]:
        head = self._head
        return select(self._all_marks.label("marks"), *head.c).select_from(_one_row().outerjoin(head, true()))

    def _find(self, past: bool, *, anyway: bool) -> Select[Any]:
        head = _one_row().outerjoin(self._head, true()) if anyway else self._head
        columns, rows = self._found(past, head)
        return select(self._all_marks.label("marks"), *columns).select_from(rows)

    def find_stored(self, *, past: bool) -> Select[Any]:
        """Write what :attr:`find` is with columns as they are stored, and before them the version of the tables and the
        marks as an array of records: converting them takes PostgreSQL as long as finding them.

        There is no row where there is no entity: one more join costs a tenth of the question.
        """
        columns, rows = self._found(past, self._head)
        return select(*self._records_of_marks, *map(_stored, columns)).select_from(rows)

    def _found(self, past: bool, head: FromClause) -> tuple[list[ColumnElement[Any]], FromClause]:
        """Write the columns of head row and version row, and what gives them: ``head`` with what is joined to it."""
        columns, rows = self._sought(past, head)
        return [*_head_row(self._head.c), *columns], rows

    def _seek(self, past: bool) -> Select[Any]:
        columns, rows = self._sought(past, _one_row())
        return select(*columns).select_from(rows)

    def _sought(self, past: bool, left: FromClause) -> tuple[list[ColumnElement[Any]], FromClause]:
        """Write the version row's columns, and what gives them: ``left`` and what is joined to it."""
        question = self._one_entity(past)
        valid_to = self._seeks.next_begin(question, _VALID_AT).scalar_subquery()
        if not past and self._kind != POSTGRESQL:
            row, condition, shown = self._seeks.last_by_rowid(question, _VALID_AT)
            return _version_row(shown, valid_to), left.outerjoin(row, condition)
        found = self._seeks.last(question, _VALID_AT).subquery("found")
        return _version_row(found.c, valid_to), left.outerjoin(found, true())

    def _snapshot(self, past: bool) -> Select[Any]:
        head = self._tables.entities.alias("head")
        # The outer query's columns by their text: inside the lateral parts there is nothing to correlate then.
        entity_id, partition, lead = (
            literal_column(f"head.{name}", head.c[name].type) for name in ("entity_id", "partition", "lead")
        )
        question = Question(entity_id, _past(partition, lead) if past else None)
        row = self._seeks.last(question, _VALID_AT).lateral("found")
        following = self._seeks.next_begin(question, _VALID_AT).lateral("following")
        return (
            select(*map(_stored, [*_head_row(head.c), *_version_row(row.c, following.c.valid_to)]))
            .select_from(head.outerjoin(row, true()).outerjoin(following, true()))
            .where(
                or_(row.c.offset.is_not(None), head.c.unstored_offset.is_not(None), head.c.pruned_before.is_not(None))
            )
            .order_by(head.c.entity_id)
        )

    def _believed(self) -> Select[Any]:
        # Neither lead nor instant plays a part: every row is looked at.
        return self._seeks.believed(lambda partition: _past(partition, literal_column("0", BigInteger)))

    def _recorded_since(self, heads: FromClause) -> Select[Any]:
        since = _past(heads.c.partition, heads.c.lead).next_offset
        # When an entity's last record was taken is not kept: as known at an instant, every entity is looked at.
        at_an_instant = literal_column(str(MAX_MICROS)) > _KNOWN_MICROS
        recorded = or_(heads.c.last_offset >= since, heads.c.mended_offset >= since, at_an_instant)
        return select(*_head_row(heads.c)).where(recorded).order_by(heads.c.entity_id)

    def _changed_from(self) -> Select[Any]:
        columns = self._head.c
        limits = _past_of(columns.partition, columns.lead, columns.mended_offset, columns.mended_from)
        return self._seeks.changed_from(Question(_ENTITY_ID, _worked_out(limits)))

    def _changes(self) -> Select[Any]:
        head = self._tables.entities.alias("head")
        entity_id, partition, *limiting = (
            literal_column(f"head.{name}", head.c[name].type)
            for name in ("entity_id", "partition", "lead", "mended_offset", "mended_from")
        )
        changed = self._seeks.changed_from(Question(entity_id, _past_of(partition, *limiting))).lateral("changed")
        now = Question(entity_id, None)
        row = self._seeks.last(now, _VALID_AT).lateral("found")
        following = self._seeks.next_begin(now, _VALID_AT).lateral("following")
        recorded = self._recorded_since(head).whereclause
        assert recorded is not None
        return (
            select(changed.c.changed_from, *_head_row(head.c), *_version_row(row.c, following.c.valid_to))
            .select_from(head.join(changed, true()).outerjoin(row, true()).outerjoin(following, true()))
            .where(recorded, changed.c.changed_from.is_not(None))
            .order_by(head.c.entity_id)
        )

    def points(self, *, past: bool) -> Select[Any]:
        """Write, for PostgreSQL, what gives the version row's columns as they are stored, and the place in the arrays,
        from 1; in any order. Where there is no entity there may be no row.
        """
        given, head = _given(entity_id=Id, valid_at=Instant()), self._tables.entities.alias("head")
        entity_id, valid_at = (literal_column(f"k.{name}", given.c[name].type) for name in ("entity_id", "valid_at"))
        partition, lead = (literal_column(f"head.{name}", head.c[name].type) for name in ("partition", "lead"))
        question = Question(entity_id, _past(partition, lead, valid_at) if past else None)
        row = self._seeks.last(question, valid_at).lateral("found")
        following = self._seeks.next_begin(question, valid_at).lateral("following")
        asked = given.join(head, head.c.entity_id == entity_id) if past else given
        columns = map(_stored, _version_row(row.c, following.c.valid_to))
        return select(*columns, literal_column("k.place")).select_from(
            asked.outerjoin(row, true()).outerjoin(following, true())
        )

    def _heads_of(self) -> Select[Any]:
        given, entities = _given(entity_id=Id), self._entities
        return select(*_head_row(entities.c)).select_from(
            given.join(entities, entities.c.entity_id == given.c.entity_id)
        )

    def _one_entity(self, past: bool) -> Question:
        if not past:
            return Question(_ENTITY_ID, None)
        return Question(_ENTITY_ID, _worked_out(_past(self._head.c.partition, self._head.c.lead)))


def _head_row(columns: ReadOnlyColumnCollection[str, Any]) -> list[ColumnElement[Any]]:
    return [columns[name] for name in HeadRow._fields]


def _version_row(shown: Iterable[ColumnElement[Any]], valid_to: ColumnElement[Any]) -> list[ColumnElement[Any]]:
    """Put columns as :meth:`Seeks.last` gives them into the order of a version row."""
    *columns, ended_at = shown
    return [*columns, valid_to, ended_at]


def _worked_out(limits: Past) -> Past:
    """Put the limits into a query of their own, so that they are worked out once for all the places that need them."""
    once = select(
        limits.next_offset.label("next_offset"), limits.reach.label("reach"), limits.until.label("until")
    ).cte("past")
    next_offset, reach, until = (select(column).scalar_subquery() for column in once.c)
    return Past(next_offset, _KNOWN_AT, reach, until)


def _past(partition: ColumnElement[int], lead: ColumnElement[int], valid_at: ColumnElement[Any] = _VALID_AT) -> Past:
    """Write the point in the past for an entity of this partition whose largest lead is this."""
    next_offset = func.coalesce(NumberIn(_OFFSETS, partition), _OTHER_OFFSET)
    bound = Earlier(_KNOWN_MICROS, func.coalesce(NumberIn(_BOUNDS, partition), _OTHER_BOUND))
    reach = NotBefore(bound + lead)
    return Past(next_offset, _KNOWN_AT, reach, until=Earlier(valid_at, reach))


def _past_of(
    partition: ColumnElement[int],
    lead: ColumnElement[int],
    mended_offset: ColumnElement[int],
    mended_from: ColumnElement[int],
) -> Past:
    """Write the point in the past, for an entity of which records that stand before it may have counted only later."""
    past = _past(partition, lead)
    only_later = and_(mended_offset >= past.next_offset, mended_from < past.next_offset)
    return replace(past, next_offset=case((only_later, mended_from), else_=past.next_offset))


def _marks(shared: SharedTables, generation: Generation) -> ScalarSelect[str]:
    """Write the marks of all partitions as one text: ``version;partition:next_offset:watermark:trouble,…``.

    It begins with the version of the tables, so that no answer is read from those of another one by a program that has
    been running since before they were upgraded.

    The watermark is the later of the last record's and of the instant up to which an idle partition was quiet.
    """
    table, later = _checkpoints(shared)
    numbers = table.partition, table.next_offset, func.coalesce(MicrosOf(later), literal_column("-1"))
    # Concatenating makes texts of numbers; a cast of each would take half as long again.
    first, *rest = (type_coerce(number, Text) for number in numbers)
    mark: ColumnElement[str] = first
    for number in rest:
        mark = mark + literal_column("':'", Text) + number
    mark = mark + literal_column("':'", Text) + func.coalesce(table.trouble, literal_column("''", Text))
    version = select(cast(shared.meta.c.schema_version, Text)).scalar_subquery()
    marks = func.coalesce(Joined(mark), literal_column("''", Text))
    return (
        select(version + literal_column("';'", Text) + marks)
        .where(table.projection == generation.projection, table.number == generation.number)
        .scalar_subquery()
    )


def _records_of_marks(shared: SharedTables, generation: Generation) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """Write what :func:`_marks` does as the version and, on PostgreSQL, an array of records."""
    table, later = _checkpoints(shared)
    trouble = func.coalesce(table.trouble, literal_column("''", Text))
    mark = func.row(table.partition, table.next_offset, type_coerce(later, NullType()), trouble)
    # Cheaper than an aggregate, and an empty array where that gives null.
    marks = select(mark).where(table.projection == generation.projection, table.number == generation.number)
    return select(shared.meta.c.schema_version).scalar_subquery(), func.array(marks.scalar_subquery(), type_=NullType())


def _checkpoints(shared: SharedTables) -> tuple[ReadOnlyColumnCollection[str, Any], ColumnElement[Any]]:
    """Return the columns of ``checkpoints``, and the recorded time up to which a partition is covered."""
    table = shared.checkpoints.alias("c").c
    # Where one of them is null the comparison is not true.
    later = case(
        (table.quiet_until > table.watermark, table.quiet_until),
        else_=func.coalesce(table.watermark, table.quiet_until),
    )
    return table, later


def _stored(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Take a column as it stands, without the conversion that its type asks for."""
    return type_coerce(column, NullType()) if isinstance(column.type, Instant | JsonText) else column


def _of_entity(table: FromClause) -> Select[Any]:
    return select(*table.c).where(table.c.entity_id == _ENTITY_ID)


def _discarded(quarantine: FromClause) -> Select[Any]:
    return _of_entity(quarantine).where(quarantine.c.status == literal_column("'discarded'"))


def _one_row() -> Subquery:
    """One row, so that there is an answer about an entity that is not there."""
    return select(literal_column("1")).subquery("one")


def _given(**columns: TypeEngine[Any]) -> TableValuedAlias:
    """Write arrays, one for each column, as a table ``k``; ``place`` counts its rows from 1."""
    names = {"entity_id": "entity_ids", "valid_at": "instants"}
    arrays = [cast(bindparam(names[name], type_=NullType()), ARRAY(kind)) for name, kind in columns.items()]
    rows = func.unnest(*arrays).table_valued(*starmap(column, columns.items()), with_ordinality="place")
    return rows.render_derived(name="k")
