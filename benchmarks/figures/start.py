"""What a program pays for ``import everwhen`` before it has done anything."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from statistics import median
from typing import Final

from benchmarks.harness.benchmark import Benchmark
from benchmarks.harness.figure import Outcome, Promise, at_most
from benchmarks.harness.machine import versions
from benchmarks.harness.rig import Rig
from benchmarks.harness.turns import in_turns

DRIVERS: Final = ("confluent_kafka", "sqlalchemy", "psycopg", "sqlite3")
NAMES: Final = "from everwhen import Event, Projection, Publisher, Reader, Topic, Worker"
"""Names are loaded when they are first asked for, so the package alone tells little of what a program waits for."""
_TIMES: Final = 5
"""Interpreters a side and round; a start takes a few hundredths of a second."""

IMPORT = Promise(
    "import_ms",
    "`import everwhen`, beyond what a bare interpreter imports",
    "ms",
    at_most(150),
    "`python -X importtime -c 'import everwhen'` less the same with `pass`",
)


def measure(rig: Rig) -> Iterator[Outcome]:
    """Add up what each module took by itself, with and without."""
    loaded = _loaded_drivers()
    if loaded:
        raise AssertionError(f"importing everwhen loads {', '.join(loaded)}")
    sides: dict[str, Callable[[], float]] = {
        "bare": lambda: _import_ms("pass"),
        "everwhen": lambda: _import_ms("import everwhen"),
        "names": lambda: _import_ms(NAMES),
    }
    for side in sides.values():
        side()  # byte code is compiled once in the life of an installation
    found = in_turns(sides, rig.rounds)
    taken = [own - bare for own, bare in zip(found["everwhen"], found["bare"], strict=True)]
    names = median(own - bare for own, bare in zip(found["names"], found["bare"], strict=True))
    note = f"no driver is loaded; with the names of the README's first lines {names:.0f} ms"
    yield IMPORT.measured(taken, versions=versions(["pydantic", "fastavro"]), note=note)


def _import_ms(code: str) -> float:
    """Return the milliseconds that imports took, in the fastest of some interpreters."""
    return min(_import_once(code) for _ in range(_TIMES))


def _import_once(code: str) -> float:
    done = subprocess.run([sys.executable, "-X", "importtime", "-c", code], capture_output=True, text=True, check=True)
    lines = (line.removeprefix("import time:").split("|") for line in done.stderr.splitlines() if "|" in line)
    return sum(int(own) for own, *_ in lines if own.strip().isdigit()) / 1000


def _loaded_drivers() -> list[str]:
    code = f"import sys; {NAMES}; print(*[name for name in {DRIVERS!r} if name in sys.modules])"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


BENCHMARK = Benchmark((IMPORT,), measure)
