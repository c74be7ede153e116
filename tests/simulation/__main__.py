"""``python -m tests.simulation``: all faults at all calls of all scenarios, and as many histories as are asked for."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from tests.simulation.counts import lines
from tests.simulation.exhaust import Difference, exhaust, wander
from tests.simulation.scenarios import ALL
from tests.simulation.stage import Place

_CHUNK = 20
_RANDOM = 2**31


def main() -> int:
    """Play; return 1 if anything was not as it must be."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--histories", type=int, default=2000, help="how many random ones")
    parser.add_argument("--seed", type=int, default=None, help="of the first history; each next one has the next seed")
    parser.add_argument("--scenarios", nargs="*", choices=ALL, default=list(ALL), help="which ones; by default all")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="how many run side by side")
    chosen = parser.parse_args()
    seed = chosen.seed if chosen.seed is not None else int.from_bytes(os.urandom(4)) % _RANDOM
    print(f"seed {seed}", flush=True)
    began, counts, wrong = time.monotonic(), Counter[str](), 0
    with ProcessPoolExecutor(chosen.processes) as pool:
        work = [pool.submit(_exhausted, name) for name in chosen.scenarios]
        last = seed + chosen.histories
        work += [pool.submit(_wandered, first, min(first + _CHUNK, last)) for first in range(seed, last, _CHUNK)]
        for done in as_completed(work):
            try:
                counts += done.result()
            except Difference as difference:
                wrong += 1
                print(difference, file=sys.stderr, flush=True)
    for line in lines(counts):
        print(line)
    print(f"{wrong} differences, {time.monotonic() - began:.0f} s")
    return 1 if wrong else 0


def _exhausted(name: str) -> Counter[str]:
    with tempfile.TemporaryDirectory() as directory, Place(Path(directory)) as place:
        return exhaust(place, name, every=True)


def _wandered(first: int, last: int) -> Counter[str]:
    with tempfile.TemporaryDirectory() as directory, Place(Path(directory)) as place:
        return wander(place, range(first, last))


if __name__ == "__main__":
    sys.exit(main())
