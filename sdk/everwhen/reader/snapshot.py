"""A whole collection at one instant, streamed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from types import TracebackType
from typing import Generic, Self, TypeVar

from everwhen.errors import ClosedError
from everwhen.ports.store import Found
from everwhen.positions import Basis
from everwhen.reader.answer import Answer, Status

S = TypeVar("S")


class Snapshot(Generic[S]):
    """An iterator over the answers of one snapshot. It holds a database connection until it is used up or closed.

    Not thread-safe.
    """

    def __init__(
        self,
        source: AbstractContextManager[tuple[Basis, Iterator[Found]]],
        answer: Callable[[Found], Answer[S]],
        pin: Callable[[Basis], Basis],
        *,
        deleted: bool,
    ) -> None:
        self._answer = answer
        self._left_out = {Status.BEFORE_FIRST, Status.NEVER_EXISTED} | (set() if deleted else {Status.DELETED})
        self._stack = ExitStack()
        marks, self._rows = self._stack.enter_context(source)
        self.basis: Basis = pin(marks)
        """What every answer of this snapshot was computed from."""
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Answer[S]]:
        if self._closed:
            raise ClosedError("this snapshot was used up or closed; ask for a new one (with its basis, for the same)")
        try:
            for found in self._rows:
                answer = self._answer(found)
                if answer.status not in self._left_out:
                    yield answer
        finally:
            self.close()

    def close(self) -> None:
        """Free the connection. Idempotent."""
        self._closed = True
        self._stack.close()
