"""``python -m examples.orders``: the service, its relay and its worker, on files of this machine."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import click

from everwhen import EverwhenError
from examples.orders.processes import ALL, Places, Processes

_LOOK_SECONDS = 0.5


@click.command()
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".orders"),
    show_default=True,
    help="Where the three files are; what they hold stays.",
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Where to listen; a free port if left out.")
def main(directory: Path, port: int) -> None:
    """Take orders until Ctrl-C, or until one of the three processes ends."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    directory.mkdir(parents=True, exist_ok=True)
    files = f"sqlite:///{directory.resolve()}"
    places = Places(database=f"{files}/service.db", log=f"{files}/log.db", store=f"{files}/store.db")
    try:
        places.prepare()
        with Processes(places, port) as processes:
            processes.start(*ALL)
            click.echo(f"orders at {processes.url}/orders, described at {processes.url}/docs; Ctrl-C ends it")
            _watch(processes)
    except EverwhenError as error:
        raise click.ClickException(str(error)) from None
    except KeyboardInterrupt:
        click.echo("ended")


def _watch(processes: Processes) -> None:
    while not (ended := processes.ended()):
        time.sleep(_LOOK_SECONDS)
    said = ", ".join(f"{name} (exit code {code})" for name, code in ended.items())
    raise click.ClickException(f"ended by itself, and the others with it: {said}")


if __name__ == "__main__":
    main(prog_name="python -m examples.orders")
