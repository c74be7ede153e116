"""Many points of valid time at once, streamed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from itertools import chain
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

from everwhen.errors import ArgumentError, InstantError
from everwhen.instants import Micros, to_micros
from everwhen.ports.answers import StoreJoin
from everwhen.positions import Basis
from everwhen.reader.answer import Answer
from everwhen.reader.answering import Answering
from everwhen.reader.stream import Stream

S = TypeVar("S")
_Point: TypeAlias = tuple[str, Micros]

_CHUNK: Final = 4_000
"""Rows that are read and answered together. The first are answered when twice as many are read: the store has something
to look for at any time then."""


class _Lot(NamedTuple):
    """Points that were read together."""

    points: list[_Point]
    order: list[int]
    """Their places, sorted by what stands there."""


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
        self._taken: deque[_Lot] = deque()
        self._failure: Exception | None = None
        self.basis: Basis = self._answering.pin(self._store.marks)
        """What every answer of this join was computed from."""

    def _items(self) -> Iterator[Answer[S]]:
        answer = self._answering.answer
        found = self._store.find(self._sorted())
        for first in found:
            lot = self._taken.popleft()
            answers: list[Any] = [None] * len(lot.points)
            for place, each in zip(lot.order, chain([first], found), strict=False):
                answers[place] = answer(*lot.points[place], each)
            yield from answers
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _sorted(self) -> Iterator[_Point]:
        """Yield all points, those of a chunk sorted: neighbours in an index are then looked at one after the other.

        The next chunk is read before the last one is answered. If that fails, it is for those after it to learn of it.
        """
        try:
            for points in _chunks(self._rows):
                order = sorted(range(len(points)), key=points.__getitem__)
                self._taken.append(_Lot(points, order))
                for place in order:
                    yield points[place]
        except Exception as error:  # noqa: BLE001 - whatever the rows raise
            self._failure = error


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
