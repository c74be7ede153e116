"""Processes that never outlive their owner, and the loopback ports and waiting that go with servers."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from everwhen.testing.parts.errors import PartsError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

HOST = "127.0.0.1"
POLL_SECONDS = 0.05

# Below every system's range for outgoing connections, so that none of them takes the port of a server that is down
# for a moment.
_PORTS = range(15_000, 32_000)

_GUARD = Path(__file__).with_name("guard.py")


class Server(Protocol):
    """What `wait_until` needs to know about a server that is starting."""

    @property
    def running(self) -> bool:
        """Whether the server has not ended yet."""

    def last_words(self) -> str:
        """The end of its log."""


class GuardedProcess:
    """A server, or a tool that works for one, under a guard (see ``guard.py``), writing its output to ``log``.

    ``directory`` is its working directory, and is removed if we die without having ended it.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        directory: Path,
        log: Path,
        user: str | None = None,
        last_signal: signal.Signals = signal.SIGKILL,
        grace: float = 5.0,
    ) -> None:
        order = {
            "command": list(command),
            "directory": str(directory),
            "user": user,
            "last_signal": int(last_signal),
            "grace": grace,
        }
        self._log = log
        with log.open("ab") as output:
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_GUARD), json.dumps(order)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                bufsize=0,
                start_new_session=True,  # Ctrl-C in a terminal is for the owner alone
            )
        assert self._guard.stdin is not None
        self._orders = self._guard.stdin

    @property
    def running(self) -> bool:
        """Whether it has not ended yet; a process that was paused is running."""
        return self._guard.poll() is None

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process; nothing happens if it has ended."""
        if self.running:
            with contextlib.suppress(BrokenPipeError):  # it ended in this moment
                self._orders.write(bytes([number]))

    def end(self, number: signal.Signals, seconds: float) -> None:
        """Send a signal that ends the process and wait for that; after ``seconds``, kill it."""
        self.send(number)
        self.finish(seconds)

    def finish(self, seconds: float) -> int:
        """Wait for the end of the process, kill it after ``seconds``; return its exit code."""
        try:
            self._guard.wait(seconds)
        except subprocess.TimeoutExpired:
            self.send(signal.SIGKILL)
            self._guard.wait()
        self._orders.close()
        return self._guard.returncode

    def last_words(self) -> str:
        """The end of the log, for an error message."""
        return self._log.read_text(errors="replace")[-2000:].strip()


def free_ports(count: int) -> list[int]:
    """Ports on which nothing listens on loopback at this moment."""
    found: list[int] = []
    for port in random.sample(_PORTS, len(_PORTS)):
        if len(found) == count:
            break
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
        found.append(port)
    return found


def wait_until(ready: Callable[[], bool], *, what: str, server: Server, seconds: float) -> None:
    """Ask ``ready`` again and again until it says yes.

    Raises `PartsError` with the end of the server's log when the server ends or the time is up.
    """
    deadline = time.monotonic() + seconds
    while not ready():
        if not server.running:
            raise PartsError(f"{what} ended while it was starting; the end of its log:\n{server.last_words()}")
        if time.monotonic() > deadline:
            late = f"{what} did not answer within {seconds:.0f} s"
            raise PartsError(f"{late}; the end of its log:\n{server.last_words()}")
        time.sleep(POLL_SECONDS)
