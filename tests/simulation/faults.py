"""What can go wrong at a call, and which call it is."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final, Literal, NamedTuple, TypeAlias

Port: TypeAlias = Literal["database", "log"]

KINDS: Final[dict[Port, tuple[str, ...]]] = {
    "database": ("error", "conflict", "lost", "kill", "steal", "stall"),
    "log": ("error", "lost", "kill", "steal", "stall", "expire"),
}
"""``error``: nothing takes place and the call fails. ``conflict``: so that it can be tried again at once. ``lost``: it
takes place and fails all the same. ``kill``: the process dies in front of it. ``steal``: in front of it somebody else
claims all partitions in the store. ``stall``: in front of it the whole process stands still for longer than its session
and the store's locks last. ``expire``: the group has taken all its partitions away."""

TAKEOVERS: Final = {"steal", "stall", "expire"}
"""Those after which a worker may be fenced."""

STALL: Final = 12.0
"""Seconds."""


class Fault(NamedTuple):
    """One fault.

    :ivar call: at which call to the port, counted from 0, over all processes and their successors.
    """

    port: Port
    call: int
    kind: str


class Passed(NamedTuple):
    """A call that was made, and what went wrong with it."""

    port: Port
    call: int
    label: str
    kind: str | None


class Plan:
    """The faults of one run, and which calls it made."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._planned = {(fault.port, fault.call): fault.kind for fault in faults}
        self.calls: Counter[Port] = Counter()
        self.done: Counter[str] = Counter()
        self.trace: list[Passed] = []

    def reach(self, port: Port, label: str) -> str | None:
        """Count a call; return what is to go wrong with it."""
        call = self.calls[port]
        self.calls[port] += 1
        kind = self._planned.get((port, call))
        if kind is not None:
            self.done[kind] += 1
        self.trace.append(Passed(port, call, label, kind))
        return kind


def database_error(kind: str) -> sqlite3.OperationalError:
    """Make the driver's error."""
    error: Any = sqlite3.OperationalError(f"simulated: {kind}")
    if kind == "conflict":
        # SQLite has no such error; a database that has it names this state.
        error.sqlstate = "40001"
    code = "SQLITE_BUSY" if kind == "busy" else "SQLITE_IOERR"
    error.sqlite_errorcode, error.sqlite_errorname = getattr(sqlite3, code), code
    found: sqlite3.OperationalError = error
    return found
