"""A benchmark: a program that measures one or several figures, and the list of all of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Final

from benchmarks.harness.figure import Cannot, Outcome, Promise
from benchmarks.harness.rig import Rig

MODULES: Final = (
    "benchmarks.figures.start",
    "benchmarks.figures.publish",
    "benchmarks.figures.project",
    "benchmarks.figures.year",
    "benchmarks.figures.late",
    "benchmarks.figures.ask",
    "benchmarks.figures.many",
    "benchmarks.figures.replay",
    "benchmarks.figures.outbox",
)
"""Each has one :class:`Benchmark` named ``BENCHMARK``. They run, and are shown, in this order."""


@dataclass(frozen=True)
class Benchmark:
    """What is measured together, because its sides take turns. Immutable.

    :ivar promises: the figures, in the order in which they are shown.
    :ivar measure: measures them, and yields each once it is there.
    :ivar cannot: what peers of these figures cannot do.
    """

    promises: tuple[Promise, ...]
    measure: Callable[[Rig], Iterable[Outcome]]
    cannot: tuple[Cannot, ...] = ()


def load(modules: Iterable[str] = MODULES) -> list[Benchmark]:
    """Import the benchmarks."""
    return [import_module(module).BENCHMARK for module in modules]


def chosen(benchmarks: Iterable[Benchmark], names: Collection[str]) -> list[Benchmark]:
    """Return the benchmarks that measure any of the figures that are named; all of them if none is.

    :raises ValueError: naming what is no figure.
    """
    found = list(benchmarks)
    known = {promise.name for benchmark in found for promise in benchmark.promises}
    if unknown := sorted(set(names) - known):
        raise ValueError(f"there is no figure {', '.join(unknown)}; there are {', '.join(sorted(known))}")
    if not names:
        return found
    return [each for each in found if any(promise.name in names for promise in each.promises)]
