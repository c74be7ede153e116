"""Receipts that tell when they are settled."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from everwhen.errors import LogUnavailable, PublishError
from everwhen.positions import Position
from everwhen.publisher import Receipt
from everwhen.publisher.failures import Failures

PLACE = Position("t", 0, 7)


class NoWriter:
    """Stands in for the log where nothing is asked of it."""

    described: Any = None


def receipt() -> Receipt:
    """A receipt that waits."""
    writer: Any = NoWriter()
    return Receipt("id", "a", writer, Failures("t"))


def test_everyone_is_told_once() -> None:
    """Those who asked before the log answered, and those who asked after."""
    told: list[Receipt] = []
    waiting = receipt()
    waiting.when_settled(told.append)
    waiting.when_settled(told.append)
    assert told == []
    waiting.settle(PLACE, None)
    assert told == [waiting, waiting]
    waiting.when_settled(told.append)
    assert told == [waiting] * 3
    assert waiting.position == PLACE


def test_a_refusal_is_told_too() -> None:
    """Or whoever waits for the event would wait for ever."""
    told: list[Receipt] = []
    waiting = receipt()
    waiting.when_settled(told.append)
    waiting.settle(None, LogUnavailable("gone"))
    assert told == [waiting]
    with pytest.raises(PublishError, match="gone"):
        waiting.position  # noqa: B018 - a property


def test_nobody_is_missed_when_the_answer_comes_meanwhile() -> None:
    """Two who ask and the one who settles meet at the same moment, 2,000 times: each is told once."""
    with ThreadPoolExecutor(3) as pool:
        for _ in range(2000):
            told: list[Receipt] = []
            waiting, start = receipt(), threading.Barrier(3)

            def settle(waiting: Receipt = waiting, start: threading.Barrier = start) -> None:
                start.wait()
                waiting.settle(PLACE, None)

            def ask(waiting: Receipt = waiting, start: threading.Barrier = start, told: list[Receipt] = told) -> None:
                start.wait()
                waiting.when_settled(told.append)

            for done in [pool.submit(settle), pool.submit(ask), pool.submit(ask)]:
                done.result()
            assert told == [waiting, waiting]
