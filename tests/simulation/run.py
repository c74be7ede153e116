"""One run: workers over a log and a database, disturbed by a plan, watched by a judge."""

from __future__ import annotations

import contextlib
import importlib
import logging
import pkgutil
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import cache, partial
from types import SimpleNamespace
from typing import Any, Protocol
from unittest import mock

from everwhen import worker as worker_package
from everwhen.errors import Fenced, LogUnavailable, StoreUnavailable
from everwhen.instants import Micros
from everwhen.ports.generations import Blueprint
from everwhen.ports.log import Chunk, TopicDescription
from everwhen.projection import Projection
from everwhen.sql import database as sql_database
from everwhen.worker import Worker, WorkerSettings, fetcher
from everwhen.worker import worker as worker_module
from tests.simulation.database import LOCK, Connection, Slot, SlotStore
from tests.simulation.faults import STALL, Plan, database_error
from tests.simulation.log import SimLog, Tape
from tests.simulation.scheduler import Condition, Killed, Process, Scheduler, Task

LIVES = 40
"""How often one place may start a worker anew in a run."""
_PASSING = (LogUnavailable, StoreUnavailable)
_AGAIN = 0.5
"""Seconds until whoever looks after the workers starts one anew."""


def silent() -> AbstractContextManager[object]:
    """Log nothing of what workers say of the faults: there are thousands."""
    return mock.patch.object(logging.getLogger("everwhen.worker"), "disabled", True)


class Judge(Protocol):
    """Looks at the store while the run goes on."""

    def committed(self, slot: Slot, now: Micros) -> None:
        """Look at what was committed just now; raise what is wrong with it."""
        ...

    def finished(self) -> bool:
        """Whether everything is projected."""
        ...


class Run:
    """Workers, one for each slot but the last, which is the thief's.

    :param blueprint: of the projection; to read its source code for each worker would take most of the time.
    :param start: microseconds since the epoch when the clock stands at 0.
    :param draw: decides what is left open: who goes on, for how long somebody waits.
    :param switches: how often the turn changes at a call, from 0 to 1.
    """

    def __init__(
        self,
        projection: Projection[Any],
        tape: Tape,
        slots: Sequence[Slot],
        settings: WorkerSettings,
        plan: Plan,
        judge: Judge,
        *,
        blueprint: Blueprint,
        start: Micros,
        draw: random.Random,
        most: int = 3,
        switches: float = 0.0,
    ) -> None:
        self.scheduler = Scheduler(
            (lambda count: draw.randrange(count)) if switches else (lambda _: 0), lambda: draw.random() < switches
        )
        self.log = SimLog(tape, self.scheduler, most)
        self.plan = plan
        self._projection = projection
        self._slots = slots
        self._settings = settings
        self._judge = judge
        self._blueprint = blueprint
        self._start = start
        self._draw = draw
        self._writer: Connection | None = None
        self._over = False
        self._thieves: list[Task] = []
        self._workers: dict[Slot, Worker] = {}
        self.lives = 0
        self.violation: BaseException | None = None

    def now(self) -> Micros:
        """The present instant: the clock port."""
        return self._start + round(self.scheduler.now * 1_000_000)

    def to_the_end(self) -> None:
        """Let the workers project everything, whatever goes wrong.

        :raises BaseException: what is wrong.
        """
        for slot in self._slots:
            slot.disturber, slot.claim, slot.fenced = self, None, 0
        tasks = [self.scheduler.spawn(Process("keeper"), partial(self._keep, slot)) for slot in self._slots[:-1]]
        tasks.append(self.scheduler.spawn(Process("watch"), self._watch))
        try:
            with self._simulated():
                self.scheduler.run()
        finally:
            for slot in self._slots:
                slot.disturber = None
        for error in (self.violation, *(task.error for task in tasks + self._thieves)):
            if error is not None and not isinstance(error, StoreUnavailable):
                raise error

    # -- the tasks -----------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        self.scheduler.wait(lambda: self.violation is not None or self._judge.finished())
        self._over = True
        for worker in self._workers.values():
            worker.stop()

    def _keep(self, slot: Slot) -> None:
        """Start a worker, and another one when it is gone, as an operator's supervisor does."""
        task = self.scheduler.current
        for life in range(LIVES):
            if self._over:
                return
            self.lives += 1
            task.process = Process(f"{slot.name}.{life}")
            worker = Worker(
                self._projection,
                _Log(self, self.log),
                SlotStore(slot),
                self._settings,
                clock=self,
            )
            self._workers[slot] = worker
            try:
                with worker:
                    worker.run()
            except Killed:
                if self.scheduler.failed:
                    raise
            except _PASSING:
                pass
            except Fenced:
                if self._settings.partitions is None:
                    raise
            except BaseException as error:  # noqa: BLE001 - all others are wrong
                self.violation = self.violation or error
            finally:
                task.process.kill()  # a process that ends takes its threads with it
            task.process = Process("keeper")
            self.scheduler.wait(lambda: self._over, _AGAIN)
        assert self._over, f"{LIVES} workers were not enough"

    def _steal(self) -> None:
        """Claim all partitions, as a worker does that believes they are its own."""
        store = self._slots[-1].store
        generation = store.prepare(self._blueprint)
        name = self._projection.topic.name
        description: TopicDescription = self.log.describe(name)
        store.claim(generation, sorted(self.log.tape.partitions), description)

    # -- calls ---------------------------------------------------------------------------------------------------

    def around(self, connection: Connection, statement: str, call: Callable[[], Any]) -> Any:
        """Let a statement take place, or not."""
        disturbed = connection.owner is not self._slots[-1]
        kind = self.reach("database", statement) if disturbed else None
        if kind in ("error", "conflict"):
            raise database_error(kind)
        if statement.startswith("BEGIN IMMEDIATE"):
            self._lock(connection)
        result = call()
        if statement == "COMMIT" and self._writer is connection:
            self._writer = None
            self._look(connection.owner)
        if kind == "lost":
            raise database_error(kind)
        return result

    def rolled_back(self, connection: Connection) -> None:
        """Learn that a transaction ended."""
        if self._writer is connection:
            connection.owner.claim = None
            self._writer = None

    def reach(self, port: Any, label: str) -> str | None:
        """Pass a call: another task may go on here, and the process may die or stand still."""
        self.scheduler.pause()
        process = self.scheduler.current.process
        kind = self.plan.reach(port, f"{process.name} {label}")
        if kind == "kill":
            process.kill()
            raise Killed
        if kind == "stall":
            process.stalled_until = self.scheduler.now + STALL
            self.scheduler.pause()
        if kind == "steal":
            thief = self.scheduler.spawn(Process("thief"), self._steal)
            self.scheduler.wait(lambda: thief.finished or self._writer is not None)
            self._thieves.append(thief)
        if kind == "expire":
            for group in self.log.groups.values():
                for member in [m for m in group.members if m.process is process]:
                    group.put_out(member)
        return kind

    def _lock(self, connection: Connection) -> None:
        if not self.scheduler.wait(lambda: self._writer is None, LOCK):
            raise database_error("busy")
        self._writer = connection

    def _look(self, slot: Slot) -> None:
        if self.violation is not None:
            return
        try:
            self._judge.committed(slot, self.now())
        except AssertionError as error:
            self.violation = error
        slot.claim = None

    # -- what the product waits with -----------------------------------------------------------------------------

    @contextlib.contextmanager
    def _simulated(self) -> Iterator[None]:
        """Put the scheduler where the worker's modules have threads, time and chance."""
        threads: dict[int, Task] = {}

        def start(thread: threading.Thread) -> None:
            threads[id(thread)] = self.scheduler.spawn(self.scheduler.current.process, thread.run)

        def join(thread: threading.Thread, timeout: float | None = None) -> None:
            task = threads[id(thread)]
            self.scheduler.wait(lambda: task.finished, timeout)

        def known(_: Projection[Any]) -> Blueprint:
            return self._blueprint

        names = {
            "time": _instead(time, monotonic=lambda: self.scheduler.now, sleep=self._sleep),
            "threading": _instead(threading, Condition=lambda: Condition(self.scheduler)),
            "random": self._draw,
        }
        with contextlib.ExitStack() as stack:
            stack.enter_context(silent())
            for module in (*_modules(), sql_database):
                for name, instead in names.items():
                    if hasattr(module, name):
                        stack.enter_context(mock.patch.object(module, name, instead))
            stack.enter_context(mock.patch.object(worker_module, "blueprint", known))
            stack.enter_context(mock.patch.object(fetcher.Fetcher, "start", start))
            stack.enter_context(mock.patch.object(fetcher.Fetcher, "join", join))
            yield

    def _sleep(self, seconds: float) -> None:
        self.scheduler.wait(lambda: False, seconds)


