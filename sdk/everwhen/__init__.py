"""Everwhen: event-sourced domain data, asked at any instant.

A service publishes domain events to Kafka; a worker folds them into timelines in PostgreSQL or SQLite; a reader gets
an entity's state at any instant, on two time axes, with one index seek. Start with the README.

Names are loaded when they are first used, so that a part of the package, such as its pytest plugin, can be imported
without the rest.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from everwhen.connect import Outbox, Publisher, Reader, Worker
    from everwhen.errors import EverwhenError
    from everwhen.event import Envelope, Event, Float32, Int32, Topic
    from everwhen.outbox import NEW
    from everwhen.positions import Basis, Position
    from everwhen.projection import Projection
    from everwhen.publisher import Receipt
    from everwhen.reader import Answer, At, History, Snapshot, Status, Version
    from everwhen.worker import Progress, WorkerSettings
else:
    _MODULES = {
        "connect": ("Outbox", "Publisher", "Reader", "Worker"),
        "errors": ("EverwhenError",),
        "event": ("Envelope", "Event", "Float32", "Int32", "Topic"),
        "outbox": ("NEW",),
        "positions": ("Basis", "Position"),
        "projection": ("Projection",),
        "publisher": ("Receipt",),
        "reader": ("Answer", "At", "History", "Snapshot", "Status", "Version"),
        "worker": ("Progress", "WorkerSettings"),
    }
    _MODULE_OF = {name: f"everwhen.{module}" for module, names in _MODULES.items() for name in names}

    def __getattr__(name: str) -> Any:
        if name not in _MODULE_OF:
            raise AttributeError(f"module 'everwhen' has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(_MODULE_OF[name]), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


__all__ = [
    "NEW",
    "Answer",
    "At",
    "Basis",
    "Envelope",
    "Event",
    "EverwhenError",
    "Float32",
    "History",
    "Int32",
    "Outbox",
    "Position",
    "Progress",
    "Projection",
    "Publisher",
    "Reader",
    "Receipt",
    "Snapshot",
    "Status",
    "Topic",
    "Version",
    "Worker",
    "WorkerSettings",
]
