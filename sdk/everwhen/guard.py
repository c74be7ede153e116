"""Finds use after close and use in a forked child, before a client library or a missing thread does."""

from __future__ import annotations

import os

from everwhen.errors import ClosedError


class Guard:
    """Says whether an object may still be used; one for each object. Thread-safe."""

    __slots__ = ("_closed", "_pid", "_what")

    def __init__(self, what: str) -> None:
        self._what = what
        self._pid = os.getpid()
        self._closed = False

    @property
    def forked(self) -> bool:
        """Whether this process is a child that was forked off after the object was made."""
        return os.getpid() != self._pid

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._closed

    def close(self) -> bool:
        """Mark the object closed; return whether there is something to free: not twice, and not in a forked child."""
        first, self._closed = not self._closed, True
        return first and not self.forked

    def check(self) -> None:
        """Do nothing while the object can be used.

        :raises ClosedError: after close, and in a forked child.
        """
        if self._closed:
            raise ClosedError(f"{self._what} is closed; open a new one")
        if os.getpid() != self._pid:
            raise ClosedError(
                f"{self._what} belongs to process {self._pid}, and this is {os.getpid()}, forked from it; "
                "open one of its own in the child, after the fork"
            )
