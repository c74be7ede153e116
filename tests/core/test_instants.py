"""Instants: what is taken, what is refused, and that nothing is ever rounded."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everwhen.errors import InstantError
from everwhen.instants import MAX_MICROS, MIN_MICROS, format_instant, from_micros, parse_instant, to_micros

micros = st.integers(MIN_MICROS, MAX_MICROS)


@given(micros)
def test_every_instant_survives_both_ways(value: int) -> None:
    """From the first microsecond of year 1 to the last of year 9999, as a datetime and as text."""
    assert to_micros(from_micros(value), "t") == value
    assert parse_instant(format_instant(value), "t") == value


@given(st.datetimes(timezones=st.just(UTC)), st.integers(-14 * 60, 14 * 60))
def test_an_offset_does_not_change_the_instant(moment: datetime, minutes: int) -> None:
    """``+02:00`` equals ``Z``."""
    try:
        shifted = moment.astimezone(timezone(timedelta(minutes=minutes)))
    except OverflowError:
        return
    assert to_micros(shifted, "t") == to_micros(moment, "t")


def test_an_offset_in_text_does_not_change_the_instant() -> None:
    """``+02:00`` equals ``Z`` in text."""
    assert parse_instant("2026-03-01T14:00:00+02:00", "t") == parse_instant("2026-03-01T12:00:00Z", "t")


class Nanosecond(datetime):
    """A datetime that is finer than a microsecond, as pandas has one."""

    nanosecond = 1


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (datetime(2026, 3, 1), "naive"),  # noqa: DTZ001 - that is the point
        (date(2026, 3, 1), "not date"),
        (1_772_323_200, "not int"),
        ("2026-03-01T00:00:00Z", "not str"),
        (Nanosecond(2026, 3, 1, tzinfo=UTC), "finer than a microsecond"),
        (datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=2))), "years 1 to 9999"),
        (datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-2))), "years 1 to 9999"),
    ],
)
def test_what_is_not_an_exact_aware_instant_is_refused_naming_the_argument(value: object, reason: str) -> None:
    """Naive, finer, out of range, or no datetime at all."""
    with pytest.raises(InstantError, match=reason) as raised:
        to_micros(value, "valid_at")
    assert "valid_at" in str(raised.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("2026-03-01T00:00:00", "no offset"),
        ("2026-03-01", "write it like"),
        ("yesterday", "write it like"),
        ("2026-03-01T00:00:00.0000001Z", "finer than a microsecond"),
        ("2026-02-30T00:00:00Z", "day"),
        ("2026-03-01T25:00:00Z", "hour"),
        ("0001-01-01T00:00:00+02:00", "years 1 to 9999"),
        ("10000-01-01T00:00:00Z", "write it like"),
        ("٢026-03-01T00:00:00Z", "write it like"),
    ],
)
def test_text_that_is_not_an_instant_is_refused_naming_the_argument(text: str, reason: str) -> None:
    """The message says what is missing."""
    with pytest.raises(InstantError, match=reason) as raised:
        parse_instant(text, "--valid-at")
    assert "--valid-at" in str(raised.value)


def test_trailing_zeros_beyond_a_microsecond_are_no_finer() -> None:
    """Nine digits whose last three are zero are exact."""
    assert parse_instant("2026-03-01T00:00:00.123456000Z", "t") == parse_instant("2026-03-01T00:00:00.123456Z", "t")
