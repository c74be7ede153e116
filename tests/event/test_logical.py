"""Logical types: values at the edges of what Avro can hold."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from fastavro._logical_readers import read_decimal  # type: ignore[attr-defined] # it has no stub
from fastavro._logical_writers import prepare_bytes_decimal  # type: ignore[attr-defined] # as above
from hypothesis import given
from hypothesis import strategies as st

from everwhen.errors import InstantError
from everwhen.event.logical import Convert, inward, outward
from everwhen.event.shapes import Number, Scalar

INSTANT = Scalar("long", "timestamp-micros")
DAY = Scalar("int", "date")


def both(shape: Scalar | Number) -> tuple[Convert, Convert]:
    out, back = outward(shape), inward(shape)
    assert out is not None
    assert back is not None
    return out, back


@given(st.integers(1, 40), st.integers(0, 40), st.data())
def test_decimals_have_the_bytes_that_fastavro_gives_them(digits: int, scale: int, data: st.DataObject) -> None:
    """Two's complement, most significant byte first, of the number without its decimal point."""
    precision = max(digits, scale)
    number = data.draw(st.integers(-(10**precision) + 1, 10**precision - 1))
    value = Decimal(f"{number}E-{scale}")
    out, back = both(Number(precision, scale))
    schema = {"precision": precision, "scale": scale}
    assert out(value) == prepare_bytes_decimal(value, schema)
    assert back(out(value)) == value == read_decimal(out(value), schema)
    assert back(out(value)).as_tuple().exponent == -scale


@pytest.mark.parametrize("text", ["1.100", "1.1", "11E-1", "0.0E+5", "-0", "1E+1", "1.1000000000000000000"])
def test_a_decimal_can_be_written_in_many_ways(text: str) -> None:
    """Zeros at the end do not count as digits: pydantic lets them pass, so the wire has to."""
    out, back = both(Number(4, 2))
    assert back(out(Decimal(text))) == Decimal(text)


@pytest.mark.parametrize("text", ["1.001", "100", "1E+9", "NaN", "sNaN", "Infinity", "-Infinity", "1E-9"])
def test_a_decimal_with_too_many_digits_is_refused(text: str) -> None:
    """It is never rounded."""
    out, _ = both(Number(4, 2))
    with pytest.raises((ValueError, ArithmeticError)):
        out(Decimal(text))


@pytest.mark.parametrize("data", [b"", b"\x27\x10", b"\xd8\xf0", b"\x7f" * 1_000_000])
def test_bytes_beyond_the_precision_are_refused(data: bytes) -> None:
    """At once, however many there are: making a decimal of a megabyte takes minutes."""
    _, back = both(Number(4, 2))
    with pytest.raises(ValueError, match=r"more digits than decimal\(4, 2\)"):
        back(data)


def test_instants_are_exact_to_the_ends_of_the_calendar() -> None:
    """The first and the last microsecond come back."""
    out, back = both(INSTANT)
    for moment in (datetime.min, datetime(1969, 12, 31, 23, 59, 59, 999_999), datetime(1970, 1, 1), datetime.max):  # noqa: DTZ001, DTZ901
        aware = moment.replace(tzinfo=UTC)
        assert back(out(aware)) == aware


@pytest.mark.parametrize(
    "moment",
    [
        datetime.max.replace(tzinfo=timezone(-timedelta(microseconds=1))),
        datetime.min.replace(tzinfo=timezone(timedelta(microseconds=1))),
    ],
)
def test_an_instant_outside_the_calendar_in_utc_is_refused(moment: datetime) -> None:
    """No reader could hold it."""
    out, _ = both(INSTANT)
    with pytest.raises(InstantError, match="outside the years 1 to 9999"):
        out(moment)


@pytest.mark.parametrize(
    ("shape", "number"), [(INSTANT, 2**63 - 1), (INSTANT, -(2**63)), (DAY, 2**31), (DAY, -(2**31))]
)
def test_numbers_outside_the_calendar_are_refused(shape: Scalar, number: int) -> None:
    """They raise what the reader of values expects, and nothing else."""
    _, back = both(shape)
    with pytest.raises((ValueError, ArithmeticError)):
        back(number)


@given(st.dates())
def test_dates_are_days_since_the_epoch(day: date) -> None:
    """Avro counts days from 1970-01-01."""
    out, back = both(DAY)
    assert out(day) == (day - date(1970, 1, 1)).days
    assert back(out(day)) == day


@pytest.mark.parametrize("primitive", ["boolean", "int", "long", "float", "double", "string", "bytes"])
def test_primitives_need_no_conversion(primitive: Any) -> None:
    """They cost nothing."""
    assert outward(Scalar(primitive)) is None
    assert inward(Scalar(primitive)) is None
