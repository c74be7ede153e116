"""Runs of a worker, and of the limits beside it, each in a process of its own.

A worker's time goes from the claim of its partitions to its last commit; a limit's from the start of fetching to its
last commit. So neither the start of a process is in it, nor the wait for the group.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import Any, Final, NamedTuple, TypeAlias

from examples.flights.model import SCHEMAS, flights
from examples.flights.model import aircraft as year

from benchmarks.harness.process import alone, peak_memory, together
from benchmarks.limits.fold import Fold
from benchmarks.limits.latest import LatestFold, LatestSink
from benchmarks.limits.postgres import PostgresSink
from benchmarks.limits.project import Claim, Sink, project
from benchmarks.limits.sqlite import SqliteSink
from benchmarks.workload import aircraft as part
from everwhen import Projection, Worker
from everwhen.connect import open_log, open_store
from everwhen.ports import store as ports
from everwhen.worker import BatchReport, Observer, WorkerSettings, blueprint


class Run(NamedTuple):
    """What projecting took. Instants are on a clock that all processes share."""

    records: int
    began: float
    ended: float
    peak_mb: float
    """The most memory that the process has taken."""


class Stopwatch(Observer):
    """Notes when a worker has its partitions, and when it commits."""

    def __init__(self) -> None:
        self.began: float | None = None
        self.ended = 0.0

    def claimed(self, claims: Collection[ports.Claim]) -> None:
        """Start with the first partition."""
        if claims and self.began is None:
            self.began = time.monotonic()

    def applied(self, report: BatchReport) -> None:
        """Note the latest commit."""
        self.ended = time.monotonic()


def projection_of(topic: str) -> Projection[Any]:
    """Return the projection of the whole year's topic, or that of its beginning."""
    return year if topic == flights.name else part


def work(topic: str, log: str, store: str, settings: WorkerSettings) -> Run:
    """Be a worker, up to the end of the log."""
    watch = Stopwatch()
    with Worker(projection_of(topic), log, store, settings=settings, observer=watch) as worker:
        progress = worker.run(until="end")
    if watch.began is None or progress.tally.applied != progress.records:
        raise RuntimeError(f"the worker was to apply every record once: {progress}")
    return Run(progress.records, watch.began, watch.ended, peak_memory())


def worker(topic: str, log: str, store: str) -> Run:
    """Run one worker with its default settings."""
    return alone(partial(work, topic, log, store, WorkerSettings()))


def workers(topic: str, log: str, store: str, shares: Sequence[Sequence[int]]) -> Run:
    """Run several workers at once, each with partitions of its own, as a rebuild does."""
    with closing(open_store(store)) as opened:
        opened.prepare(blueprint(projection_of(topic)))
    settings = [WorkerSettings(partitions=share) for share in shares]
    runs = together([partial(work, topic, log, store, each) for each in settings])
    return Run(
        sum(run.records for run in runs),
        min(run.began for run in runs),
        max(run.ended for run in runs),
        max(run.peak_mb for run in runs),
    )


def rate(run: Run) -> float:
    """Return events a second."""
    return run.records / (run.ended - run.began)


MakeSink: TypeAlias = Callable[[str, Mapping[int, Claim]], Sink]
SINKS: Final[dict[str, tuple[MakeSink, type[Fold]]]] = {
    "postgresql": (PostgresSink, Fold),
    "sqlite": (SqliteSink, Fold),
    "latest": (LatestSink, LatestFold),
}


def limit(kind: str, topic: str, log: str, store: str, total: int) -> float:
    """Run a limit; return events a second.

    :param kind: ``postgresql``, ``sqlite``, or ``latest`` for the one on PostgreSQL without history.
    """
    claims = claim(projection_of(topic), log, store)
    return total / alone(partial(by_hand, kind, topic, log, store, claims, total))


def claim(projection: Projection[Any], log: str, store: str) -> dict[int, Claim]:
    """Make the tables, and take all partitions."""
    with closing(open_log(log)) as opened, closing(open_store(store)) as tables:
        generation = tables.prepare(blueprint(projection))
        described = opened.describe(projection.topic.name)
        claims = tables.claim(generation, range(described.partitions), described)
    return {number: Claim(each.owner, each.epoch, each.mark.next_offset) for number, each in claims.items()}


def by_hand(kind: str, topic: str, log: str, store: str, claims: Mapping[int, Claim], total: int) -> float:
    """Be a limit; return the seconds that it took."""
    make_sink, make_fold = SINKS[kind]
    sink = make_sink(store, claims)
    return project(log.removeprefix("kafka://"), topic, sink, make_fold(SCHEMAS, sink.load), claims, total)
