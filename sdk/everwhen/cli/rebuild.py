"""``everwhen rebuild``: another generation of a projection, built from the log beside the one that answers."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any, Final, Protocol

import click

from everwhen.cli.builders import Builders, Ended, Task, stopped_by_signals, tasks_for, totals
from everwhen.cli.logs import show_worker
from everwhen.cli.options import kafka_option, log_option, log_target, option, store_option
from everwhen.cli.output import write_line
from everwhen.cli.targets import load_projection
from everwhen.connect import LogTarget, open_log, open_store
from everwhen.ports.generations import Build
from everwhen.projection import Projection
from everwhen.worker import WorkerSettings, blueprint

_log = logging.getLogger("everwhen.rebuild")
_BATCH_RECORDS: Final = 20_000
"""A rebuild is in nobody's way, so its transactions may be larger than a worker's."""
_LINE_SECONDS: Final = 10.0


class Show(Protocol):
    """Shows how far a rebuild is."""

    def __call__(self, records: int, expected: int | None) -> None:
        """Show it."""
        ...


@click.command()
@click.argument("target", metavar="MODULE:PROJECTION")
@log_option
@kafka_option
@store_option
@option(
    "--processes",
    metavar="N",
    type=click.IntRange(min=1),
    help="How many build at once, each from partitions of its own; one for each processor if left out.",
)
@click.pass_context
def rebuild(
    context: click.Context,
    target: str,
    *,
    log: str | None,
    kafka: tuple[str, ...],
    store: str | None,
    processes: int | None,
) -> None:
    """Build another generation of a projection from the log, beside the one that answers.

    Use it when the code of a projection has changed, or to prove that a store holds what the log says. Nothing that is
    asked or written meanwhile notices it. It ends when everything is projected that stood in the log at its start; if
    it is stopped or killed before, the same command goes on where it was. Then compare both, start the worker of the
    new one, and switch.

    \b
    Example:
      everwhen rebuild bank:account --log sqlite:///log.db --store sqlite:///bank.db
      everwhen compare account --store sqlite:///bank.db
      everwhen switch account --store sqlite:///bank.db
    """
    with_bar = sys.stderr.isatty()
    show_worker(as_json=False, over_bar=with_bar, traces=context.find_root().params["traceback"])
    projection = load_projection(target)
    projection.check_complete()
    source = log_target(log, kafka)
    partitions = _partitions(source, projection)
    build = _begin(store, projection)
    task = Task(
        target=target,
        log=source,
        store=store,
        generation=build.generation.number,
        partitions=(),
        settings=_settings(),
        as_json=False,
        quiet=with_bar,
    )
    tasks = tasks_for(task, range(partitions), processes or os.cpu_count() or 1)
    with Builders(tasks) as builders, stopped_by_signals(builders), _bar() if with_bar else _lines() as show:
        for ended in builders.run():
            show(*totals(builders.progress, len(tasks)))
            if ended is not None:
                _fail(context, ended)
    number, name = build.generation.number, projection.name
    write_line(f"generation {number} of projection {name} holds all that stood in the log when this began")
    write_line(f"compare it with the one that answers: everwhen compare {name}")
    write_line(f"keep it up to date: everwhen worker {target}@{number}; let it answer: everwhen switch {name}")


def _partitions(source: LogTarget | None, projection: Projection[Any]) -> int:
    with closing(open_log(source)) as opened:
        return opened.describe(projection.topic.name).partitions


def _begin(store: str | None, projection: Projection[Any]) -> Build:
    with closing(open_store(store)) as opened:
        builds = opened.generations(projection.name)
        before = {build.generation.number for build in builds.all()}
        build = builds.begin(blueprint(projection))
    number = build.generation.number
    begun = "rebuild.begun building generation %d of projection %s: version %d, code %s"
    resumed = "rebuild.resumed going on with generation %d of projection %s: version %d, code %s"
    facts = (number, projection.name, build.generation.version, build.generation.fingerprint)
    if number in before:
        _log.info(resumed, *facts)
    else:
        _log.info(begun, *facts)
    return build


def _settings() -> WorkerSettings:
    chosen = replace(WorkerSettings.from_environment(os.environ), group=None)
    if chosen.batch_records == WorkerSettings().batch_records:
        return replace(chosen, batch_records=_BATCH_RECORDS)
    return chosen


def _fail(context: click.Context, ended: Ended) -> None:
    click.echo(f"everwhen: {ended.message}", err=True)
    context.exit(ended.code)


@contextmanager
def _bar() -> Iterator[Show]:
    with click.progressbar(length=1, label="rebuilding", show_pos=True, file=sys.stderr) as bar:

        def show(records: int, expected: int | None) -> None:
            if expected:
                bar.length = expected
                bar.update(records - bar.pos)

        yield show


@contextmanager
def _lines() -> Iterator[Show]:
    """Log a line now and then: how far it is, how fast, and how long it will take."""
    began = last = time.monotonic()

    def show(records: int, expected: int | None) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < _LINE_SECONDS or not records:
            return
        last = now
        rate = records / (now - began)
        left = "" if expected is None else f" of {expected}, {max(0, expected - records) / rate:.0f} s left"
        _log.info("rebuild.progress %d records%s, %.0f/s", records, left, rate)

    yield show
