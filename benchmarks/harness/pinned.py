"""A client and its server on one core: between two, most of a round trip is waking the other one up."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def pinned(*servers: int) -> Iterator[bool]:
    """Keep this process and servers' processes on one core meanwhile.

    :param servers: process ids.
    :return: whether it could be done: it takes Linux, and the right to move the servers.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield False
        return
    before = os.sched_getaffinity(0)
    moved: list[int] = []
    try:
        with suppress(OSError):
            for process in (0, *servers):
                os.sched_setaffinity(process, {max(before)})
                moved.append(process)
        yield len(moved) == 1 + len(servers)
    finally:
        for process in moved:
            with suppress(OSError):  # a server may have ended
                os.sched_setaffinity(process, before)
