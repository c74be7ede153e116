"""``python -m benchmarks``: measure, and write the results, the table and the chart."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

from benchmarks.harness import machine, page
from benchmarks.harness.benchmark import Benchmark, chosen, load
from benchmarks.harness.figure import Figure, Outcome
from benchmarks.harness.results import FILE, Result, Results, Setting
from benchmarks.harness.rig import Rig, Unavailable
from benchmarks.harness.table import goal, number
from everwhen.cli.collector import collect_rarely

_SLOWER: Final = (
    "This Python was built without optimizations, as pyenv builds it if it is not told otherwise: what is written in "
    "Python takes longer than it does for most users. For the figures they would see, measure with another one: "
    "make clean; make bench PYTHON=/usr/bin/python3"
)


@click.command()
@click.argument("names", metavar="[FIGURE]...", nargs=-1)
@click.option("--quick", is_flag=True, help="Few events: shows that everything works, not how fast it is.")
@click.option("--rounds", type=click.IntRange(min=3), default=3, show_default=True, help="Runs of each side.")
@click.option("--results", "file", type=click.Path(path_type=Path), default=FILE, help="Where to keep the results.")
@click.option("--no-page", is_flag=True, help="Leave docs/performance.md and its chart as they are.")
@click.option("--render", is_flag=True, help="Measure nothing; write page and chart from the results.")
def main(names: Sequence[str], *, quick: bool, rounds: int, file: Path, no_page: bool, render: bool) -> None:
    """Measure all figures, or those named; figures that are measured together come together."""
    collect_rarely()  # as the command `everwhen worker` does; every side has it
    benchmarks = load()
    results = Results.read(file).with_cannot(each for benchmark in benchmarks for each in benchmark.cannot)
    order = [promise.name for benchmark in benchmarks for promise in benchmark.promises]
    if not render:
        try:
            todo = chosen(benchmarks, names)
        except ValueError as error:
            raise click.UsageError(str(error)) from None
        if not machine.is_optimized():
            print(_SLOWER, file=sys.stderr, flush=True)
        setting = Setting(f"{datetime.now(UTC):%Y-%m-%d}", machine.cores(), machine.processor(), quick)
        with Rig(quick=quick, rounds=rounds) as rig:
            for outcome in _measure(todo, rig):
                results = results.with_figure(Result(outcome, setting), order)
                results.write(file)  # after each, so that what was measured outlives a failure
    results.write(file)
    if not no_page:
        page.write(Results.read(file))  # as rounded as they are kept, so that rendering them again changes nothing


def _measure(benchmarks: Sequence[Benchmark], rig: Rig) -> Iterator[Outcome]:
    for benchmark in benchmarks:
        names = ", ".join(promise.name for promise in benchmark.promises)
        print(f"{names}:", file=sys.stderr, flush=True)
        began = time.monotonic()
        for outcome in outcomes(benchmark, rig):
            print(_line(outcome), flush=True)
            yield outcome
        print(f"  {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


def outcomes(benchmark: Benchmark, rig: Rig) -> Iterator[Outcome]:
    """Yield an outcome for each promise; what cannot be had here leaves those without a figure that need it."""
    left = list(benchmark.promises)
    try:
        for outcome in benchmark.measure(rig):
            left.remove(outcome.promise)
            yield outcome
    except Unavailable as reason:
        yield from (promise.missing(str(reason)) for promise in left)


def _line(outcome: Outcome) -> str:
    promise = outcome.promise
    if not isinstance(outcome, Figure):
        return f"{promise.name:<26} not measured: {outcome.reason}"
    shown = outcome.ratio or outcome.first
    spread = f"{number(shown.minimum)} to {number(shown.maximum)}"
    verdict = "reached" if outcome.reached else "MISSED"
    return f"{promise.name:<26} {number(shown.median):>8}  ({spread})  goal {goal(promise.goal)}: {verdict}"


if __name__ == "__main__":
    main()
