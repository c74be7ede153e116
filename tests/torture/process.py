"""A worker process as the harness sees it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from typing import Any

from tests.torture import worker
from tests.torture.worker import Task

PATIENCE = 40.0
_GLANCE = 0.02
_context = multiprocessing.get_context("forkserver")


def preload() -> None:
    """Have workers forked off a process that has imported everything: they begin in a twentieth of the time."""
    _context.set_forkserver_preload(
        ["tests.torture.worker", "everwhen.sql", "everwhen.kafka", "everwhen.local", "everwhen.event.codec", "psycopg"]
    )


class Process:
    """One worker process, and what it has said."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.said: list[tuple[Any, ...]] = []
        self.begun = time.monotonic()
        self._times: list[float] = []
        self._ours, theirs = multiprocessing.Pipe()
        self._process = _context.Process(target=worker.run, args=(task, theirs), daemon=True)
        self._process.start()
        theirs.close()

    def until(self, what: str, seconds: float = PATIENCE, number: int = 1) -> bool:
        """Wait until it has said something so many times; false if it ended, or the time was up."""
        deadline = time.monotonic() + seconds
        while not self.has_said(what, number):
            left = deadline - time.monotonic()
            if left <= 0 or not self._listen(left):
                return self.has_said(what, number)
        return True

    def until_true(self, condition: Callable[[], bool], seconds: float = PATIENCE) -> bool:
        """Wait until a condition holds while it works; false if it ended, or the time was up."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline or (not self._listen(_GLANCE) and self._process.exitcode is not None):
                return condition()
        return True

    def when(self, what: str, after: float = 0.0) -> float | None:
        """Return when it first said something, not before a moment; ``None`` if it did not."""
        for time_said, each in zip(self._times, self.said, strict=False):
            if each[0] == what and time_said >= after:
                return time_said
        return None

    def has_said(self, what: str, number: int = 1) -> bool:
        """Whether it has said something so many times."""
        return len(self.heard(what)) >= number

    def heard(self, what: str) -> list[tuple[Any, ...]]:
        """Return everything of one kind that it has said."""
        return [each for each in self.said if each[0] == what]

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens if it has ended."""
        if self._process.pid is not None and self._process.exitcode is None:
            try:
                os.kill(self._process.pid, number)
            except ProcessLookupError:
                return

    def release(self) -> None:
        """Let it go on from the point where it stands."""
        try:
            self._ours.send("go")
        except OSError:
            return

    def kill(self) -> None:
        """``kill -9``, and hear what it said before."""
        self.signal(signal.SIGKILL)
        self.join()

    def stop(self) -> None:
        """Ask it to end."""
        self.signal(signal.SIGTERM)
        self.join()

    def join(self) -> int | None:
        """Wait for its end; kill it if it does not come."""
        self._process.join(PATIENCE)
        if self._process.exitcode is None:
            self._times.append(time.monotonic())
            self.said.append(("hung",))
            self._process.kill()
            self._process.join()
        while self._listen(0):
            pass
        self._ours.close()
        return self._process.exitcode

    @property
    def failure(self) -> str | None:
        """The name of the error that it ended with."""
        return next((str(each[1]) for each in self.said if each[0] in ("failed", "hung") and len(each) > 1), None)

    def _listen(self, seconds: float) -> bool:
        """Hear one thing; false if there is nothing any more."""
        connection: Connection[Any, Any] = self._ours
        if connection.closed:
            return False
        ready = wait([connection, self._process.sentinel], seconds)
        if connection not in ready:
            return False
        try:
            heard = connection.recv()
            self._times.append(time.monotonic())
            self.said.append(heard)
        except (EOFError, OSError):
            return False
        return True
