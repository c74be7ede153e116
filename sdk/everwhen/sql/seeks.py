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

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    FromClause,
    Select,
    Subquery,
    UnaryExpression,
    and_,
    asc,
    case,
    cast,
    desc,
    func,
    literal_column,
    not_,
    null,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from everwhen.sql.tables import GenerationTables
from everwhen.sql.types import Instant

SHOWN: Final = ("valid_from", "offset", "partition", "recorded_at", "event_id", "event_type", "state")
"""The columns of a version that answers show."""
_Columns: TypeAlias = ReadOnlyColumnCollection[str, Any]
_Order: TypeAlias = tuple[UnaryExpression[Any], UnaryExpression[Any]]
_Where: TypeAlias = Callable[[_Columns], ColumnElement[bool]]


@dataclass(frozen=True, slots=True)
class Past:
    """A point in the past of the log, as expressions: only records that are on this side of both bounds count."""

    next_offset: ColumnElement[int]
    """The offset that comes next at the basis."""
    known_at: ColumnElement[Any]
    """The latest recorded time."""
    reach: ColumnElement[Any]
    """No event that counts begins later than this instant."""
    until: ColumnElement[Any]
    """The instant that is asked about, or the reach where that is earlier."""


@dataclass(frozen=True, slots=True)
class Question:
    """One entity and one belief about it, as expressions: parameters, subqueries, or columns of an outer query."""

    entity_id: ColumnElement[Any]
    past: Past | None
    """``None`` asks for what is believed now."""


class Seeks:
    """Selects on the tables of one generation.

    A version is given with the columns that answers show and when it ended, or with all columns of ``superseded``,
    which are null where they have no meaning.
    """

    def __init__(self, tables: GenerationTables) -> None:
        # Short names: psycopg parses a statement of more than 4,096 characters anew for each question, which takes
        # longer than the seek.
        self._versions = tables.versions.alias("v")
        self._others = tables.versions.alias("o")
        self._superseded = tables.superseded.alias("s")
        self._heads = tables.entities.alias("e")

    def last(self, question: Question, valid_at: ColumnElement[Any]) -> Select[Any]:
        """Select what is shown of the version that is valid at the instant."""
        past, versions = question.past, self._versions.c
        if past is None:
            shown = select(*_shown(versions), _NEVER_ENDED[1]).where(versions.entity_id == question.entity_id)
            return shown.where(versions.valid_from <= valid_at).order_by(*_BACKWARDS).limit(_ONE)
        merged = self._merged(question, lambda c: c.valid_from <= past.until, _BACKWARDS)
        return select(*_shown(merged.c), merged.c.ended_at).where(_was_believed(past, merged.c)).limit(_ONE)

    def last_by_rowid(
        self, question: Question, valid_at: ColumnElement[Any]
    ) -> tuple[FromClause, ColumnElement[bool], Sequence[ColumnElement[Any]]]:
        """Write, for SQLite and what is believed now, the table that has it, the condition, and what is shown.

        SQLite would write the row of a subquery into a table of its own before it joins it, which takes as long as to
        find it; a row by its number it does not.
        """
        there, versions = self._versions, self._others.c
        last = select(literal_column("o.rowid", BigInteger)).select_from(self._others)
        last = last.where(versions.entity_id == question.entity_id, versions.valid_from <= valid_at)
        # With all the key in front, the index alone says it.
        last = last.order_by(versions.valid_from.desc(), versions.offset.desc()).limit(_ONE)
        condition = literal_column("v.rowid", BigInteger) == last.scalar_subquery()
        return there, condition, [*_shown(there.c), _NEVER_ENDED[1]]

    def next_begin(self, question: Question, valid_at: ColumnElement[Any]) -> Select[Any]:
        """Select where the next version after the instant begins.

        That depends on which events count and not on what was believed of them, so it is known for every past.
        """
        past, versions = question.past, self._versions.c
        if past is None:
            rows = select(versions.valid_from.label("valid_to")).where(versions.entity_id == question.entity_id)
            later = rows.where(versions.valid_from > valid_at)
            return later.order_by(versions.valid_from.asc(), versions.offset.asc()).limit(_ONE)
        merged = self._merged(question, lambda c: c.valid_from > valid_at, _ONWARDS)
        # What begins out of reach ends the search without an answer. As a bound of the index it would make PostgreSQL
        # expect next to nothing in between, and sort that.
        beyond = merged.c.valid_from > past.reach
        first = select(merged).where(or_(beyond, _was_an_event(past, merged.c))).limit(_ONE).subquery("first")
        return select(case((first.c.valid_from <= past.reach, first.c.valid_from)).label("valid_to"))

    def history(self, question: Question) -> Select[Any]:
        """Select every version, in order."""
        past = question.past
        if past is None:
            return self._live(question).order_by(*_ONWARDS)
        merged = self._merged(question, lambda _: true(), _ONWARDS)
        return select(merged).where(_was_believed(past, merged.c))

    def believed(self, past: Callable[[ColumnElement[int]], Past]) -> Select[Any]:
        """Select every version of every entity, in order.

        :param past: the point in the past for rows of a partition.
        """
        both = self._both()
        rows = select(both).where(_was_believed(past(both.c.partition), both.c))
        return rows.order_by(both.c.entity_id, both.c.valid_from, both.c.offset)

    def changed_from(self, question: Question) -> Select[Any]:
        """Select where the earliest event begins that counts only now, or counted only in the past; null if none.

        Where events were dropped since, it is where they may have counted and answers are left: from the first version
        that is left on, and if that begins later, from the instant up to which everything before was dropped.
        """
        since, versions, ended = question.past, self._versions.c, self._superseded.c
        assert since is not None
        come = select(versions.valid_from).where(
            versions.entity_id == question.entity_id, not_(_counts(since, versions.offset, versions.recorded_at))
        )
        gone = select(ended.valid_from).where(
            ended.entity_id == question.entity_id,
            ended.withdrawn,
            _counts(since, ended.offset, ended.recorded_at),
            not_(_counts(since, ended.ended_offset, ended.ended_at)),
        )
        # Of what was dropped since, nobody knows: it may have come after the past.
        heads = self._heads.c
        left_from = case((heads.first_valid < heads.pruned_before, heads.first_valid), else_=heads.pruned_before)
        pruned = select(left_from.label("valid_from")).where(
            heads.entity_id == question.entity_id, not_(_counts(since, heads.pruned_offset, heads.pruned_at))
        )
        both = union_all(come, gone, pruned).subquery("both")
        return select(func.min(both.c.valid_from, type_=Instant()).label("changed_from"))

    def _live(self, question: Question) -> Select[Any]:
        columns = self._versions.c
        return select(*columns, *_NEVER_ENDED).where(columns.entity_id == question.entity_id)

    def _merged(self, question: Question, where: _Where, order: _Order) -> Subquery:
        """Write the entity's rows of both tables, merged in the order of their keys.

        The conditions on keys stand above the union, or PostgreSQL would sort instead of merging. A condition on
        belief must stand above what this gives, which OFFSET keeps closed: below it, each table would be searched
        to its end for a row that only the other one has.
        """
        both = self._both()
        rows = select(both).where(both.c.entity_id == question.entity_id, where(both.c))
        return rows.order_by(*order).offset(literal_column("0")).subquery("merged")

    def _both(self) -> Subquery:
        """Write the rows of both tables."""
        names = [column.name for column in self._versions.c]
        live = select(*self._versions.c, *_NEVER_ENDED)
        endings = (self._superseded.c[column.name] for column in _NEVER_ENDED)
        ended = select(*(self._superseded.c[name] for name in names), *endings)
        return union_all(live, ended).subquery("both")


