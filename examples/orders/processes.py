"""The three processes of the example, on a log and databases that are given to them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Final, Self

from everwhen.connect import open_log
from examples.orders import tables
from examples.orders.model import orders

SERVICE: Final = "service"
RELAY: Final = "relay"
WORKER: Final = "worker"
ALL: Final = (SERVICE, RELAY, WORKER)

_EVERWHEN: Final = (sys.executable, "-m", "everwhen.cli")
_HOST: Final = "127.0.0.1"
_END_SECONDS: Final = 20
"""For how long a process may take to end, before it is killed."""


@dataclass(frozen=True)
class Places:
    """Where everything is: URLs, as the commands of ``everwhen`` take them."""

    database: str
    """The service's own."""
    log: str
    store: str
    """The projection's."""

    def prepare(self) -> None:
        """Make the tables and the topic that are missing."""
        engine = tables.connect(self.database)
        tables.create(engine)
        engine.dispose()
        with closing(open_log(self.log)) as log:
            log.create_topic(orders.name, orders.partitions)


class Processes:
    """The service, a relay and a worker; leaving the ``with`` block ends those that were started.

    :param places: where they find everything; :meth:`Places.prepare` comes first.
    :param port: where the service is to listen on this machine; a free one if it is 0.
    """

    def __init__(self, places: Places, port: int = 0) -> None:
        self.port = port or _free_port()
        self._commands = {SERVICE: _service(self.port), RELAY: _relay(places), WORKER: _worker(places)}
        self._environment = {**os.environ, "EVERWHEN_OUTBOX": places.database, "EVERWHEN_STORE": places.store}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running.values():
            process.terminate()
        for process in self._running.values():
            _await_end(process)

    @property
    def url(self) -> str:
        """Where the service is."""
        return f"http://{_HOST}:{self.port}"

    def start(self, *names: str) -> None:
        """Start some that are not running."""
        for name in names:
            # A group of its own: Ctrl-C on the terminal is for the one who ends the others.
            started = subprocess.Popen(self._commands[name], env=self._environment, process_group=0)  # noqa: S603
            self._running[name] = started

    def kill(self, *names: str) -> None:
        """End some as a power cut would."""
        for name in names:
            self._running[name].kill()
            self._running[name].wait()

    def ended(self) -> dict[str, int]:
        """Return which are not running any more, and with which exit code; below 0 for the signal that ended it."""
        codes = ((name, process.poll()) for name, process in self._running.items())
        return {name: code for name, code in codes if code is not None}


def _service(port: int) -> Sequence[str]:
    serve = (sys.executable, "-m", "uvicorn", "--factory", "examples.orders.app:create", "--log-level", "warning")
    return (*serve, "--host", _HOST, "--port", str(port))


def _relay(places: Places) -> Sequence[str]:
    relay = (*_EVERWHEN, "relay", "examples.orders.model:orders", "--outbox", places.database, "--log", places.log)
    # Nobody wakes a relay on SQLite. And the one that comes after a killed one has to wait until that is found silent.
    return (*relay, "--poll-seconds", "0.05", "--lease-seconds", "2")


def _worker(places: Places) -> Sequence[str]:
    worker = (*_EVERWHEN, "worker", "examples.orders.model:order", "--log", places.log, "--store", places.store)
    # It is the only one. So it need not wait until a group of Kafka's has missed the one before it.
    return (*worker, *(word for number in range(orders.partitions) for word in ("--partition", str(number))))


def _await_end(process: subprocess.Popen[bytes]) -> None:
    with suppress(subprocess.TimeoutExpired):
        process.wait(_END_SECONDS)
        return
    process.kill()
    process.wait()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind((_HOST, 0))
        port: int = free.getsockname()[1]
        return port
