"""``everwhen rebuild``: another generation of a projection, built from the log beside the one that answers."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any, Final, Protocol

import click

from everwhen.cli.builders import Builders, Ended, Task, tasks_for, totals
from everwhen.cli.config_options import resolution_of
from everwhen.cli.config_resolve import Resolution
from everwhen.cli.logs import is_json, show_worker
from everwhen.cli.options import kafka_option, log_option, log_target, option, registry_option, store_option
from everwhen.cli.output import write_line
from everwhen.cli.signals import stopped_by_signals
from everwhen.cli.targets import load_projection
from everwhen.connect import LogTarget, open_log, open_store
from everwhen.errors import SettingsError
from everwhen.projection import Projection
from everwhen.worker import WorkerSettings, blueprint

_log = logging.getLogger("everwhen.rebuild")
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
@registry_option
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
    registry: str | None,
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
    resolution = resolution_of(context, {})
    as_json = is_json(resolution.daemon().log_format)
    with_bar = sys.stderr.isatty() and not as_json
    show_worker(as_json=as_json, over_bar=with_bar, traces=context.find_root().params["traceback"])
    projection = load_projection(target)
    projection.check_complete()
    task = Task(
        target=target,
        log=log_target(log, kafka),
        store=store,
        registry=registry,
        generation=0,
        partitions=(),
        settings=_settings(resolution),
        as_json=as_json,
        quiet=with_bar,
    )
    partitions = _partitions(task.log, projection)
    task = replace(task, generation=_begin(store, projection))
    for ended in _build(tasks_for(task, range(partitions), processes or os.cpu_count() or 1), with_bar=with_bar):
        click.echo(f"everwhen: {ended.message}", err=True)
        context.exit(ended.code)
    write_line(f"generation {task.generation} of projection {projection.name} holds all that stood in the log at first")
    write_line(f"compare it with the one that answers: everwhen compare {projection.name}")
    write_line(f"keep it up to date: everwhen worker {target}@{task.generation}")
    write_line(f"let it answer: everwhen switch {projection.name}")


def _build(tasks: Sequence[Task], *, with_bar: bool) -> Iterator[Ended]:
    """Run the processes and show how far they are; yield why one ended early."""
    with Builders(tasks) as builders, stopped_by_signals(builders), _bar() if with_bar else _lines() as show:
        for ended in builders.run():
            show(*totals(builders.progress, len(tasks)))
            if ended is not None:
                yield ended


def _partitions(source: LogTarget | None, projection: Projection[Any]) -> int:
    with closing(open_log(source)) as opened:
        return opened.describe(projection.topic.name).partitions


def _begin(store: str | None, projection: Projection[Any]) -> int:
    """Return the number of the generation that is built now."""
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
    return number


def _settings(resolution: Resolution) -> WorkerSettings:
    """Return a worker's settings, from the environment and the configuration file.

    :raises SettingsError: naming every mistake, one a line.
    """
    if resolution.mistakes:
        raise SettingsError("\n".join(resolution.mistakes))
    return replace(resolution.worker(), group=None, partitions=None)


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
