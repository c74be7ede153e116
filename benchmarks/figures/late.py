"""What history costs that is loaded in the wrong order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from benchmarks.file_order import AIRCRAFT, ORDERS, Turn, project, publish
from benchmarks.harness.benchmark import Benchmark
from benchmarks.harness.figure import Outcome, Promise, at_most
from benchmarks.harness.machine import sqlite_version, versions
from benchmarks.harness.process import alone, together
from benchmarks.harness.rig import Rig
from benchmarks.harness.turns import in_turns

SOME, FEW = 1_000, 40
"""Aircraft; a quarter of them have a quarter of the events."""

LATE: Final = Promise(
    "late_cost",
    "the flights in the order of their file, which has its months in the order 1, 10, 11, 12, 2, 3 … 9",
    "s",
    at_most(4),
    "`Worker` on SQLite, the file's order",
    "the same in the order of time",
)


def measure(rig: Rig) -> Iterator[Outcome]:
    """Project the flights of some aircraft in both orders, by a worker of all partitions."""
    number = FEW if rig.quick else SOME
    logs = {order: f"sqlite:///{rig.file('.db')}" for order in ORDERS}
    together([partial(publish, log, order, number) for order, log in logs.items()])

    def run(order: str) -> Turn:
        return alone(partial(project, logs[order], f"sqlite:///{rig.file('.db')}", number, None))

    sides: dict[str, Callable[[], Turn]] = {f"order of {order}": partial(run, order) for order in ORDERS}
    found = in_turns(sides, rig.rounds)
    late, ordered = found["order of file"], found["order of time"]
    tally = late[0].tally
    yield LATE.measured(
        [turn.seconds for turn in late],
        [turn.seconds for turn in ordered],
        versions=versions(["fastavro", "pydantic", "SQLAlchemy"], SQLite=sqlite_version()),
        note=f"{tally.late:,} of {tally.applied:,} events late, {number:,} of {AIRCRAFT:,} aircraft, from a local log",
    )


BENCHMARK = Benchmark((LATE,), measure)
