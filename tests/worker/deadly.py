"""A projection with events that end the process, and worker processes that are started again whenever they die."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import BaseModel

from everwhen import Event, Projection, Publisher, Topic, Worker, WorkerSettings
from everwhen.event import contracts
from tests.forkserver import PROCESSES

T0 = datetime(2026, 3, 1, tzinfo=UTC)
_PATIENCE = 60.0
_GROWTH = 2**28
"""Bytes that a process may take on top of what it has, where that is bounded."""


class Added(Event, type="deadly.added"):
    """Is harmless."""

    text: str


class Crashing(Event, type="deadly.crashing"):
    """Crashes in native code, unless the file that it names is there."""

    unless: str


class Swelling(Event, type="deadly.swelling"):
    """Makes a state that takes more memory than there is once it is written as JSON."""

    size: int


class Pieces(BaseModel):
    """What was added."""

    texts: list[str] = []


class Desk:
    """A log, a store and a projection in one directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        classes: list[type[Event]] = [Added, Crashing, Swelling]
        contracts.write(directory / "schemas", classes)
        self.topic = Topic("deadly", events=classes, schemas=directory / "schemas", partitions=2)
        self.log, self.store = f"sqlite:///{directory}/log.db", f"sqlite:///{directory}/store.db"
        self.pieces = Projection("pieces", version=1, topic=self.topic, state=Pieces)

        @self.pieces.on(Added)
        def added(state: Pieces | None, event: Added) -> Pieces:
            return Pieces(texts=[*(state.texts if state else []), event.text])

        @self.pieces.on(Crashing)
        def crashing(state: Pieces | None, event: Crashing) -> Pieces:
            if not os.path.exists(event.unless):  # noqa: PTH110 - no object of Python's is wanted here
                ctypes.string_at(0)
            return Pieces(texts=[*(state.texts if state else []), "crashed"])

        @self.pieces.on(Swelling)
        def swelling(state: Pieces | None, event: Swelling) -> Pieces:
            # One text a thousand times is small in Python.
            return Pieces.model_construct(texts=["x" * (event.size // 1_000)] * 1_000)

    def publish(self, *events: tuple[str, Event]) -> None:
        """Publish events of entities."""
        with Publisher(self.topic, self.log) as publisher:
            for hour, (entity, event) in enumerate(events):
                assert publisher.publish(entity, event, occurred_at=T0 + timedelta(hours=hour)).position

    def supervise(self, *, bounded: bool = False) -> list[int]:
        """Start a worker again until one comes to the end of the log; return the signals that the others died of."""
        died: list[int] = []
        while (code := self.start(bounded=bounded).wait()) != 0:
            assert code < 0, f"a worker ended with {code}"
            died.append(-code)
            assert len(died) < 40
        return died

    def start(self, *, bounded: bool = False) -> Process:
        """Start a worker process."""
        return Process(self, bounded=bounded)


class Process:
    """A worker process."""

    def __init__(self, desk: Desk, *, bounded: bool) -> None:
        self._process = PROCESSES.Process(target=_run, args=(desk.directory, bounded), daemon=True)
        self._process.start()

    def wait(self, seconds: float = _PATIENCE) -> int:
        """Wait for its end; return its exit code, below 0 for a signal."""
        self._process.join(seconds)
        assert self._process.exitcode is not None, "a worker has not ended"
        return self._process.exitcode

    def kill_after(self, seconds: float) -> int:
        """``kill -9`` it after a time, or let it end before."""
        self._process.join(seconds)
        self._process.kill()
        return self.wait()


def _run(directory: Path, bounded: bool) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    desk = Desk(directory)
    with Worker(
        desk.pieces, desk.log, desk.store, settings=WorkerSettings(partitions=(0, 1), idle_seconds=0.2)
    ) as worker:
        if bounded:
            used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (used + _GROWTH, used + _GROWTH))
        worker.run(until="end")
