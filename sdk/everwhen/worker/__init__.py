"""The projection worker: one thread that polls and claims, one that folds and commits."""

from __future__ import annotations

from everwhen.worker.observer import BatchReport, Measured, Observer
from everwhen.worker.retention import Expiry, Unread, expiries
from everwhen.worker.rollback import RolledBack, roll_back
from everwhen.worker.settings import WorkerSettings
from everwhen.worker.worker import Progress, Worker, blueprint

__all__ = [
    "BatchReport",
    "Expiry",
    "Measured",
    "Observer",
    "Progress",
    "RolledBack",
    "Unread",
    "Worker",
    "WorkerSettings",
    "blueprint",
    "expiries",
    "roll_back",
]
