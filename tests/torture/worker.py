"""The program of one worker process: an ordinary worker between hooked ports."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, cast

from everwhen.connect import open_log
from everwhen.local import LocalLog
from everwhen.ports.clock import SystemClock
from everwhen.ports.log import Log
from everwhen.sql import SqlStore
from everwhen.sql.engine import Timeouts, open_engine
from everwhen.worker import Worker, WorkerSettings
from tests.torture import domain
from tests.torture.hooks import HookedLog, HookedStore, Hooks, Plan, watch

_PR_SET_PDEATHSIG = 1
_TIMEOUTS = Timeouts(lock=3, idle=1, statement=5)
"""A worker that is paused in a transaction is overtaken after a second; in the middle of its rows after eight."""
_PER_RECORD = 4_000
"""Bytes of the buffer for each record of a batch: a worker that dies soon must not fetch the whole log each time."""


@dataclass(frozen=True)
class Task:
    """What a worker works on.

    :ivar group: the consumer group, or ``None`` to read ``partitions``.
    :ivar to_end: return at the end of the log.
    """

    log: str | Mapping[str, Any]
    store: str
    topic: str
    directory: Path
    partitions: tuple[int, ...] | None = None
    group: str | None = None
    depth: int = 32
    batch_records: int = 8
    to_end: bool = False
    plan: Plan = field(default_factory=Plan)


def run(task: Task, harness: Connection[Any, Any]) -> None:
    """Work until stopped, killed, or an error; the last words say which."""
    _die_with_parent()
    said = task.directory / "workers.log"
    logging.basicConfig(filename=said, format=f"{os.getpid()} %(asctime)s %(message)s", level=logging.INFO)
    hooks = Hooks(task.plan, harness)
    domain.Moments.reached = staticmethod(hooks.reached)
    engine = open_engine(task.store, _TIMEOUTS)
    watch(engine, hooks)
    settings = WorkerSettings(
        group=task.group,
        partitions=task.partitions,
        batch_records=task.batch_records,
        depth=task.depth,
        buffer_bytes=max(2**20, _PER_RECORD * task.batch_records),
    )
    worker = Worker(
        domain.projection(domain.topic(task.topic, task.directory / "schemas")),
        cast("Any", HookedLog(_open_log(task), hooks)),
        cast("Any", HookedStore(SqlStore(engine, timeouts=_TIMEOUTS), hooks)),
        settings,
        clock=SystemClock(),
    )
    signal.signal(signal.SIGTERM, lambda _number, _frame: worker.stop())
    try:
        with worker:
            worker.run("end" if task.to_end else None)
    except Exception as error:
        hooks.say("failed", type(error).__name__, str(error))
        logging.exception("the worker failed")
        sys.exit(1)


def _open_log(task: Task) -> Log:
    """A member of a local group is to be missed as soon as one of a Kafka group is."""
    if task.group is not None and isinstance(task.log, str):
        return LocalLog(Path(task.log.removeprefix("sqlite:///")), session_timeout=1.5)
    return open_log(task.log)


def _die_with_parent() -> None:
    """Also while stopped, where it could not see that nobody is there any more."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
