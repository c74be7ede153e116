"""Answers that stream out of one snapshot of the database."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import ClassVar, Generic, Self, TypeVar

from everwhen.errors import ClosedError

T = TypeVar("T")


class Stream(ABC, Generic[T]):
    """An iterator that holds a database connection until it is used up or closed.

    Iterate once, or use it in a ``with`` block if you may stop early. Not thread-safe.
    """

    _spent: ClassVar[str]
    """What is said to whoever iterates again."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[T]:
        if self._closed:
            raise ClosedError(self._spent)
        try:
            yield from self._items()
        finally:
            self.close()

    def close(self) -> None:
        """Free the connection. Idempotent."""
        self._closed = True
        self._stack.close()

    @abstractmethod
    def _items(self) -> Iterator[T]:
        """Yield what the stream is made of, while the connection is held."""
