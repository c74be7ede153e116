"""Tokens as text: what goes out comes back, and what anyone may send is read or refused."""

from __future__ import annotations

import base64
import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as some

from everwhen.errors import ArgumentError
from everwhen.ports.log import UNKNOWN_ID, TopicDescription
from everwhen.positions import Position
from everwhen.tokens import EventToken, PositionToken, Token, digest, read_token, token_of

names = some.text(some.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=40)
ids = some.one_of(some.none(), some.integers(0, 2**32 - 1))
tokens: some.SearchStrategy[Token] = some.one_of(
    some.builds(EventToken, names, names, names),
    some.builds(
        PositionToken,
        some.builds(Position, names, some.integers(0, 2**31 - 1), some.integers(0, 2**63 - 1)),
        ids,
        ids,
    ),
)
SAFE = set(string.ascii_letters + string.digits + "-_.")


@given(tokens)
def test_a_token_comes_back_from_its_text(token: Token) -> None:
    """Whatever the names hold; and the text may stand in a URL, a header and a cookie without being quoted."""
    assert read_token(str(token)) == token_of(str(token)) == token
    assert set(str(token)) <= SAFE


def as_text(prefix: str, document: object) -> str:
    """Write what a forger might."""
    return prefix + base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "p1.",
        "p1.!",
        "p9." + str(PositionToken(Position("t", 0, 0)))[3:],
        "b2." + str(PositionToken(Position("t", 0, 0)))[3:],
        as_text("p1.", ["t", 0]),
        as_text("p1.", {"topic": "t"}),
        as_text("p1.", ["t", 0, 0, None, None, None]),
        as_text("p1.", ["t", 2**31, 0, None, None]),
        as_text("p1.", ["t", 0, -1, None, None]),
        as_text("p1.", ["t", 0, 2**63, None, None]),
        as_text("p1.", ["t", True, 0, None, None]),
        as_text("p1.", ["t", 0, 0.0, None, None]),
        as_text("p1.", ["t", 0, 0, "x", None]),
        as_text("p1.", [None, 0, 0, None, None]),
        as_text("e1.", ["t", "a"]),
        as_text("e1.", ["t", "a", ""]),
        as_text("e1.", ["t", "a\0", "b"]),
        as_text("e1.", ["t", "\ud800", "b"]),
        as_text("e1.", ["t", "a" * 513, "b"]),
        "e1." + base64.urlsafe_b64encode(b"[" * 2500).decode(),
        "e1." + "A" * 10_000,
        "e1.\u00e9",
    ],
)
def test_what_is_no_token_is_refused(text: str) -> None:
    """It comes from outside, so nothing else may happen, and its text is not repeated."""
    with pytest.raises(ArgumentError, match=r"receipt\.token") as refused:
        read_token(text)
    assert refused.value.__cause__ is None


@given(some.text())
def test_no_text_does_anything_else(text: str) -> None:
    """Random ones are refused too."""
    for kind in ("p1.", "e1.", ""):
        with pytest.raises(ArgumentError):
            read_token(kind + text)


def test_a_log_that_has_no_ids_gives_tokens_that_match_any() -> None:
    """As its ids match any where a worker compares them."""
    described = TopicDescription("t", 1, UNKNOWN_ID, UNKNOWN_ID)
    assert PositionToken.of(Position("t", 0, 1), described) == PositionToken(Position("t", 0, 1))
    assert digest("x") != digest("y")
