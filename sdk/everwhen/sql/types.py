"""Column types that look the same from Python on both databases: whole microseconds, and JSON as its text."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, ColumnElement, DateTime, LargeBinary, Text, TypeDecorator
from sqlalchemy.dialects.postgresql import JSON
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeEngine

from everwhen.instants import from_micros
from everwhen.sql.expressions import POSTGRESQL, MicrosOf, TextOf


class Instant(TypeDecorator[int]):
    """Microseconds since the epoch: ``timestamptz`` on PostgreSQL, an integer on SQLite; years 1 to 9999."""

    impl = BigInteger
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose the database's own type."""
        return dialect.type_descriptor(DateTime(timezone=True) if dialect.name == POSTGRESQL else BigInteger())

    def process_bind_param(self, value: int | None, dialect: Dialect) -> datetime | int | None:
        """Turn microseconds into what the driver takes."""
        return from_micros(value) if value is not None and dialect.name == POSTGRESQL else value

    def column_expression(self, column: ColumnElement[Any]) -> ColumnElement[int]:
        """Have the database give microseconds."""
        return MicrosOf(column)


class JsonText(TypeDecorator[str]):
    """JSON kept and given as text: ``json`` on PostgreSQL, TEXT on SQLite."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose the database's own type."""
        return dialect.type_descriptor(JSON() if dialect.name == POSTGRESQL else Text())

    def column_expression(self, column: ColumnElement[Any]) -> ColumnElement[str]:
        """Have the database give the text, before a driver parses it."""
        return TextOf(column)


# Byte order: that of code points in Python too, and the default on SQLite; and cheaper than any other.
Id = Text().with_variant(Text(collation="C"), POSTGRESQL)
Blob = LargeBinary()
Flag = Boolean()
