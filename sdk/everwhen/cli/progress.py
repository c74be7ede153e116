"""How a worker shows that it moves: a bar on a terminal, a log line now and then elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from typing import Any, TypeAlias

import click

from everwhen.worker import Progress

Show: TypeAlias = Callable[[Progress], None]

LINE_SECONDS = 10.0

_log = logging.getLogger("everwhen.worker")


@contextmanager
def bar() -> Iterator[Show]:
    """Show a bar from the first batch on, for a run that has an end."""
    with ExitStack() as stack:
        shown: Any = None  # click does not export the type

        def show(progress: Progress) -> None:
            nonlocal shown
            if shown is None:
                new: Any = click.progressbar(
                    length=progress.expected, label="projecting", show_pos=True, file=sys.stderr
                )
                shown = stack.enter_context(new)
            shown.length = progress.expected
            shown.update(progress.records - shown.pos)

        yield show


@contextmanager
def lines(every: float = LINE_SECONDS) -> Iterator[Show]:
    """Log a line at most every so many seconds, and none while nothing happens."""
    last = time.monotonic()

    def show(progress: Progress) -> None:
        nonlocal last
        if time.monotonic() - last >= every:
            last = time.monotonic()
            _log.info("worker.progress %s", describe(progress))

    yield show


def conclude(progress: Progress, *, with_bar: bool = False) -> None:
    """Say what was done in all."""
    if with_bar:
        click.echo(describe(progress), err=True)
    else:
        _log.info("worker.done %s", describe(progress))


def describe(progress: Progress) -> str:
    """Say in words what was done: the records, and what became of them where that is anything."""
    of_all = "" if progress.expected is None else f" of {progress.expected}"
    became = [f"{what} {count}" for what, count in asdict(progress.tally).items() if count]
    return f"{progress.records}{of_all} records" + (f": {', '.join(became)}" if became else "")
