"""Signals that end a command in order."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol


class Stoppable(Protocol):
    """Something that runs until it is asked to stop."""

    def stop(self) -> None:
        """Ask it. Safe in a signal handler."""
        ...


@contextmanager
def stopped_by_signals(*running: Stoppable) -> Iterator[None]:
    """Have SIGTERM and the first Ctrl-C stop what runs; a second Ctrl-C breaks it off."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for each in running:
            each.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
