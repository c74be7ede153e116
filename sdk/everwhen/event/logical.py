"""Logical types: how a value of Python stands in one of Avro's primitive types, and back.

Source: Avro specification 1.12, section "Logical Types". fastavro's own conversions are not used. They refuse
``Decimal("1.100")`` for a scale of 2, round a decimal with too many digits, need minutes for one of a megabyte, and
write instants that no reader can hold.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Any, TypeAlias
from uuid import UUID

from everwhen.errors import InstantError
from everwhen.event.shapes import Number, Scalar
from everwhen.instants import MAX_MICROS, MIN_MICROS

Convert: TypeAlias = Callable[[Any], Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(1970, 1, 1).toordinal()


def outward(shape: Scalar | Number) -> Convert | None:
    """Return the function from a Python value to the one that Avro holds; ``None`` if they are the same.

    It raises a ``ValueError`` or ``ArithmeticError`` for a value that has no place in the type.
    """
    if isinstance(shape, Number):
        return _pack_decimal(shape.precision, shape.scale)
    return _OUTWARD.get(shape.logical)


def inward(shape: Scalar | Number) -> Convert | None:
    """Return the function from the value that Avro holds to the Python value; ``None`` if they are the same.

    It raises a ``ValueError`` or ``ArithmeticError`` for a value that does not follow the logical type.
    """
    if isinstance(shape, Number):
        return _unpack_decimal(shape.precision, shape.scale)
    return _INWARD.get(shape.logical)


def _instant_to_micros(value: datetime) -> int:
    passed = value - _EPOCH
    micros = (passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds
    # Near the ends of the calendar an offset can lead out of it.
    if not MIN_MICROS <= micros <= MAX_MICROS:
        raise InstantError("the instant lies outside the years 1 to 9999 in UTC")
    return micros


def _micros_to_instant(micros: int) -> datetime:
    return _EPOCH + timedelta(0, 0, micros)


def _date_to_days(value: date) -> int:
    return value.toordinal() - _EPOCH_DAY


def _days_to_date(days: int) -> date:
    return date.fromordinal(days + _EPOCH_DAY)


def _text_to_uuid(text: str) -> UUID:
    # UUID(text) takes braces, prefixes and underscores as well; the specification takes the form of RFC 4122 alone.
    if len(text) != 36 or not text[8] == text[13] == text[18] == text[23] == "-":
        raise ValueError("the text is not a UUID of the form 8-4-4-4-12")
    return UUID(bytes=bytes.fromhex(text.replace("-", "")))


_OUTWARD: dict[str | None, Convert] = {
    "timestamp-micros": _instant_to_micros,
    "date": _date_to_days,
    "uuid": str,
}
_INWARD: dict[str | None, Convert] = {
    "timestamp-micros": _micros_to_instant,
    "date": _days_to_date,
    "uuid": _text_to_uuid,
}


def _pack_decimal(precision: int, scale: int) -> Convert:
    bound = 10**precision
    context = Context(prec=precision, traps=[Inexact, InvalidOperation])

    def pack(value: Decimal) -> bytes:
        scaled = value.scaleb(scale, context)
        unscaled = int(scaled)
        if unscaled != scaled or not -bound < unscaled < bound:
            raise ValueError(f"the number has more digits than decimal({precision}, {scale})")
        return unscaled.to_bytes(unscaled.bit_length() // 8 + 1, "big", signed=True)

    return pack


def _unpack_decimal(precision: int, scale: int) -> Convert:
    bound = 10**precision
    context = Context(prec=precision)

    def unpack(data: bytes) -> Decimal:
        unscaled = int.from_bytes(data, "big", signed=True)
        # Before it becomes a Decimal: that takes time in the square of its length.
        if not data or not -bound < unscaled < bound:
            raise ValueError(f"the number has more digits than decimal({precision}, {scale})")
        return Decimal(unscaled).scaleb(-scale, context)

    return unpack
