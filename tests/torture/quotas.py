"""How much a run must have done to count, and how its time is divided.

The figures are those of 20 minutes: 17 on servers and 3 on files, side by side with nothing else. A run of other
length owes its share of them. What a place cannot do (a server that is not ours to stop) is not owed there, and the
report says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

KILLS = "kills on explicit partitions"
GROUP = "kills in a group"
ZOMBIES = "workers paused, overtaken and resumed"
DATABASE = "database stopped as in a crash"
BROKER = "broker killed"
LOST_DONE = "COMMIT done, its answer lost"
LOST_UNSENT = "COMMIT lost before the server"
LOST_LATE = "COMMIT done after the client was cut off"
TERMINATED = "connections ended by the server"
HELD = "network held (black hole)"
DELAYED = "network delayed"
EVENTS = "events folded and compared"
ASKED = "answers re-asked"

SHARES = {"servers": 0.85, "files": 0.15}
"""Of the minutes of a run on both."""
_PHASES = 9
"""Of workers on explicit partitions, at least."""
_MINUTES = {"servers": 17.0, "files": 3.0}
_FULL: Mapping[str, Mapping[str, int]] = {
    "servers": {
        KILLS: 500,
        GROUP: 40,
        ZOMBIES: 100,
        DATABASE: 50,
        BROKER: 20,
        LOST_DONE: 50,
        LOST_UNSENT: 50,
        LOST_LATE: 20,
        TERMINATED: 200,
        HELD: 20,
        DELAYED: 20,
        EVENTS: 2_000_000,
        ASKED: 12_000,
    },
    "files": {KILLS: 60, GROUP: 5, ZOMBIES: 10, EVENTS: 40_000, ASKED: 2_000},
}


def owed(target: str, minutes: float) -> dict[str, int]:
    """Return what a run on ``servers`` or ``files`` owes, by name."""
    part = minutes / _MINUTES[target]
    return {name: math.ceil(number * part) for name, number in _FULL[target].items()}


def least(target: str, quota: int) -> dict[str, int]:
    """Return what the shortest run owes, that of the tests; what needs a server of one's own is not among it."""
    few = {KILLS: quota * _PHASES, GROUP: quota, ZOMBIES: quota, EVENTS: 100, ASKED: 20}
    if target == "servers":
        few |= {LOST_DONE: 1, LOST_UNSENT: 1, LOST_LATE: 1, TERMINATED: 1}
    return few


def without(quotas: Mapping[str, int], *, database: bool, broker: bool) -> dict[str, int]:
    """Leave out what only a server that was started here can be made to do."""
    left_out = {*([] if database else [DATABASE]), *([] if broker else [BROKER])}
    return {name: number for name, number in quotas.items() if name not in left_out}
