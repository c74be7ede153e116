"""Whether a worker's memory stays flat: years of flights in a row, and how much it takes after each million events.

The flights of one year are published again and again, each time a year later, to a log in a file, while one worker
projects them. Its resident memory is read after batches; the slope is that of the line through these points, from the
first million on.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from contextlib import closing
from datetime import timedelta
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import linear_regression
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

import click
from examples.flights.data import EVENTS, events
from examples.flights.model import aircraft, flights

from benchmarks.places import empty_stores
from everwhen import Progress, Publisher, Worker
from everwhen.cli.collector import collect_rarely
from everwhen.connect import open_log

MILLION: Final = 1_000_000
MOST_MB, MOST_SLOPE = 300, 1.0
"""The goals: MB, and MB for each million events."""


class Point(NamedTuple):
    """What the worker took, in MB, when it had projected so many."""

    records: int
    resident: float


def publish(log: str, number: int) -> None:
    """Publish so many events, year after year."""
    with Publisher(flights, log) as publisher:
        for year in range(-(-number // EVENTS)):
            later = timedelta(days=365 * year)
            for entity_id, event, occurred_at in islice(events(), min(EVENTS, number - year * EVENTS)):
                publisher.publish(entity_id, event, occurred_at=occurred_at + later)


def project(log: str, store: str, number: int, points: Connection) -> None:
    """Project them, and send a point after each batch."""
    collect_rarely()  # as the command `everwhen worker` does

    def show(progress: Progress) -> None:
        points.send(Point(progress.records, resident()))
        if progress.records >= number:
            worker.stop()

    with Worker(aircraft, log, store, progress=show) as worker:
        worker.run()
    points.close()


def resident() -> float:
    """The resident memory of this process, in MB; Linux only."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def measure(store: str, number: int) -> list[Point]:
    """Publish and project side by side; return the points."""
    context = multiprocessing.get_context("spawn")
    with TemporaryDirectory(prefix="everwhen-benchmark-") as directory:
        log = f"sqlite:///{directory}/log.db"
        with closing(open_log(log)) as opened:
            opened.create_topic(flights.name, flights.partitions)
        ours, theirs = context.Pipe(duplex=False)
        publisher = context.Process(target=publish, args=(log, number))
        worker = context.Process(target=project, args=(log, store, number, theirs))
        publisher.start()
        worker.start()
        theirs.close()
        found: list[Point] = []
        try:
            while not found or found[-1].records < number:
                found.append(ours.recv())
        finally:
            publisher.join()
            worker.join()
    return found


@click.command()
@click.option("--events", "number", type=int, default=5 * MILLION, show_default=True)
@click.option("--store", default="sqlite", show_default=True, help="sqlite, postgres, or a URL.")
def main(number: int, store: str) -> None:
    """Print what the worker took after each million events, and the slope."""
    with empty_stores(store) as make:
        began = time.monotonic()
        points = measure(make(), number)
        seconds = time.monotonic() - began
    shown = 0
    for point in points:
        if point.records >= shown:
            click.echo(f"{point.records:>12,} events {point.resident:8.1f} MB")
            shown += MILLION
    settled = [point for point in points if point.records >= min(MILLION, number // 2)]
    slope = linear_regression([each.records / MILLION for each in settled], [each.resident for each in settled]).slope
    most = max(each.resident for each in points)
    click.echo(f"{points[-1].records:,} events in {seconds:.0f} s, with their publication")
    click.echo(f"most {most:.0f} MB (goal {MOST_MB}), slope {slope:+.2f} MB per million events (goal {MOST_SLOPE})")
    sys.exit(most > MOST_MB or slope > MOST_SLOPE)


if __name__ == "__main__":
    main()
