"""The statements that the readers of one generation run, compiled once."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    CTE,
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

from everwhen.ports.store import Generation
from everwhen.sql.expressions import POSTGRESQL, Joined, MicrosOf, NotBefore, NumberIn
from everwhen.sql.seeks import Belief, Question, Seeks
from everwhen.sql.statement import Statement
from everwhen.sql.tables import GenerationTables, SharedTables
from everwhen.sql.types import Id, Instant

_ENTITY_ID = bindparam("entity_id", type_=Id)
_VALID_AT = bindparam("valid_at", type_=Instant)
_KNOWN_AT = bindparam("known_at", type_=Instant)
_KNOWN_MICROS = bindparam("known_micros", type_=BigInteger)
_OFFSETS = bindparam("offsets", type_=Text)  # JSON: partition to the offset that comes next at the basis
_BOUNDS = bindparam("bounds", type_=Text)  # JSON: partition to the recorded time of the basis


class Queries:
    """All of them. Immutable, thread-safe.

    Parameters: ``entity_id`` and ``valid_at``; ``offsets`` and ``bounds`` for a basis; ``known_at`` and
    ``known_micros`` (the same in microseconds) for a known-at.
    """

    def __init__(self, kind: str, dialect: Dialect, shared: SharedTables, generation: Generation) -> None:
        tables = GenerationTables(kind, generation.projection, generation.number)
        marks, seeks = _marks(shared, generation), Seeks(tables)
        self.marks = Statement(select(marks), dialect)
        self.about = Statement(_about(tables, marks), dialect)
        """``marks`` and the head's columns."""
        self.find = {belief: Statement(_find(tables, seeks, marks, belief), dialect) for belief in Belief}
        """``marks``, the head's columns, the row's columns, ``valid_to``. Always one row."""
        self.history = {belief: Statement(_history(tables, seeks, belief), dialect) for belief in Belief}
        """The rows' columns."""
        self.heads = Statement(select(tables.entities).order_by(tables.entities.c.entity_id), dialect)
        """The heads' columns."""
        self.seek = {belief: Statement(_seek(tables, seeks, belief), dialect) for belief in Belief}
        """The row's columns, ``valid_to``; no row if there is none."""
        self.snapshot = (
            {belief: Statement(_snapshot(tables, seeks, belief), dialect) for belief in Belief}
            if kind == POSTGRESQL
            else {}
        )
        """The head's columns, the row's columns, ``valid_to``. Not on SQLite, which has no LATERAL."""


def _marks(shared: SharedTables, generation: Generation) -> ScalarSelect[str]:
    """Write the marks of all partitions as one text: ``partition:next_offset:watermark,…``."""
    table = shared.checkpoints.c
    numbers = table.partition, table.next_offset, func.coalesce(MicrosOf(table.watermark), -1)
    first, *rest = (cast(number, Text) for number in numbers)
    mark: ColumnElement[str] = first
    for number in rest:
        mark = mark + literal_column("':'", Text) + number
    return (
        select(Joined(mark))
        .where(table.projection == generation.projection, table.number == generation.number)
        .scalar_subquery()
    )


def _about(tables: GenerationTables, marks: ScalarSelect[str]) -> Select[Any]:
    one, head = _one(), _head(tables)
    return select(marks.label("marks"), *head.c).select_from(one.outerjoin(head, true()))


def _find(tables: GenerationTables, seeks: Seeks, marks: ScalarSelect[str], belief: Belief) -> Select[Any]:
    head = _head(tables)
    question = _about_one(head, belief)
    row = seeks.last(question, _VALID_AT).subquery("found")
    valid_to = seeks.next_begin(question, _VALID_AT).scalar_subquery()
    return select(marks.label("marks"), *head.c, *row.c, valid_to.label("valid_to")).select_from(
        _one().outerjoin(head, true()).outerjoin(row, true())
    )


def _history(tables: GenerationTables, seeks: Seeks, belief: Belief) -> Select[Any]:
    return seeks.history(_about_one(_head(tables), belief))


def _seek(tables: GenerationTables, seeks: Seeks, belief: Belief) -> Select[Any]:
    question = _about_one(_head(tables), belief)
    row = seeks.last(question, _VALID_AT).subquery("found")
    return select(*row.c, seeks.next_begin(question, _VALID_AT).scalar_subquery().label("valid_to"))


def _snapshot(tables: GenerationTables, seeks: Seeks, belief: Belief) -> Select[Any]:
    head = tables.entities.alias("head")
    # The outer query's columns by their text: inside the lateral parts there is nothing to correlate then.
    entity_id, partition, lead = (
        literal_column(f"head.{name}", head.c[name].type) for name in ("entity_id", "partition", "lead")
    )
    basis, reach = _limits(belief, partition, lead)
    question = Question(belief, entity_id, basis, reach)
    row = seeks.last(question, _VALID_AT).lateral("found")
    after = seeks.next_begin(question, _VALID_AT).lateral("following")
    return (
        select(*head.c, *row.c, after.c.valid_from)
        .select_from(head.outerjoin(row, true()).outerjoin(after, true()))
        .where(row.c.offset.is_not(None) | head.c.unstored_offset.is_not(None))
        .order_by(head.c.entity_id)
    )


def _one() -> Subquery:
    """One row, so that there is an answer about an entity that is not there."""
    return select(literal_column("1")).subquery("one")


def _head(tables: GenerationTables) -> CTE:
    return select(tables.entities).where(tables.entities.c.entity_id == _ENTITY_ID).cte("head")


def _about_one(head: CTE, belief: Belief) -> Question:
    basis, reach = _limits(belief, head.c.partition, head.c.lead)
    if belief is Belief.AT_BASIS:
        basis = select(basis).scalar_subquery()
    return Question(belief, _ENTITY_ID, basis, select(reach).scalar_subquery())


def _limits(
    belief: Belief, partition: ColumnElement[int], lead: ColumnElement[int]
) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """Write the basis and the reach of a :class:`Question` about an entity with this partition and this lead."""
    if belief is Belief.AT_BASIS:
        return NumberIn(_OFFSETS, partition), NotBefore(NumberIn(_BOUNDS, partition) + lead)
    return _KNOWN_AT, NotBefore(_KNOWN_MICROS + lead)
