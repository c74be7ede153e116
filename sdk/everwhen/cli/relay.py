"""``everwhen relay``: takes events from an outbox to the log, as a daemon."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

from everwhen.cli import logs
from everwhen.cli.daemon import exit_code
from everwhen.cli.exits import Exit
from everwhen.cli.options import kafka_option, log_option, log_target, option
from everwhen.cli.outbox import outbox_option
from everwhen.cli.signals import stopped_by_signals
from everwhen.cli.targets import load_topic
from everwhen.connect import Relay
from everwhen.outbox import RelayObserver, RelaySettings

_SET = RelaySettings()


@click.command()
@click.argument("target", metavar="MODULE:TOPIC")
@outbox_option
@log_option
@kafka_option
@option("--until-end", is_flag=True, help="Stop once nothing waits in the outbox.")
@option(
    "--batch-events",
    metavar="N",
    type=click.IntRange(min=1),
    default=_SET.batch_events,
    show_default=True,
    help="About how many events are read, sent and noted together.",
)
@option(
    "--poll-seconds",
    metavar="SECONDS",
    type=click.FloatRange(min=0, min_open=True),
    default=_SET.poll_seconds,
    show_default=True,
    help="How long a relay without work waits before it looks again, where NOTIFY does not wake it.",
)
@option(
    "--lease-seconds",
    metavar="SECONDS",
    type=click.FloatRange(min=0, min_open=True),
    default=_SET.lease_seconds,
    show_default=True,
    help="For how long a relay may be silent before others take its part of the key space.",
)
@option(
    "--keep-seconds",
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    default=_SET.keep_seconds,
    show_default=True,
    help="How long a row stays once its event was sent.",
)
@option("--http", metavar="HOST:PORT", help="Serve /metrics for Prometheus, /livez and /readyz there.")
@option("--ready-lag", metavar="SECONDS", type=float, help="/readyz is 503 while an event has waited for longer.")
@option("--log-format", type=click.Choice(logs.FORMATS), help="How to log; text on a terminal, json elsewhere.")
@click.pass_context
def relay(
    context: click.Context,
    /,
    target: str,
    *,
    outbox: str | None,
    log: str | None,
    kafka: tuple[str, ...],
    until_end: bool,
    batch_events: int,
    poll_seconds: float,
    lease_seconds: float,
    keep_seconds: float,
    http: str | None,
    ready_lag: float | None,
    log_format: str | None,
) -> None:
    """Take the events of a topic from an outbox to the log, until stopped.

    The events of an entity keep their order, also with several relays at once, which share the work. On SIGTERM, and on
    the first Ctrl-C, it finishes the batch in hand and exits with 0. While the log or the database is away it waits.

    \b
    Example:
      everwhen relay bank:accounts --outbox sqlite:///service.db --log sqlite:///log.db --until-end
    """
    as_json, traces = logs.is_json(log_format), context.find_root().params["traceback"]
    logs.show_worker(as_json=as_json, over_bar=False, traces=traces)
    settings = RelaySettings(
        batch_events=batch_events, poll_seconds=poll_seconds, lease_seconds=lease_seconds, keep_seconds=keep_seconds
    )

    def run() -> int:
        topic = load_topic(target)
        with (
            _observed(http, topic.name, ready_lag) as observer,
            Relay(topic, outbox, log_target(log, kafka), settings=settings, observer=observer) as running,
            stopped_by_signals(running),
        ):
            running.run(until="end" if until_end else None)
        return Exit.DONE

    context.exit(exit_code("relay", run, as_json=as_json, traces=traces))


@contextmanager
def _observed(http: str | None, topic: str, lag: float | None) -> Iterator[RelayObserver | None]:
    """Serve over HTTP what is observed, if an address is given; yield who is to be told."""
    if http is None:
        yield None
        return
    from everwhen.cli.http import serving
    from everwhen.metrics import Limits, RelayMetrics

    metrics = RelayMetrics(topic)
    with serving(http, metrics, Limits(lag=lag)):
        yield metrics
