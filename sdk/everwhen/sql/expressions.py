"""Expressions that the two databases write differently."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from everwhen.instants import MIN_MICROS

POSTGRESQL = "postgresql"
SQLITE = "sqlite"


class MicrosOf(FunctionElement[int]):
    """An instant as microseconds since the epoch."""

    type = BigInteger()
    inherit_cache = True


class TextOf(FunctionElement[str]):
    """A JSON document as its text."""

    type = Text()
    inherit_cache = True


class Joined(FunctionElement[str]):
    """Aggregate: the texts of all rows, joined by commas, in any order; null without rows."""

    type = Text()
    inherit_cache = True


class NumberIn(FunctionElement[int]):
    """``NumberIn(document, key)``: the integer that a JSON object, given as text, has under an integer key."""

    type = BigInteger()
    inherit_cache = True


class NotBefore(FunctionElement[Any]):
    """Microseconds since the epoch as an instant, rounded up by a millisecond at most."""

    inherit_cache = True


class Earlier(FunctionElement[Any]):
    """``Earlier(a, b)``: the smaller of two; null if ``b`` is."""

    type = BigInteger()
    inherit_cache = True


@compiles(MicrosOf, SQLITE)
@compiles(TextOf, SQLITE)
@compiles(NotBefore, SQLITE)
def _as_it_stands(element: FunctionElement[Any], compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(element.clauses, **options)


@compiles(MicrosOf, POSTGRESQL)
def _micros_of_timestamptz(element: MicrosOf, compiler: SQLCompiler, **options: Any) -> str:
    # Exact, since EXTRACT gives a numeric, and independent of the session's TimeZone and DateStyle.
    return f"CAST(EXTRACT(EPOCH FROM {compiler.process(element.clauses, **options)}) * 1000000 AS BIGINT)"


@compiles(TextOf, POSTGRESQL)
def _text_of_json(element: TextOf, compiler: SQLCompiler, **options: Any) -> str:
    return f"CAST({compiler.process(element.clauses, **options)} AS TEXT)"


@compiles(Joined, POSTGRESQL)
def _string_agg(element: Joined, compiler: SQLCompiler, **options: Any) -> str:
    return f"string_agg({compiler.process(element.clauses, **options)}, ',')"


@compiles(Joined, SQLITE)
def _group_concat(element: Joined, compiler: SQLCompiler, **options: Any) -> str:
    return f"group_concat({compiler.process(element.clauses, **options)})"


@compiles(NumberIn, POSTGRESQL)
def _number_in_json(element: NumberIn, compiler: SQLCompiler, **options: Any) -> str:
    document, key = (compiler.process(each, **options) for each in element.clauses)
    return f"CAST(CAST({document} AS JSON) ->> CAST({key} AS TEXT) AS BIGINT)"


@compiles(NumberIn, SQLITE)
def _number_in_text(element: NumberIn, compiler: SQLCompiler, **options: Any) -> str:
    document, key = (compiler.process(each, **options) for each in element.clauses)
    return f"json_extract({document}, '$.\"' || {key} || '\"')"


@compiles(NotBefore, POSTGRESQL)
def _timestamptz_not_before(element: NotBefore, compiler: SQLCompiler, **options: Any) -> str:
    # A double cannot hold every microsecond; within our years the millisecond more than makes up for that.
    seconds = f"CAST({compiler.process(element.clauses, **options)} AS DOUBLE PRECISION) / 1000000 + 0.001"
    # PostgreSQL's time begins in 4713 BC, ours in the year 1.
    return f"to_timestamp(GREATEST({seconds}, {MIN_MICROS // 1_000_000}))"


@compiles(Earlier, POSTGRESQL)
def _case(element: Earlier, compiler: SQLCompiler, **options: Any) -> str:
    a, b = (compiler.process(each, **options) for each in element.clauses)
    return f"CASE WHEN {a} < {b} THEN {a} ELSE {b} END"


@compiles(Earlier, SQLITE)
def _min(element: Earlier, compiler: SQLCompiler, **options: Any) -> str:
    return f"min({compiler.process(element.clauses, **options)})"
