"""Positions and the basis of an answer."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everwhen.errors import ArgumentError
from everwhen.positions import Basis, Mark, Position

marks = st.dictionaries(
    st.integers(0, 1000), st.builds(Mark, st.integers(0, 2**62), st.integers(-1, 2**60)), max_size=8
)


@given(st.text(min_size=1), marks, st.none() | st.integers(-(2**60), 2**60), st.none() | st.integers(1))
def test_a_token_gives_the_basis_back(
    topic: str, found: dict[int, Mark], known_at: int | None, generation: int | None
) -> None:
    """``Basis.parse(str(basis)) == basis``, with the generation that gave it, which does not tell two apart."""
    basis = replace(Basis.of(topic, found, known_at), generation=generation)
    assert Basis.parse(str(basis)) == basis == Basis.of(topic, found, known_at)
    assert Basis.parse(str(basis)).generation == generation
    assert hash(Basis.parse(str(basis))) == hash(basis)
    assert dict(basis) == found


@given(st.text() | st.text().map(lambda text: "b2." + text))
def test_anything_else_is_refused(text: str) -> None:
    """A token that was cut, mistyped or made up is an error of ours, whatever it holds."""
    with contextlib.suppress(ArgumentError):
        assert Basis.parse(str(Basis.parse(text))) == Basis.parse(text)


def test_a_basis_covers_what_is_below_its_marks() -> None:
    """Of its own topic only."""
    basis = Basis.of("t", {0: Mark(5, 100), 1: Mark(0, -1)})
    assert basis.covers(Position("t", 0, 4))
    assert not basis.covers(Position("t", 0, 5))
    assert not basis.covers(Position("t", 1, 0))
    assert not basis.covers(Position("t", 2, 0))
    assert not basis.covers(Position("other", 0, 4))


def test_the_watermark_is_that_of_the_slowest_partition() -> None:
    """And there is none while a partition has no record."""
    assert Basis.of("t", {0: Mark(5, 100), 1: Mark(2, 50)}).watermark == 50
    assert Basis.of("t", {0: Mark(5, 100), 1: Mark(0, -1)}).watermark is None
    assert Basis.of("t", {}).watermark is None


def test_a_token_with_wrong_content_is_refused() -> None:
    """Well-formed base64 of the wrong thing."""
    with pytest.raises(ArgumentError):
        Basis.parse("b2.W10")
