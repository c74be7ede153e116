"""A whole collection at one instant, streamed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TypeVar

from everwhen.ports.answers import Found
from everwhen.positions import Basis
from everwhen.reader.answer import Answer, Status
from everwhen.reader.incomplete import incomplete_of
from everwhen.reader.stream import Stream

S = TypeVar("S")


class Snapshot(Stream[Answer[S]]):
    """An iterator over the answers of one snapshot.

    It holds a database connection until it is used up or closed. Not thread-safe.
    """

    _spent = "this snapshot was used up or closed; ask for a new one (with its basis, for the same)"

    def __init__(
        self,
        source: AbstractContextManager[tuple[Basis, Iterator[Found]]],
        answer: Callable[[Found], Answer[S]],
        pin: Callable[[Basis], Basis],
        *,
        deleted: bool,
    ) -> None:
        super().__init__()
        self._answer = answer
        self._left_out = {Status.BEFORE_FIRST, Status.NEVER_EXISTED} | (set() if deleted else {Status.DELETED})
        marks, self._rows = self._stack.enter_context(source)
        self.basis: Basis = pin(marks)
        """What every answer of this snapshot was computed from."""
        self.incomplete = incomplete_of(marks)
        """Set while any partition stands still: entities may be missing; see :class:`~everwhen.Answer`."""

    def _items(self) -> Iterator[Answer[S]]:
        for found in self._rows:
            answer = self._answer(found)
            if answer.status not in self._left_out:
                yield answer
