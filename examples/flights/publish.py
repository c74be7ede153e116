"""``python -m examples.flights.publish``: the year of flights into a log, for workers that run elsewhere."""

from __future__ import annotations

from contextlib import closing

import click

from everwhen import EverwhenError
from everwhen.connect import open_log
from examples.flights import processes
from examples.flights.data import EVENTS
from examples.flights.model import flights

_LINE_EVERY = 100_000
"""Events."""


@click.command()
@click.option("--log", required=True, envvar="EVERWHEN_LOG", help="Where the events go, such as kafka://HOST:PORT.")
def main(log: str) -> None:
    """Create the topic if it is not there, and publish what happened in 2013.

    A repetition publishes the same event ids, so its events are duplicates and change nothing.
    """

    def show(report: processes.Report) -> None:
        if report.ends or report.events % _LINE_EVERY == 0:
            click.echo(f"{report.events} of {EVENTS} events published")

    try:
        with closing(open_log(log)) as opened:
            opened.create_topic(flights.name, flights.partitions)
        processes.publish(show, log)
    except EverwhenError as error:
        raise click.ClickException(str(error)) from None


if __name__ == "__main__":
    main(prog_name="python -m examples.flights.publish")
