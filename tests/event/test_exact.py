"""What is written is what is read, or nothing is written; and what is no number is refused at little cost."""

from __future__ import annotations

import time
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from everwhen.event.logical import inward, outward
from everwhen.event.primitives import Deviation, varint
from everwhen.event.shapes import Number


@given(st.integers(1, 12), st.integers(0, 12), st.decimals(allow_nan=False, allow_infinity=False))
@example(4, 2, Decimal("1.00001"))
@example(4, 2, Decimal("9.99999"))
def test_money_is_exact_or_refused(digits: int, scale: int, value: Decimal) -> None:
    """However many digits it has: it is never rounded to those that there is room for."""
    shape = Number(max(digits, scale), scale)
    write, read = outward(shape), inward(shape)
    assert write is not None
    assert read is not None
    try:
        written = write(value)
    except (ValueError, ArithmeticError):
        return
    assert read(written) == value


def test_a_number_without_end_is_refused_at_once() -> None:
    """Reading on to its end would take time in the square of its length."""
    began = time.process_time()
    with pytest.raises(Deviation, match="more than 64 bits"):
        varint(b"\xff" * 200_000, 0)
    assert time.process_time() - began < 1
