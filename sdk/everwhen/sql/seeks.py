"""How the rows of one entity that were believed are found.

What was believed at a basis *b* are the rows of ``versions`` that were made by a record below *b*, and those of
``superseded`` that were made below *b* and ended at or after it; as known at an instant *k* the same with recorded
times. The version at *t* is the last of these by ``(valid_from, offset)`` with ``valid_from <= t``.

For the present belief that is one seek in ``versions``. For an earlier one, both tables are merged in key order,
backwards from *t*, and the first row that was believed ends the search. Of all rows that stand for one event, one
was believed at any basis after it unless it was withdrawn, so the rows passed over are those recorded later. To have
few of these, the search begins no later than the recorded time of the basis plus the entity's largest lead: no event
that was known then begins after that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, TypeAlias

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    and_,
    asc,
    cast,
    desc,
    func,
    literal_column,
    null,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from everwhen.sql.expressions import Earlier
from everwhen.sql.tables import GenerationTables
from everwhen.sql.types import Instant

_Columns: TypeAlias = ReadOnlyColumnCollection[str, Any]
_Where: TypeAlias = Callable[[_Columns], ColumnElement[bool]]


class Belief(Enum):
    """Whose belief is asked for."""

    PRESENT = auto()
    AT_BASIS = auto()
    KNOWN_AT = auto()


@dataclass(frozen=True, slots=True)
class Question:
    """One entity and one belief, as expressions: parameters, subqueries, or columns of an outer query."""

    belief: Belief
    entity_id: ColumnElement[Any]
    basis: ColumnElement[Any]
    """The offset that comes next at the basis, or the instant of which what was known is asked for."""
    reach: ColumnElement[Any]
    """No event of that belief begins later; not used for the present."""


class Seeks:
    """Selects on the tables of one generation: columns of ``versions``, ``ended_offset``, ``ended_at``."""

    def __init__(self, tables: GenerationTables) -> None:
        self._versions = tables.versions
        self._superseded = tables.superseded

    def last(self, question: Question, valid_at: ColumnElement[Any]) -> Select[Any]:
        """Select the version that is valid at the instant."""
        until = valid_at if question.belief is Belief.PRESENT else Earlier(valid_at, question.reach)
        return self._believed(question, lambda c: c.valid_from <= until, desc).limit(literal_column("1"))

    def next_begin(self, question: Question, valid_at: ColumnElement[Any]) -> Select[Any]:
        """Select where the next version after the instant begins."""

        def after(columns: _Columns) -> ColumnElement[bool]:
            later: ColumnElement[bool] = columns.valid_from > valid_at
            return later if question.belief is Belief.PRESENT else later & (columns.valid_from <= question.reach)

        rows = self._believed(question, after, asc).limit(literal_column("1")).subquery("after")
        return select(rows.c.valid_from)

    def history(self, question: Question) -> Select[Any]:
        """Select every version, in order."""
        return self._believed(question, lambda _: true(), asc)

    def _believed(self, question: Question, where: _Where, direction: Callable[[str], Any]) -> Select[Any]:
        order = direction("valid_from"), direction("offset")
        live = select(
            *self._versions.c,
            cast(null(), BigInteger).label("ended_offset"),
            cast(null(), Instant).label("ended_at"),
        ).where(self._versions.c.entity_id == question.entity_id, where(self._versions.c))
        if question.belief is Belief.PRESENT:
            return live.order_by(*order)
        columns = [column for column in self._superseded.c if column.name != "withdrawn"]
        ended = select(*columns).where(self._superseded.c.entity_id == question.entity_id, where(self._superseded.c))
        # OFFSET keeps the planners from moving the filter below the merge, where each table would be searched to
        # its end for a row that only the other one has.
        merged = union_all(live, ended).order_by(*order).offset(literal_column("0")).subquery("merged")
        return select(merged).where(_was_believed(question, merged.c))


def _was_believed(question: Question, row: _Columns) -> ColumnElement[bool]:
    if question.belief is Belief.AT_BASIS:
        made = func.coalesce(row.refolded_offset, row.offset) < question.basis
        return and_(made, or_(row.ended_offset.is_(None), row.ended_offset >= question.basis))
    made = func.coalesce(row.refolded_at, row.recorded_at) <= question.basis
    return and_(made, or_(row.ended_at.is_(None), row.ended_at > question.basis))
