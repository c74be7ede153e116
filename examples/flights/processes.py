"""The two processes of the demo: one publishes the year, the other one projects it."""

from __future__ import annotations

import gc
import multiprocessing
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, TypeAlias

from click import ClickException

from everwhen import EverwhenError, Position, Progress, Publisher, Receipt, Worker
from examples.flights.data import events
from examples.flights.model import aircraft, flights

Send: TypeAlias = "Callable[[Report], None]"

_REPORT_EVERY = 1_000
"""Events."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a process says of itself now and then."""

    events: int = 0
    """How many it has dealt with."""
    peak: float = 0
    """The most memory that it has taken so far, in MB."""
    ends: tuple[Position, ...] = ()
    """From the publisher, when it is done: the last event of each partition."""
    progress: Progress | None = None
    """From the worker: what became of the events."""
    error: str | None = None
    """Why it gives up."""


def publish(send: Send, log: str) -> None:
    """Publish what happened in 2013.

    An event's id is its place in the order of publication. So whoever runs the demo twice on one log publishes
    duplicates, and these change nothing.
    """
    last: dict[str, Receipt] = {}
    number = 0
    with Publisher(flights, log) as publisher:
        for number, (entity_id, event, occurred_at) in enumerate(events(), start=1):
            event_id = f"nycflights13-{number}"
            last[entity_id] = publisher.publish(entity_id, event, occurred_at=occurred_at, event_id=event_id)
            if number % _REPORT_EVERY == 0:
                send(Report(number, peak_memory()))
    ends = {position.partition: position for position in sorted(receipt.position for receipt in last.values())}
    send(Report(number, peak_memory(), ends=tuple(ends.values())))


def project(send: Send, log: str, store: str) -> None:
    """Fold the events into the store until the process is asked to end."""

    def show(progress: Progress) -> None:
        send(Report(progress.records, peak_memory(), progress=progress))

    with Worker(aircraft, log, store, progress=show) as worker:
        signal.signal(signal.SIGTERM, lambda *_: worker.stop())
        show(worker.run())


class Process:
    """A function of this module in a process of its own.

    :param work: the function; it says of itself what :attr:`latest` holds.
    :param urls: its other arguments.
    """

    def __init__(self, work: Callable[..., None], *urls: str) -> None:
        self.latest = Report()
        # A fork would take over connections and threads that cannot be shared; not every system has it either.
        context = multiprocessing.get_context("spawn")
        self.reports, sender = context.Pipe(duplex=False)
        self._process = context.Process(target=_run, args=(work, sender, *urls), daemon=True)
        self._process.start()
        sender.close()  # so that the pipe ends when the process does

    def listen(self) -> None:
        """Take the next report.

        :raises EOFError: if there is none, as the process has ended.
        :raises ClickException: if the process says that it gives up.
        """
        self.latest = self.reports.recv()
        if self.latest.error is not None:
            raise ClickException(self.latest.error)

    def end(self) -> None:
        """Ask the process to end, and take what it still has to say. Idempotent."""
        self._process.terminate()
        with suppress(EOFError):
            while True:
                self.listen()
        self._process.join()


def peak_memory() -> float:
    """Return the most memory that this process has taken so far, in MB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def _run(work: Callable[..., None], reports: Connection[Any, Any], *urls: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all processes; the first one ends the others
    threading.Thread(target=_end_with_the_first, daemon=True).start()
    # Many thousand events are held at a time and none is part of a cycle: looking for cycles as often as usual
    # would take a fifth of the time.
    gc.set_threshold(50_000, 20, 100)
    with suppress(BrokenPipeError):  # the first process is gone, so there is nobody to tell
        try:
            work(reports.send, *urls)
        except EverwhenError as error:
            reports.send(Report(error=str(error)))


def _end_with_the_first() -> None:
    """Not to go on for ever when the process that started this one was killed and could not end it."""
    first = multiprocessing.parent_process()
    assert first is not None
    first.join()
    os.kill(os.getpid(), signal.SIGTERM)
