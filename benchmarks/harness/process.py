"""Sides in processes of their own, as a user runs them: their memory is theirs, and so is their interpreter's lock."""

from __future__ import annotations

import gc
import multiprocessing
import re
import resource
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TypeVar

R = TypeVar("R")


def alone(work: Callable[[], R]) -> R:
    """Do something in a fresh process; return what it returns. Both can be pickled."""
    return together([work])[0]


def together(works: Sequence[Callable[[], R]]) -> list[R]:
    """Do several things at once, each in a fresh process."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(len(works), context, initializer=_prepare) as processes:
        return [each.result() for each in [processes.submit(work) for work in works]]


def peak_memory() -> float:
    """Return the most memory that this process has taken so far, in MB.

    Not ``ru_maxrss`` where it can be helped: Linux counts into it what the process that started this one took then.
    """
    status = Path("/proc/self/status")
    if status.exists() and (found := re.search(r"VmHWM:\s+(\d+) kB", status.read_text())):
        return int(found[1]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def _prepare() -> None:
    """Collect garbage as rarely as the command `everwhen worker` does; the limits' processes do the same."""
    gc.set_threshold(50_000, 20, 100)
