"""The clock, so that a test can hold it still. It never orders events and never fences."""

from __future__ import annotations

import time
from typing import Protocol

from everwhen.instants import Micros


class Clock(Protocol):
    """Where ``now`` comes from."""

    def now(self) -> Micros:
        """Return the present instant in microseconds since the epoch."""
        ...


class SystemClock:
    """The machine's wall clock."""

    def now(self) -> Micros:
        """Return the present instant in microseconds since the epoch."""
        return time.time_ns() // 1000