class _Log:
    """The log as a worker gets it: every call is counted, and can fail."""

    def __init__(self, run: Run, log: SimLog) -> None:
        self._run = run
        self._log = log

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    def describe(self, topic: str) -> Any:
        return _call(self._run, "describe", lambda: self._log.describe(topic))

    def consumer(self, *arguments: Any, **options: Any) -> Any:
        opened = _call(self._run, "consumer", lambda: self._log.consumer(*arguments, **options))
        return _Consumer(self._run, opened)

    def close(self) -> None:
        self._run.scheduler.pause()


class _Consumer:
    def __init__(self, run: Run, consumer: Any) -> None:
        self._run = run
        self._consumer = consumer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._consumer, name)

    def poll(self, max_records: int, timeout: float) -> Chunk:
        found: Chunk = _call(self._run, "poll", lambda: self._consumer.poll(max_records, timeout))
        return found

    def ends(self, partitions: Sequence[int], *, pending: bool = False) -> Any:
        return _call(self._run, "ends", lambda: self._consumer.ends(partitions, pending=pending))

    def close(self) -> None:
        self._run.scheduler.pause()
        self._consumer.close()


def _call(run: Run, label: str, call: Callable[[], Any]) -> Any:
    kind = run.reach("log", label)
    if kind == "error":
        raise LogUnavailable(f"simulated: {kind}")
    result = call()
    if kind == "lost":
        raise LogUnavailable(f"simulated: {kind}")
    return result


@cache
def _modules() -> list[Any]:
    names = [each.name for each in pkgutil.iter_modules(worker_package.__path__)]
    return [importlib.import_module(f"everwhen.worker.{name}") for name in names]


def _instead(module: Any, **replaced: Any) -> SimpleNamespace:
    return SimpleNamespace(**{**vars(module), **replaced})
