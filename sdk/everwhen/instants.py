"""Instants: aware datetimes outside, whole microseconds since 1970-01-01T00:00:00Z inside.

One integer orders the same way in Python, SQLite and PostgreSQL and never meets a time zone. A time that
cannot be held exactly is refused, never rounded.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from everwhen.errors import InstantError

Micros: TypeAlias = int
"""Microseconds since the Unix epoch, UTC."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
MIN_MICROS: Micros = (datetime.min.replace(tzinfo=UTC) - EPOCH) // _MICROSECOND
MAX_MICROS: Micros = (datetime.max.replace(tzinfo=UTC) - EPOCH) // _MICROSECOND

# RFC 3339, section 5.6, with the fraction's digits kept apart so that a finer time is seen and not cut off.
_RFC3339 = re.compile(r"(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?([Zz]|[+-]\d{2}:\d{2})", re.ASCII)
_NAIVE = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ][\d:.]+", re.ASCII)


def to_micros(value: object, argument: str) -> Micros:
    """Return an aware datetime as microseconds since the epoch.

    :param value: an aware :class:`datetime.datetime`; offsets are honoured, ``+02:00`` equals ``Z``.
    :param argument: the name of the argument it was given as, for the message.
    :raises InstantError: for a naive datetime, a ``date``, a number, a nanosecond-precise subclass (pandas), or
        an instant whose UTC form is outside the years 1 to 9999.
    """
    if type(value) is datetime and value.tzinfo is UTC:  # nearly always, and all that follows is true of it
        return (value - EPOCH) // _MICROSECOND
    if not isinstance(value, datetime):
        raise InstantError(
            f"{argument} must be an aware datetime, not {type(value).__name__}; "
            "for example datetime(2026, 3, 1, tzinfo=timezone.utc)"
        )
    if value.tzinfo is None or value.utcoffset() is None:
        raise InstantError(f"{argument} is a naive datetime; give it a time zone, for example tzinfo=timezone.utc")
    if getattr(value, "nanosecond", 0):
        raise InstantError(f"{argument} is finer than a microsecond; round it yourself, in the direction you mean")
    try:
        # A pandas Timestamp is a datetime whose arithmetic is its own; the plain class keeps ours exact.
        plain = value if type(value) is datetime else datetime.combine(value.date(), value.timetz())
        return (plain.astimezone(UTC) - EPOCH) // _MICROSECOND
    except OverflowError:
        raise InstantError(f"{argument} lies outside the years 1 to 9999 in UTC") from None


def from_micros(micros: Micros) -> datetime:
    """Return microseconds since the epoch as an aware datetime in UTC."""
    # As exact as timedelta(microseconds=micros), in a third of the time; an answer has up to six instants.
    return EPOCH + micros * _MICROSECOND


def parse_instant(text: str, argument: str) -> Micros:
    """Read an RFC 3339 instant (``2026-03-01T12:00:00Z``, ``…+02:00``, up to six decimals of a second).

    :raises InstantError: naming ``argument``, when it is not one, has no offset, or is finer than a microsecond.
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        hint = "it has no offset, add Z or +HH:MM" if _NAIVE.fullmatch(text) else "write it like 2026-03-01T12:00:00Z"
        raise InstantError(f"{argument} is not an instant: {hint}")
    day, time, fraction, offset = match.groups()
    digits = (fraction or "").ljust(9, "0")
    if digits[6:] != "000":
        raise InstantError(f"{argument} is finer than a microsecond; round it yourself, in the direction you mean")
    try:
        parsed = datetime.fromisoformat(f"{day}T{time}.{digits[:6]}{'+00:00' if offset in 'Zz' else offset}")
        return to_micros(parsed, argument)
    except InstantError:
        raise
    except ValueError as error:
        raise InstantError(f"{argument} is not an instant: {error}") from None


def format_instant(micros: Micros) -> str:
    """Return the instant as RFC 3339 in UTC with a ``Z``; decimals only where they are not zero."""
    moment = from_micros(micros)
    return moment.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0") + (
        f".{moment.microsecond:06d}Z" if moment.microsecond else "Z"
    )
