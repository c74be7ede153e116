"""What history costs that is loaded in the wrong order: a year of flights in the order of its file, and in time order.

The file has its months in the order 1, 10, 11, 12, 2, 3 … 9, so 426,955 of the 661,610 events are late. Both orders are
published to local logs with the same event ids, and projected into fresh stores by a process each. They take turns,
partition by partition, so that what else the machine does meets both; each partition's worker has the buffer that is
its share in a worker of all four. Then every aircraft's whole history is compared. With fewer aircraft, batches and
buffers shrink as much, so that the history comes in as many batches.
"""

from __future__ import annotations

import multiprocessing
import random
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, TypeVar

import click
from examples.flights.data import events
from examples.flights.model import aircraft, flights
from sqlalchemy import Table, create_engine, func, select

from benchmarks.harness.process import peak_memory
from benchmarks.places import MakeStore, bytes_of, empty_stores
from everwhen import Publisher, Reader, Worker
from everwhen.cli.collector import collect_rarely
from everwhen.projection import Tally
from everwhen.sql.tables import GenerationTables
from everwhen.worker import WorkerSettings

ORDERS = ("time", "file")
AIRCRAFT = 4_043
R = TypeVar("R")


class Turn(NamedTuple):
    """What projecting one partition took."""

    seconds: float
    cpu: float
    """Of the worker's process; a database server's is not in it."""
    peak: float
    """The most memory that the process has taken so far, in MB."""
    tally: Tally


class Outcome(NamedTuple):
    """What one order took."""

    store: str
    seconds: float
    cpu: float
    peak: float
    tally: Tally
    bytes_before: int
    """Before VACUUM."""
    bytes: int
    beliefs: int
    """Superseded beliefs that are kept as rows."""


def publish(log: str, order: str, number: int) -> None:
    """Publish the flights of some aircraft."""
    chosen = _aircraft(number)
    with Publisher(flights, log) as publisher:
        for entity_id, event, occurred_at in events(in_file_order=order == "file"):
            if entity_id in chosen:
                event_id = f"{event.flight}-{type(event).__name__}-{occurred_at:%m%dT%H%M}"
                publisher.publish(entity_id, event, occurred_at=occurred_at, event_id=event_id)


def project(log: str, store: str, number: int, partition: int | None) -> Turn:
    """Project one partition of a log, or all of them."""
    collect_rarely()  # as the command `everwhen worker` does
    usual, share = WorkerSettings(), number / AIRCRAFT
    settings = WorkerSettings(
        partitions=range(flights.partitions) if partition is None else [partition],
        batch_records=round(usual.batch_records * share),
        buffer_bytes=round(usual.buffer_bytes * share / (flights.partitions if partition is not None else 1)),
    )
    began, cpu = time.perf_counter(), time.process_time()
    with Worker(aircraft, log, store, settings=settings) as worker:
        tally = worker.run(until="end").tally
    return Turn(time.perf_counter() - began, time.process_time() - cpu, peak_memory(), tally)


def are_same(one: str, other: str, number: int) -> bool:
    """Whether both stores give the same history of every aircraft, in states and in instants."""
    with Reader("aircraft", one) as first, Reader("aircraft", other) as second:
        return all(_history(first, each) == _history(second, each) for each in sorted(_aircraft(number)))


@click.command()
@click.option("--store", default="sqlite", show_default=True, help="sqlite, postgres (starts one), or a server's URL.")
@click.option("--aircraft", "number", default=AIRCRAFT, show_default=True, help="How many aircraft.")
@click.option("--rounds", default=1, show_default=True, help="How often to project; figures are medians.")
def main(store: str, number: int, rounds: int) -> None:
    """Compare a worker on the file's order with one on the order of time."""
    with TemporaryDirectory(prefix="everwhen-benchmark-") as directory, empty_stores(store) as make_store:
        logs = {order: f"sqlite:///{Path(directory) / order}.db" for order in ORDERS}
        for order in ORDERS:
            _alone(partial(publish, logs[order], order, number))
        ordered, shuffled = zip(*(_round(logs, make_store, number) for _ in range(rounds)), strict=True)
        same = _alone(partial(are_same, ordered[-1].store, shuffled[-1].store, number))
    _show(store.partition(":")[0], ordered, shuffled, number)
    print(f"\nsame answers: {'yes' if same else 'no'}")
    sys.exit(not same)


def _round(logs: dict[str, str], make_store: MakeStore, number: int) -> list[Outcome]:
    stores = {order: make_store() for order in ORDERS}
    turns: dict[str, list[Turn]] = {order: [] for order in ORDERS}
    with _process() as ordered, _process() as shuffled:
        for partition in range(flights.partitions):
            for order, process in zip(ORDERS, (ordered, shuffled), strict=True):
                turn = process.submit(project, logs[order], stores[order], number, partition)
                turns[order].append(turn.result())
    return [_sum(stores[order], turns[order]) for order in ORDERS]


def _sum(store: str, turns: list[Turn]) -> Outcome:
    seconds, cpu, tally = sum(turn.seconds for turn in turns), sum(turn.cpu for turn in turns), Tally()
    for turn in turns:
        tally.add(turn.tally)
    before = bytes_of(store)
    return Outcome(store, seconds, cpu, turns[-1].peak, tally, before, bytes_of(store, vacuum=True), _beliefs(store))


def _process() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))


def _alone(work: Callable[[], R]) -> R:
    """Do it in a process of its own, so that its memory is its own."""
    with _process() as process:
        return process.submit(work).result()


def _aircraft(number: int) -> set[str]:
    names = sorted({entity_id for entity_id, _, _ in events()})
    return set(random.Random(1).sample(names, number))


def _history(reader: Reader[Any], entity_id: str) -> list[tuple[Any, ...]]:
    versions = reader.history(entity_id).versions
    return [(each.valid_from, each.valid_to, each.event_id, each.state) for each in versions]


def _beliefs(store: str) -> int:
    engine = create_engine(store)
    rows: Table = GenerationTables(engine.dialect.name, aircraft.name, 1).superseded
    try:
        with engine.connect() as connection:
            return connection.execute(select(func.count()).select_from(rows)).scalar_one()
    finally:
        engine.dispose()


def _show(kind: str, ordered: Sequence[Outcome], shuffled: Sequence[Outcome], number: int) -> None:
    print(f"\n{kind}, {number:,} aircraft, {ordered[0].tally.applied:,} events, median of {len(ordered)}:\n")
    print("| what | unit | time order | file order | ratio | goal |\n|---|---|---|---|---|---|")
    for what, unit, goal, figure in (
        ("projecting", "s", "5", lambda run: run.seconds),
        ("projecting, CPU of the worker", "s", "", lambda run: run.cpu),
        ("store", "MB", "2.5", lambda run: run.bytes / 1e6),
        ("store before VACUUM", "MB", "", lambda run: run.bytes_before / 1e6),
        ("peak memory of the worker", "MB", "", lambda run: run.peak),
        ("late events", "", "", lambda run: run.tally.late),
        ("versions folded again", "", "", lambda run: run.tally.refolded),
        ("superseded beliefs stored", "", "", lambda run: run.beliefs),
    ):
        one, other = (median(map(figure, runs)) for runs in (ordered, shuffled))
        ratio = f"{other / one:.2f}" if unit else ""
        shown = [f"{value:,.1f}" if unit == "s" else f"{value:,.0f}" for value in (one, other)]
        print(f"| {what} | {unit} | {shown[0]} | {shown[1]} | {ratio} | {goal} |")


if __name__ == "__main__":
    main()
