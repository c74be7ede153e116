"""Sides in processes of their own, as a user runs them: their memory is theirs, and so is their interpreter's lock."""

from __future__ import annotations

import multiprocessing
import re
import resource
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from everwhen.cli.collector import collect_rarely

R = TypeVar("R")
_IMPORTED: Final = ["everwhen", "everwhen.kafka", "everwhen.local", "everwhen.sql", "psycopg", "examples.flights.model"]
"""What nearly every side needs. Processes are forked from one that has done nothing but import it, which saves a second
each; so they share no client, no connection and no state."""


def alone(work: Callable[[], R]) -> R:
    """Do something in a fresh process; return what it returns. Both can be pickled."""
    return together([work])[0]


def together(works: Sequence[Callable[[], R]]) -> list[R]:
    """Do several things at once, each in a fresh process."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_IMPORTED)
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
    collect_rarely()
