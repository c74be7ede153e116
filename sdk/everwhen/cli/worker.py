"""``everwhen worker``: projection workers as a daemon."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import click

from everwhen.cli import logs
from everwhen.cli.config_checks import check
from everwhen.cli.config_options import daemon_options, resolution_of
from everwhen.cli.config_resolve import Resolution
from everwhen.cli.crew import Job, work
from everwhen.cli.daemon import exit_code
from everwhen.cli.fleet import Fleet
from everwhen.cli.options import kafka_target


@click.command()
@click.argument("targets", metavar="MODULE:PROJECTION...", nargs=-1, required=True)
@daemon_options
@click.pass_context
def worker(context: click.Context, /, targets: tuple[str, ...], **flags: Any) -> None:
    """Fold a topic's events into a store, until stopped.

    On SIGTERM, and on the first Ctrl-C, it finishes the batch in hand and exits with 0; a second Ctrl-C breaks the
    batch off, and nothing of it is kept. As many workers as the topic has partitions can share the work, on this
    machine with --processes and on others.

    Several projections run side by side, each in a thread of its own. When one of them fails, or one of several
    processes, the others finish their batches, and it exits with that one's code.

    A record that cannot be applied is kept aside and parks its entity: see everwhen quarantine. When too many cannot,
    their partition stops and the others go on; the exit code tells it at the end.

    Everything that is wrong with options, variables and configuration file is told at once, one line each; see
    everwhen config show.

    \b
    Example:
      everwhen worker bank:account --log sqlite:///log.db --store sqlite:///bank.db --until-end
    """
    resolution = resolution_of(context, flags)
    settings = resolution.daemon()
    as_json = logs.is_json(settings.log_format)
    several = len(targets) > 1 or settings.processes > 1
    with_bar = settings.until_end and not as_json and not several and sys.stderr.isatty()
    traces = context.find_root().params["traceback"]
    logs.show_worker(as_json=as_json, over_bar=with_bar, several=several, traces=traces)

    def run() -> int:
        check(resolution)
        return _run(_job(targets, resolution), with_bar=with_bar)

    context.exit(exit_code("worker", run, as_json=as_json, traces=traces))


def _job(targets: tuple[str, ...], resolution: Resolution) -> Job:
    settings = resolution.daemon()
    assert settings.log is not None  # it was checked
    kafka = {name: found.value for name, found in resolution.kafka.items()}
    log = kafka_target(settings.log, kafka) if kafka else settings.log
    return Job(targets, log, settings, resolution.worker())


def _run(job: Job, *, with_bar: bool) -> int:
    count = job.settings.processes
    if count == 1:
        return work(job, with_bar=with_bar)
    fleet = Fleet(to_end=job.settings.until_end)
    number = fleet.launch(count)
    if number is None:
        return fleet.watch()
    with logs.about(process_number=number):
        return work(_share(job, number), with_bar=False)


def _share(job: Job, number: int) -> Job:
    """Return what one of the processes does: all of the job, or its share of the partitions that are named."""
    settings = job.worker_settings
    if settings.partitions is not None:
        mine = sorted(set(settings.partitions))[number :: job.settings.processes]
        settings = replace(settings, partitions=mine)
    return replace(job, number=number, worker_settings=settings)
