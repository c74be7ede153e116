"""Which generation a reader asks: the one that answers now, which may be another one later."""

from __future__ import annotations

import time
from typing import Final

from everwhen.ports.answers import StoreReader
from everwhen.ports.store import Store
from everwhen.positions import Basis

_NOTICE_SECONDS: Final = 1.0
"""A switch is noticed by the first question after this time."""


class Current:
    """Finds the generation to ask, and looks again about every second. Thread-safe.

    :param store: where the generations are.
    :param projection: whose they are.
    :param number: of the one to ask for good; ``None``: whichever answers.
    """

    def __init__(self, store: Store, projection: str, number: int | None) -> None:
        self._store = store
        self._projection = projection
        self._number = number
        # Both at once, so that threads see them belong together.
        self._opened: tuple[StoreReader, float] | None = None
        self._pinned: dict[int, StoreReader] = {}

    def reader(self, basis: Basis | None = None) -> StoreReader:
        """Return what asks it. A question keeps to one of these, so that it never gets half an answer.

        :param basis: what the question is pinned to; it is asked of the generation that the basis came from, unless
            this object is for a certain one.
        :raises ProjectionNotFound: if nothing was projected under this name.
        :raises GenerationNotFound: if there is no generation of this number.
        :raises StoreUnavailable: if the database cannot be reached.
        """
        current = self._answering()
        pinned = None if basis is None or self._number is not None else basis.generation
        if pinned is None or pinned == current.generation.number:
            return current
        if pinned not in self._pinned:
            found = self._store.standing_for(self._projection, pinned)
            self._pinned[pinned] = self._store.reader(self._projection, found.number)
        return self._pinned[pinned]

    def _answering(self) -> StoreReader:
        opened, now = self._opened, time.monotonic()
        if opened is not None and now - opened[1] < _NOTICE_SECONDS:
            return opened[0]
        found = self._store.find(self._projection, self._number)
        if opened is not None and opened[0].generation == found:
            reader = opened[0]  # its statements are compiled
        else:
            reader = self._store.reader(self._projection, found.number)
        self._opened = reader, now
        return reader
