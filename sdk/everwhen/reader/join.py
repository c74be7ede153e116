"""Many points of valid time at once, streamed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Final, TypeAlias, TypeVar

from everwhen.errors import ArgumentError, InstantError
from everwhen.instants import Micros, to_micros
from everwhen.ports.answers import StoreJoin
from everwhen.positions import Basis
from everwhen.reader.answer import Answer
from everwhen.reader.answering import Answering
from everwhen.reader.stream import Stream

S = TypeVar("S")
_Point: TypeAlias = tuple[str, Micros]

_CHUNK: Final = 8_000
"""Rows that are read and answered together."""


class Join(Stream[Answer[S]]):
    """An iterator over the answers to rows, one for each and in their order.

    It holds a database connection until it is used up or closed. Not thread-safe.
    """

    _spent = "this join was used up or closed; ask for a new one (with its basis, for the same)"

    def __init__(
        self,
        source: AbstractContextManager[StoreJoin],
        rows: Iterable[tuple[str, datetime]],
        answering: Callable[[StoreJoin], Answering[S]],
    ) -> None:
        super().__init__()
        self._rows = _iterator(rows)
        self._store = self._stack.enter_context(source)
        self._answering = answering(self._store)
        self.basis: Basis = self._answering.pin(self._store.marks)
        """What every answer of this join was computed from."""

    def _items(self) -> Iterator[Answer[S]]:
        for points in _chunks(self._rows):
            yield from self._answers(points)

    def _answers(self, points: list[_Point]) -> list[Answer[S]]:
        # Sorted, so that neighbours in an index are looked at one after the other.
        order = sorted(range(len(points)), key=points.__getitem__)
        found = self._store.find([points[place] for place in order])
        answer = self._answering.answer
        answers: list[Any] = [None] * len(points)
        for place, each in zip(order, found, strict=True):
            answers[place] = answer(*points[place], each)
        return answers


def _iterator(rows: Any) -> Iterator[Any]:
    try:
        return iter(rows)
    except TypeError:
        raise ArgumentError(
            f"rows must be an iterable of pairs of an entity id and an instant, not {type(rows).__name__}"
        ) from None


def _chunks(rows: Iterator[Any]) -> Iterator[list[_Point]]:
    """Yield the rows some at a time; where reading fails, first those before."""
    chunk: list[_Point] = []
    try:
        for number, row in enumerate(rows):
            chunk.append(_point(number, row))
            if len(chunk) == _CHUNK:
                yield chunk
                chunk = []
    except Exception:
        yield chunk
        raise
    yield chunk


def _point(number: int, row: Any) -> _Point:
    try:
        entity_id, instant = row
    except (TypeError, ValueError):
        raise ArgumentError(f"row {number} is not a pair of an entity id and an instant") from None
    if not isinstance(entity_id, str) or not entity_id:
        raise ArgumentError(f"row {number}: entity_id must be a non-empty str")
    try:
        return entity_id, to_micros(instant, "the instant")
    except InstantError as error:
        raise InstantError(f"row {number}, entity {entity_id!r}: {error}") from None
