"""``everwhen worker``: a projection worker as a process."""

from __future__ import annotations

import gc
import logging
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import click

from everwhen.cli import logs, progress
from everwhen.cli.exits import exit_of
from everwhen.cli.options import kafka_option, log_option, log_target, option, store_option
from everwhen.cli.targets import load_projection, numbered
from everwhen.connect import Worker
from everwhen.errors import EverwhenError
from everwhen.projection import Projection
from everwhen.worker import Observer

_log = logging.getLogger("everwhen.worker")


@click.command()
@click.argument("target", metavar="MODULE:PROJECTION")
@log_option
@kafka_option
@store_option
@option("--group", metavar="NAME", help="The consumer group; by default one for each generation of the projection.")
@option(
    "--partition",
    "partitions",
    metavar="N",
    type=click.IntRange(min=0),
    multiple=True,
    help="Read exactly this partition instead of sharing the topic with the group; give one option for each. The "
    "variable takes several, separated by spaces.",
)
@option("--until-end", is_flag=True, help="Stop once everything is projected that stood in the log at the start.")
@option(
    "--log-format",
    metavar="FORMAT",
    type=click.Choice(logs.FORMATS),
    default=logs.FORMATS[0],
    help="How to log to standard error: text, or json with time, level, logger and message in each line.",
)
@option(
    "--http",
    metavar="HOST:PORT",
    help="Serve /metrics for Prometheus, /livez and /readyz there; only a port is one of the loopback interface. Needs "
    "everwhen[metrics]. Whoever reaches the port can read them.",
)
@option(
    "--ready-lag",
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    help="/readyz is 503 while a partition is further behind than this; any time if left out.",
)
@option(
    "--live-fetch",
    metavar="SECONDS",
    type=click.FloatRange(min=1),
    default=120.0,
    help="/livez is 503 when the thread that fetches took no turn for longer: 120 by default. It takes ten a second, "
    "but may wait for a database that says nothing.",
)
@option(
    "--live-loop",
    metavar="SECONDS",
    type=click.FloatRange(min=1),
    default=600.0,
    help="/livez is 503 when the thread that applies took no turn for longer: 600 by default. It takes none inside a "
    "batch.",
)
@click.pass_context
def worker(
    context: click.Context,
    target: str,
    *,
    log: str | None,
    kafka: tuple[str, ...],
    store: str | None,
    group: str | None,
    partitions: tuple[int, ...],
    until_end: bool,
    log_format: str,
    http: str | None,
    ready_lag: float | None,
    live_fetch: float,
    live_loop: float,
) -> None:
    """Fold a topic's events into a store, until stopped.

    On SIGTERM, and on the first Ctrl-C, it finishes the batch in hand and exits with 0; a second Ctrl-C breaks the
    batch off, and nothing of it is kept. As many workers as the topic has partitions can share the work.

    A record that cannot be applied is kept aside and parks its entity: see everwhen quarantine. When too many cannot,
    their partition stops and the others go on; the exit code tells it at the end.

    \b
    Example:
      everwhen worker bank:account --log sqlite:///log.db --store sqlite:///bank.db --until-end
    """
    as_json = log_format == "json"
    with_bar = until_end and not as_json and sys.stderr.isatty()
    logs.show_worker(as_json=as_json, over_bar=with_bar, traces=context.find_root().params["traceback"])
    # A batch makes thousands of objects that live until its commit: by default the collector of cycles walks over them
    # again and again, for a quarter of a busy worker's time. This process is ours, so its settings are.
    gc.set_threshold(50_000, 20, 100)
    try:
        code, generation = numbered(target)
        projection = load_projection(code)
        with (
            _watched(projection, http, ready_lag, live_fetch, live_loop) as observer,
            progress.bar() if with_bar else progress.lines() as show,
            Worker(
                projection,
                log_target(log, kafka),
                store,
                group=group,
                partitions=partitions or None,
                generation=generation,
                progress=show,
                observer=observer,
            ) as running,
            _stopped_by_signals(running),
        ):
            done = running.run(until="end" if until_end else None)
        if with_bar:
            click.echo(progress.describe(done), err=True)
        else:
            _log.info("worker.done %s", progress.describe(done))
    except EverwhenError as error:
        if not as_json:
            raise
        trace = error if context.find_root().params["traceback"] else None
        _log.error("worker.failed %s: %s", type(error).__name__, error, exc_info=trace)
        context.exit(exit_of(error))


@contextmanager
def _watched(
    projection: Projection[Any], address: str | None, lag: float | None, fetch: float, loop: float
) -> Iterator[Observer | None]:
    """Serve over HTTP what is observed, if an address is given."""
    if address is None:
        yield None
        return
    from everwhen.cli.http import serving
    from everwhen.metrics import Limits, Metrics

    metrics = Metrics(projection.name, projection.topic.name)
    with serving(address, metrics, Limits(fetch=fetch, loop=loop, lag=lag)):
        yield metrics


@contextmanager
def _stopped_by_signals(running: Worker) -> Iterator[None]:
    def stop(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        running.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
