"""Reading one's own writes: waiting until a projection has reached a token."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

from everwhen.errors import ArgumentError, NotYetProjected, ProjectionNotFound
from everwhen.ports.answers import StoreReader
from everwhen.ports.listening import Listening, Moved
from everwhen.ports.store import Store
from everwhen.reader.current import Current
from everwhen.tokens import EventToken, PositionToken, Token, digest

_FIRST_PAUSE: Final = 0.002
_LONGEST_PAUSE: Final = 0.1
_LONGEST_LISTENING: Final = 0.5
"""Seconds between two looks: doubled up to the longest, which is longer where the database tells of batches. It stays
below a second also there: notifications get lost, and a switch to another generation is no batch."""


class Waiting:
    """A wait in steps, so that a thread or an event loop can pass the time between them. Not thread-safe.

    ::

        while waiting.look() is None and waiting.pause(active) > 0: ...

    :param store: where the projection is.
    :param projection: its name.
    :param current: says which generation answers; a switch meanwhile is followed.
    :param token: what is to be reached.
    :param timeout: seconds from now; ``None``: any time.
    :ivar token: what is to be reached.
    """

    def __init__(self, store: Store, projection: str, current: Current, token: Token, timeout: float | None) -> None:
        self._store = store
        self._projection = projection
        self._current = current
        self.token = token
        self._timeout = timeout
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._pause = _FIRST_PAUSE
        self._stood = "nothing was projected under this name yet"

    def look(self) -> StoreReader | None:
        """Ask the store once; return what the token is reached in, or ``None``.

        :raises ArgumentError: if the token is of another topic, or of a log that the projection was not built from.
        :raises StoreUnavailable: if the database cannot be reached.
        """
        try:
            reader = self._current.reader()
        except ProjectionNotFound:
            return None
        _check_topic(self.token, reader)
        if isinstance(self.token, EventToken):
            self._stood = "that event has not come there yet"
            return reader if reader.knows(self.token.entity_id, self.token.event_id) else None
        return reader if self._is_past(self.token, reader) else None

    def pause(self, listening: Listening) -> float:
        """Return for how many seconds to wait before the next look, unless something is heard; 0 when time is up."""
        longest = _LONGEST_LISTENING if listening.active else _LONGEST_PAUSE
        pause = min(self._pause, longest)
        self._pause = 2 * pause
        return pause if self._deadline is None else max(0.0, min(pause, self._deadline - time.monotonic()))

    def listening(self, heard: Callable[[], None]) -> AbstractContextManager[Listening]:
        """Have ``heard`` called when another look is worth it, while the context lasts; from any thread."""

        def told(moved: Moved | None) -> None:
            if moved is None or self._concerns(moved):
                heard()

        return self._store.listening(self._projection, told)

    def wait(self) -> StoreReader | None:
        """Block until the token is reached; return what it is reached in, or ``None`` when the time is up.

        Errors are those of :meth:`look`.
        """
        if (reader := self.look()) is not None:
            return reader
        heard = threading.Event()
        with self.listening(heard.set) as listening:
            while (reader := self.look()) is None and (pause := self.pause(listening)) > 0:
                heard.wait(pause)
                heard.clear()
        return reader

    @property
    def behind(self) -> str:
        """What was not reached, and how far the projection was when it was last looked at."""
        limit = "" if not self._timeout else f" within {self._timeout:g} s"
        return f"projection {self._projection} has not reached {self.token.described}{limit}; {self._stood}"

    def late(self) -> NotYetProjected:
        """Return the error for when the time is up."""
        return NotYetProjected(f"{self.behind}. Is its worker running?")

    def _is_past(self, token: PositionToken, reader: StoreReader) -> bool:
        standing = reader.standing(token.position.partition)
        if standing is None:
            self._stood = "nothing of that partition was projected yet"
            return False
        for what, given, held in (
            ("cluster", token.cluster, digest(standing.cluster_id)),
            ("topic id", token.topic_id, digest(standing.topic_id)),
        ):
            if None not in (given, held) and given != held:
                raise ArgumentError(
                    f"the token is of a record in another log: topic {token.topic} has another {what} there than where "
                    f"projection {self._projection} was built from, so offsets do not mean the same; use a token of a "
                    "publisher and a reader of this projection that belong together"
                )
        self._stood = f"it is at offset {standing.next_offset} of that partition"
        return token.position.offset < standing.next_offset

    def _concerns(self, moved: Moved) -> bool:
        if isinstance(self.token, EventToken):
            return True
        position = self.token.position
        return moved.partition == position.partition and moved.next_offset > position.offset


def _check_topic(token: Token, reader: StoreReader) -> None:
    if token.topic != reader.generation.topic:
        raise ArgumentError(
            f"the token is of topic {token.topic}; projection {reader.generation.projection} reads "
            f"{reader.generation.topic}. Give a token of an event that was published there"
        )
