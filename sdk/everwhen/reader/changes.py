"""What changed in a whole collection since a basis, streamed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from everwhen.instants import from_micros
from everwhen.ports.answers import Changed as Found
from everwhen.positions import Basis
from everwhen.reader.answer import Answer
from everwhen.reader.incomplete import incomplete_of
from everwhen.reader.stream import Stream

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


class Changes(Stream[Changed[S]]):
    """An iterator over what changed.

    It holds a database connection until it is used up or closed. Not thread-safe.
    """

    _spent = "these changes were used up or closed; ask for them again with the same basis"

    def __init__(
        self,
        source: AbstractContextManager[tuple[Basis, Iterator[Found]]],
        answer: Callable[[Found], Answer[S]],
    ) -> None:
        super().__init__()
        self._answer = answer
        self.basis: Basis
        """Up to where these changes go. Give it to the next :meth:`everwhen.Reader.changes`: no gap, no repeat."""
        self.basis, self._rows = self._stack.enter_context(source)
        self.incomplete = incomplete_of(self.basis)
        """Set while any partition stands still: changes may be missing; see :class:`~everwhen.Answer`."""

    def _items(self) -> Iterator[Changed[S]]:
        for found in self._rows:
            yield Changed(valid_from=from_micros(found.valid_from), answer=self._answer(found))
