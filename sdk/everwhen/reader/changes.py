"""What changed in a whole collection since a basis, streamed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Generic, Self, TypeVar

from everwhen.errors import ClosedError
from everwhen.instants import from_micros
from everwhen.ports.store import Changed as Found
from everwhen.positions import Basis
from everwhen.reader.answer import Answer

S = TypeVar("S")


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed(Generic[S]):
    """An entity of which other events count than before.

    :ivar valid_from: what is believed of the entity before this instant is as it was.
    :ivar answer: what is believed now.
    """

    valid_from: datetime
    answer: Answer[S]

    @property
    def entity_id(self) -> str:
        """The entity."""
        return self.answer.entity_id


class Changes(Generic[S]):
    """An iterator over what changed. It holds a database connection until it is used up or closed.

    Not thread-safe.
    """

    def __init__(
        self,
        source: AbstractContextManager[tuple[Basis, Iterator[Found]]],
        answer: Callable[[Found], Answer[S]],
    ) -> None:
        self._answer = answer
        self._stack = ExitStack()
        marks, self._rows = self._stack.enter_context(source)
        self.basis: Basis = marks
        """Up to where these changes go. Give it to the next :meth:`everwhen.Reader.changes`: no gap, no repeat."""
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Changed[S]]:
        if self._closed:
            raise ClosedError("these changes were used up or closed; ask for them again with the same basis")
        try:
            for found in self._rows:
                yield Changed(valid_from=from_micros(found.valid_from), answer=self._answer(found))
        finally:
            self.close()

    def close(self) -> None:
        """Free the connection. Idempotent."""
        self._closed = True
        self._stack.close()
