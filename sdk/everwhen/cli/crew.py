"""The workers of one process: one for each projection."""

from __future__ import annotations

import contextvars
import logging
import os
import queue
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from everwhen.cli import logs, progress
from everwhen.cli.config_settings import DaemonSettings
from everwhen.cli.exits import Exit, exit_of
from everwhen.cli.signals import stopped_by_signals
from everwhen.cli.targets import load_projection, numbered
from everwhen.connect import LogTarget, Worker
from everwhen.errors import ArgumentError, EverwhenError, SettingsError
from everwhen.projection import Projection
from everwhen.worker import Observer, WorkerSettings

_log = logging.getLogger("everwhen.worker")


@dataclass(frozen=True, slots=True)
class Job:
    """What a process is to do.

    :ivar targets: MODULE:PROJECTION of each worker.
    :ivar number: which of the machine's processes this is, from 0 on.
    """

    targets: Sequence[str]
    log: LogTarget
    settings: DaemonSettings
    worker_settings: WorkerSettings
    number: int = 0

    @property
    def until(self) -> Literal["end"] | None:
        """Until when to run."""
        return "end" if self.settings.until_end else None


class Part(NamedTuple):
    """What one worker is to do: the projection, and which generation of it if that was said."""

    projection: Projection[Any]
    generation: int | None


def load(targets: Sequence[str], settings: WorkerSettings) -> list[Part]:
    """Import projections that can be worked on together.

    :raises ArgumentError: if there is no such projection, or the same one twice.
    :raises SettingsError: if several were to share a group.
    """
    parts: dict[str, Part] = {}
    for target in targets:
        code, generation = numbered(target)
        projection = load_projection(code)
        if projection.name in parts:
            raise ArgumentError(f"{target}: the projection {projection.name!r} is named twice; name each once")
        parts[projection.name] = Part(projection, generation)
    if len(parts) > 1 and settings.group is not None:
        raise SettingsError(
            f"several projections cannot share the group {settings.group!r}, since each would get a part of the "
            "records only; leave the group out, then each has its own"
        )
    return list(parts.values())


def work(job: Job, *, with_bar: bool) -> int:
    """Run the workers until stopped, or to the end of the log; return the exit code.

    :param with_bar: show how far it is on the terminal; for one projection only.
    :raises EverwhenError: what ends the worker of a single projection.
    """
    parts = load(job.targets, job.worker_settings)
    if len(parts) == 1:
        with logs.about(projection=parts[0].projection.name):
            return _work_alone(job, parts[0], with_bar=with_bar)
    return _work_together(job, parts)


def _work_alone(job: Job, part: Part, *, with_bar: bool) -> int:
    with (
        _observed([part], job) as observers,
        progress.bar() if with_bar else progress.lines() as show,
        _worker(job, part, show, observers) as running,
        stopped_by_signals(running),
    ):
        done = running.run(until=job.until)
    progress.conclude(done, with_bar=with_bar)
    return Exit.DONE


class _Ended(NamedTuple):
    name: str
    error: BaseException | None


def _work_together(job: Job, parts: Sequence[Part]) -> int:
    """Run a thread for each; when one fails the others finish their batches, for a supervisor starts all again."""
    ended: queue.SimpleQueue[_Ended] = queue.SimpleQueue()
    with ExitStack() as stack:
        observers = stack.enter_context(_observed(parts, job))
        workers = {
            each.projection.name: stack.enter_context(
                _worker(job, each, stack.enter_context(progress.lines()), observers)
            )
            for each in parts
        }
        stack.enter_context(stopped_by_signals(*workers.values()))
        for name, worker in workers.items():
            arguments = (_run_one, name, worker, job.until, ended)
            threading.Thread(target=contextvars.copy_context().run, args=arguments, name=name, daemon=True).start()
        try:
            return _await_all(workers, ended)
        except KeyboardInterrupt:  # asked for twice: threads cannot be broken off, the process can
            logging.shutdown()
            os._exit(Exit.INTERRUPTED)


def _await_all(workers: Mapping[str, Worker], ended: queue.SimpleQueue[_Ended]) -> int:
    code = Exit.DONE
    fault: BaseException | None = None
    for _ in workers:
        error = ended.get().error
        if error is None:
            continue
        for worker in workers.values():
            worker.stop()
        if not isinstance(error, EverwhenError):
            fault = fault or error
        elif code is Exit.DONE:
            code = exit_of(error)
    if fault is not None:
        raise fault
    return code


def _run_one(name: str, worker: Worker, until: Literal["end"] | None, ended: queue.SimpleQueue[_Ended]) -> None:
    error: BaseException | None = None
    with logs.about(projection=name):
        try:
            progress.conclude(worker.run(until=until))
        except EverwhenError as known:
            error = known
            _log.error("worker.failed %s: %s", type(known).__name__, known)
        except BaseException as fault:  # noqa: BLE001 - the main thread raises it
            error = fault
    ended.put(_Ended(name, error))


def _worker(job: Job, part: Part, show: progress.Show, observers: Mapping[str, Observer]) -> Worker:
    return Worker(
        part.projection,
        job.log,
        job.settings.store,
        settings=job.worker_settings,
        generation=part.generation,
        progress=show,
        observer=observers.get(part.projection.name),
        registry=job.settings.registry,
    )


@contextmanager
def _observed(parts: Sequence[Part], job: Job) -> Iterator[Mapping[str, Observer]]:
    """Serve over HTTP what is observed, if an address is given; yield who is to be told, by projection."""
    settings = job.settings
    if settings.http is None:
        yield {}
        return
    from everwhen.cli.http import serving
    from everwhen.metrics import Joined, Limits, Metrics

    limits = Limits(fetch=settings.live_fetch, loop=settings.live_loop, lag=settings.ready_lag)
    metrics = {each.name: Metrics(each.name, each.topic.name) for each, _ in parts}
    shown = Joined(metrics) if len(metrics) > 1 else next(iter(metrics.values()))
    with serving(settings.http, shown, limits, step=job.number):
        yield metrics
