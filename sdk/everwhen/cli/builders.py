"""Processes that build a generation together, each from partitions of its own."""

from __future__ import annotations

import logging
import multiprocessing
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from typing import Any, Final, NamedTuple, TypeAlias

from everwhen.cli.collector import collect_rarely
from everwhen.cli.exits import Exit, exit_of
from everwhen.cli.logs import about, show_worker
from everwhen.cli.signals import Stoppable, stopped_by_signals
from everwhen.cli.targets import load_projection
from everwhen.connect import LogTarget, Worker
from everwhen.errors import EverwhenError
from everwhen.worker import Progress, WorkerSettings

_LOOK_SECONDS: Final = 0.5
_END_SECONDS: Final = 30.0
_INTERRUPTED: Final = "the rebuild was interrupted; the same command goes on with it"
_PROCESSES = multiprocessing.get_context("spawn")  # a fork would share connections and threads that are half there


@dataclass(frozen=True, slots=True)
class Task:
    """What one process builds."""

    target: str
    """MODULE:PROJECTION."""
    log: LogTarget | None
    store: str | None
    registry: str | None
    generation: int
    partitions: Sequence[int]
    settings: WorkerSettings
    as_json: bool
    quiet: bool
    """A bar is on the screen, which says enough."""


class Ended(NamedTuple):
    """Why a process ended before it was at its end."""

    message: str
    code: int


_Said: TypeAlias = Progress | Ended | None
"""What a process tells: how far it is; at last why it ended, or ``None`` when it is done."""


class Builders:
    """The processes of one rebuild. Use it in a ``with`` block: at its end none is left.

    :param tasks: one for each.
    """

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._tasks = tasks
        self._running: dict[Connection, Any] = {}
        self.progress: dict[int, Progress] = {}
        """How far each is, by the number of its task."""
        self._stopping = False

    def __enter__(self) -> Builders:
        for number, task in enumerate(self._tasks):
            ours, theirs = _PROCESSES.Pipe(duplex=False)
            process = _PROCESSES.Process(target=_build, args=(task, theirs), name=f"builder-{number}", daemon=True)
            process.start()
            theirs.close()  # so that the end of the process is the end of the pipe
            self._running[ours] = process
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        for process in self._running.values():
            process.join(_END_SECONDS)
            if process.is_alive():
                process.kill()
                process.join()

    def stop(self) -> None:
        """Ask all to finish their batches and end. Safe in a signal handler."""
        self._stopping = True
        for process in self._running.values():
            if process.is_alive():
                process.terminate()

    def run(self) -> Iterator[Ended | None]:
        """Yield again and again while they build, and why one ended early; at the end all are done or have ended."""
        open_ones = {connection: number for number, connection in enumerate(self._running)}
        while open_ones:
            ready = wait(list(open_ones), _LOOK_SECONDS)
            for connection in ready:
                assert isinstance(connection, Connection)
                said = self._hear(connection)
                if isinstance(said, Progress):
                    self.progress[open_ones[connection]] = said
                    continue
                del open_ones[connection]
                if isinstance(said, Ended):
                    yield said
            yield None

    def _hear(self, connection: Connection) -> _Said:
        try:
            said: _Said = connection.recv()
        except EOFError:
            process = self._running[connection]
            process.join()
            return Ended(
                f"a building process ended with exit code {process.exitcode}; the same command goes on with what "
                "was committed",
                Exit.PROCESS_DIED,
            )
        return said


def _build(task: Task, parent: Connection) -> None:
    """Build the partitions of a task: the body of a process."""
    show_worker(as_json=task.as_json, over_bar=task.quiet)
    collect_rarely()
    try:
        projection = load_projection(task.target)
        with (
            about(projection=projection.name),
            Worker(
                projection,
                task.log,
                task.store,
                partitions=task.partitions,
                generation=task.generation,
                settings=task.settings,
                registry=task.registry,
                progress=_telling(parent),
            ) as worker,
        ):
            stopping = Stopping(worker)
            _end_with_the_parent(stopping)
            with stopped_by_signals(stopping):
                worker.run(until="end")
        said: _Said = Ended(_INTERRUPTED, Exit.INTERRUPTED) if stopping.asked else None
    except EverwhenError as error:
        said = Ended(str(error), exit_of(error))
    with suppress(OSError):  # it may be gone
        parent.send(said)


class Stopping:
    """Asks a worker to stop, and remembers that it did: its run then ends like one that was done.

    :param worker: the worker.
    """

    def __init__(self, worker: Stoppable) -> None:
        self._worker = worker
        self.asked = False

    def stop(self) -> None:
        """Ask. Safe in a signal handler and from any thread."""
        self.asked = True
        self._worker.stop()


def _telling(parent: Connection) -> Callable[[Progress], None]:
    before = 0

    def tell(progress: Progress) -> None:
        nonlocal before
        if progress.records != before:
            before = progress.records
            with suppress(OSError):  # it is gone: then this is stopped too
                parent.send(progress)

    return tell


def _end_with_the_parent(worker: Stopping) -> None:
    """Stop the worker when the process that started this one is gone, however it went."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel])
        logging.getLogger("everwhen.worker").warning("builder.orphaned the process that started this one is gone")
        worker.stop()

    threading.Thread(target=watch, daemon=True).start()


def tasks_for(task: Task, partitions: Sequence[int], processes: int) -> list[Task]:
    """Divide partitions among processes, as many as there is work for."""
    return [
        replace(task, partitions=share)
        for number in range(min(processes, len(partitions)))
        if (share := partitions[number::processes])
    ]


def totals(progress: Mapping[int, Progress], tasks: int) -> tuple[int, int | None]:
    """Return how many records were read and how many there are; ``None`` until all processes know."""
    expected = [each.expected for each in progress.values()]
    known = [each for each in expected if each is not None]
    return sum(each.records for each in progress.values()), sum(known) if len(known) == tasks else None
