"""The statements that the readers of one generation run, compiled once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    ScalarSelect,
    Select,
    Subquery,
    Text,
    bindparam,
    cast,
    func,
    literal_column,
    select,
    true,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.base import Executable

from everwhen.ports.store import Generation
from everwhen.sql.expressions import POSTGRESQL, Earlier, Joined, MicrosOf, NotBefore, NumberIn
from everwhen.sql.seeks import Past, Question, Seeks
from everwhen.sql.statement import Statement
from everwhen.sql.tables import GenerationTables, SharedTables
from everwhen.sql.types import Id, Instant

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
    partition, and ``other_offset`` and ``other_bound`` for those partitions that are not in them.
    """

    def __init__(self, kind: str, dialect: Dialect, shared: SharedTables, generation: Generation) -> None:
        self._tables = GenerationTables(kind, generation.projection, generation.number)
        self._seeks = Seeks(self._tables)
        self._all_marks = _marks(shared, generation)
        entities = self._tables.entities
        self._head = select(entities).where(entities.c.entity_id == _ENTITY_ID).cte("head")
        self.marks = Statement(lambda: select(self._all_marks), dialect)
        self.about = Statement(self._about, dialect)
        """``marks`` and the head's columns. Always one row."""
        self.find = Timed(self._find, dialect)
        """``marks``, the head's columns, the row's columns, ``valid_to``. Always one row."""
        self.history = Timed(lambda past: self._seeks.history(self._one_entity(past)), dialect)
        """The rows' columns."""
        self.events = Timed(lambda past: self._seeks.events(self._one_entity(past)), dialect)
        """The columns of ``versions``."""
        self.heads = Statement(lambda: select(entities).order_by(entities.c.entity_id), dialect)
        """The heads' columns."""
        self.seek = Timed(self._seek, dialect)
        """The row's columns, ``valid_to``; no row if there is none."""
        self.snapshot = Timed(self._snapshot, dialect) if kind == POSTGRESQL else None
        """The head's columns, the row's columns, ``valid_to``. SQLite has no LATERAL."""

    def _about(self) -> Select[Any]:
        head = self._head
        return select(self._all_marks.label("marks"), *head.c).select_from(_one_row().outerjoin(head, true()))

    def _find(self, past: bool) -> Select[Any]:
        question, head = self._one_entity(past), self._head
        row = self._seeks.last(question, _VALID_AT).subquery("found")
        valid_to = self._seeks.next_begin(question, _VALID_AT).scalar_subquery()
        return select(self._all_marks.label("marks"), *head.c, *row.c, valid_to).select_from(
            _one_row().outerjoin(head, true()).outerjoin(row, true())
        )

    def _seek(self, past: bool) -> Select[Any]:
        question = self._one_entity(past)
        row = self._seeks.last(question, _VALID_AT).subquery("found")
        valid_to = self._seeks.next_begin(question, _VALID_AT).scalar_subquery()
        return select(*row.c, valid_to)

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
            select(*head.c, *row.c, following.c.valid_to)
            .select_from(head.outerjoin(row, true()).outerjoin(following, true()))
            .where(row.c.offset.is_not(None) | head.c.unstored_offset.is_not(None))
            .order_by(head.c.entity_id)
        )

    def _one_entity(self, past: bool) -> Question:
        if not past:
            return Question(_ENTITY_ID, None)
        limits = _past(self._head.c.partition, self._head.c.lead)
        # A query of its own, so that it is worked out once for all the places that need it.
        once = select(
            limits.next_offset.label("next_offset"), limits.reach.label("reach"), limits.until.label("until")
        ).cte("past")
        next_offset, reach, until = (select(column).scalar_subquery() for column in once.c)
        return Question(_ENTITY_ID, Past(next_offset, _KNOWN_AT, reach, until))


def _past(partition: ColumnElement[int], lead: ColumnElement[int]) -> Past:
    """Write the point in the past for an entity of this partition whose largest lead is this."""
    next_offset = func.coalesce(NumberIn(_OFFSETS, partition), _OTHER_OFFSET)
    bound = Earlier(_KNOWN_MICROS, func.coalesce(NumberIn(_BOUNDS, partition), _OTHER_BOUND))
    reach = NotBefore(bound + lead)
    return Past(next_offset, _KNOWN_AT, reach, until=Earlier(_VALID_AT, reach))


def _marks(shared: SharedTables, generation: Generation) -> ScalarSelect[str]:
    """Write the marks of all partitions as one text: ``partition:next_offset:watermark,…``."""
    table = shared.checkpoints.c
    numbers = table.partition, table.next_offset, func.coalesce(MicrosOf(table.watermark), literal_column("-1"))
    first, *rest = (cast(number, Text) for number in numbers)
    mark: ColumnElement[str] = first
    for number in rest:
        mark = mark + literal_column("':'", Text) + number
    return (
        select(Joined(mark))
        .where(table.projection == generation.projection, table.number == generation.number)
        .scalar_subquery()
    )


def _one_row() -> Subquery:
    """One row, so that there is an answer about an entity that is not there."""
    return select(literal_column("1")).subquery("one")
