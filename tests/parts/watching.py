"""How the tests of the parts see what became of a process."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

DEADLINE_SECONDS = 20.0


def eventually(condition: Callable[[], bool]) -> bool:
    """Whether ``condition`` holds before the deadline."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def processes_naming(path: Path) -> list[str]:
    """The command lines of all processes of this machine that name ``path``; none where there is no ``/proc``."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_text(errors="replace").replace("\0", " ")
        except OSError:  # it ended in this moment
            continue
        if str(path) in command:
            found.append(command)
    return found
