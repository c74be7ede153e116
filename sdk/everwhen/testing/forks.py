"""What belongs to a process is refused in a child that was forked off."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from typing import Final

from everwhen.errors import ClosedError

_PATIENCE: Final = 30.0
"""Seconds until a child that hangs is killed."""


def assert_refused_in_child(uses: Sequence[Callable[[], object]], closes: Sequence[Callable[[], object]]) -> None:
    """Fork; require that each use raises ``ClosedError`` in the child and that closing does nothing there."""
    child = os.fork()
    if child == 0:
        os._exit(_try(uses, closes))
    code = _exit_code(child)
    assert code == 0, f"use {code % 100} " + ("was not refused" if code < 100 else "raised another error")


def _try(uses: Sequence[Callable[[], object]], closes: Sequence[Callable[[], object]]) -> int:
    """Return 0 if each use is refused and each close does nothing, else the number of the first that is not so."""
    for number, use in enumerate(uses, start=1):
        try:
            use()
        except ClosedError:
            continue
        except BaseException:  # noqa: BLE001 - nothing may leave a forked child of pytest but its exit code
            return 100 + number
        return number
    for close in closes:
        close()
    return 0


def _exit_code(child: int) -> int:
    """Wait for the child; one that hangs is killed."""
    killer = threading.Timer(_PATIENCE, lambda: os.kill(child, 9))
    killer.start()
    try:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    finally:
        killer.cancel()