_ONE: ColumnElement[int] = literal_column("1")
_ONWARDS: _Order = asc("valid_from"), asc("offset")
_BACKWARDS: _Order = desc("valid_from"), desc("offset")
_NEVER_ENDED = (
    cast(null(), BigInteger).label("ended_offset"),
    cast(null(), Instant).label("ended_at"),
    cast(null(), Boolean).label("withdrawn"),
)


def _shown(columns: _Columns) -> list[ColumnElement[Any]]:
    return [columns[name] for name in SHOWN]


def _was_believed(past: Past, row: _Columns) -> ColumnElement[bool]:
    made_offset = func.coalesce(row.refolded_offset, row.offset)
    made_at = func.coalesce(row.refolded_at, row.recorded_at)
    return and_(_counts(past, made_offset, made_at), _has_not_ended(past, row))


def _was_an_event(past: Past, row: _Columns) -> ColumnElement[bool]:
    """Exactly one row of an event says so: the one in ``versions`` or, once it was withdrawn, that of its ending."""
    stands = or_(row.ended_offset.is_(None), row.withdrawn)
    return and_(stands, _counts(past, row.offset, row.recorded_at), _has_not_ended(past, row))


def _has_not_ended(past: Past, row: _Columns) -> ColumnElement[bool]:
    return or_(row.ended_offset.is_(None), not_(_counts(past, row.ended_offset, row.ended_at)))


def _counts(past: Past, offset: ColumnElement[Any], recorded_at: ColumnElement[Any]) -> ColumnElement[bool]:
    return and_(offset < past.next_offset, recorded_at <= past.known_at)
