"""The program: publishes and projects a year of flights side by side, says how fast, and tells a story."""

from __future__ import annotations

import sys
import time
from contextlib import closing
from multiprocessing.connection import wait
from pathlib import Path
from typing import Self

import click

from everwhen import EverwhenError, Reader
from everwhen.connect import open_log, open_store
from everwhen.errors import NotYetProjected
from examples.flights import story
from examples.flights.data import EVENTS
from examples.flights.model import aircraft, flights
from examples.flights.processes import Process, peak_memory, project, publish

HOME = Path(".demo")
LOG, STORE = f"sqlite:///{HOME}/log.db", f"sqlite:///{HOME}/store.db"

_BAR = 16
"""Characters."""
_REDRAW_SECONDS = 0.2
_LINE_SECONDS = 5.0


@click.command()
@click.option("--log", default=LOG, show_default=True, help="Where the events go; or kafka://HOST:PORT.")
@click.option("--store", default=STORE, show_default=True, help="Where the timelines go; or postgresql+psycopg://...")
def main(log: str, store: str) -> None:
    """Publish and project a year of real flights, then ask about them.

    With its own two files the demo starts afresh every time. Elsewhere it adds to what is there: a repetition
    publishes the same event ids, so its 661,610 events are duplicates and change nothing.
    """
    try:
        _run(log, store)
    except EverwhenError as error:
        raise click.ClickException(str(error)) from None


def _run(log: str, store: str) -> None:
    if (log, store) == (LOG, STORE):
        start_afresh()
    with closing(open_log(log)) as opened_log, closing(open_store(store)) as opened_store:
        log_address, store_address = opened_log.address, opened_store.address  # these hide passwords
        click.echo(f"log    {log_address}\nstore  {store_address}\n")
        opened_log.create_topic(flights.name, flights.partitions)
    with Race(log, store) as race:
        race.watch()
    race.show_figures()
    story.tell(log, store)
    story.go_on(log_address, store_address)


def start_afresh() -> None:
    """Remove the files that an earlier demo left in the working directory."""
    HOME.mkdir(exist_ok=True)
    for name in ("log.db", "store.db"):
        for file in HOME.glob(f"{name}*"):  # with those that SQLite keeps beside it
            file.unlink()


class Race:
    """The publisher and the worker side by side, until all that was published is projected."""

    def __init__(self, log: str, store: str) -> None:
        self._reader = Reader(aircraft, store)
        self._started = self._drawn = time.monotonic()
        self._published = self._projected = 0.0
        self._publisher = Process(publish, log)
        self._worker = Process(project, log, store)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._publisher.end()
        self._worker.end()
        self._reader.close()
        self._draw(last=True)  # the worker's last word may come after its last commit

    def watch(self) -> None:
        """Show how far both are; return when both are done."""
        while not self._projected:
            racing = [self._worker] if self._published else [self._publisher, self._worker]
            heard = wait([process.reports for process in racing], timeout=_REDRAW_SECONDS)
            try:
                for process in racing:
                    if process.reports in heard:
                        process.listen()
            except EOFError:
                raise click.ClickException("a process of the demo has ended; it may have said why above") from None
            if not self._published and self._publisher.latest.ends:
                self._published = self._seconds()
            if self._published and self._is_projected():
                self._projected = self._seconds()
            else:
                self._draw()

    def show_figures(self) -> None:
        """Print how long it took, and what became of the events. To be called after the race."""
        progress = self._worker.latest.progress
        assert progress is not None
        became = progress.tally
        peaks = [process.latest.peak for process in (self._publisher, self._worker)] + [peak_memory()]
        click.echo(
            f"\npublished {EVENTS:,} events in {self._published:.0f} s: {EVENTS / self._published:,.0f} a second\n"
            f"projected {progress.records:,} events in {self._projected:.0f} s: "
            f"{progress.records / self._projected:,.0f} a second\n"
            f"  {became.applied:,} applied, {became.late:,} of them late; {became.duplicates:,} duplicates\n"
            "peak memory: publisher {:.0f} MB, worker {:.0f} MB, this process {:.0f} MB".format(*peaks)
        )

    def _seconds(self) -> float:
        return time.monotonic() - self._started

    def _is_projected(self) -> bool:
        try:
            for position in self._publisher.latest.ends:
                self._reader.wait_for(position, timeout=0)
        except NotYetProjected:
            return False
        return True

    def _draw(self, *, last: bool = False) -> None:
        """On a terminal two bars in one line, elsewhere a line now and then."""
        live = sys.stdout.isatty()
        if not last and time.monotonic() - self._drawn < (_REDRAW_SECONDS if live else _LINE_SECONDS):
            return
        self._drawn = time.monotonic()
        seconds = self._projected or self._seconds()
        published, projected = self._publisher.latest.events, self._worker.latest.events
        if live:
            line = f"\rpublished {_bar(published)}  projected {_bar(projected)}  {seconds:3.0f} s"
            click.echo(line, nl=last)
        else:
            click.echo(f"{seconds:3.0f} s  published {published:,}  projected {projected:,}")


def _bar(events: int) -> str:
    share = min(1, events / EVENTS)
    return f"[{'#' * round(share * _BAR):-<{_BAR}}] {share:4.0%}"
