"""Everwhen: event-sourced domain data, asked at any instant.

A service publishes domain events to Kafka; a worker folds them into timelines in PostgreSQL or SQLite; a reader gets
an entity's state at any instant, on two time axes, with one index seek. Start with the README.
"""

from __future__ import annotations

from everwhen.connect import Publisher, Reader, Worker
from everwhen.errors import EverwhenError
from everwhen.event import Envelope, Event, Float32, Int32, Topic
from everwhen.positions import Basis, Position
from everwhen.projection import Projection
from everwhen.publisher import Receipt
from everwhen.reader import Answer, At, History, Snapshot, Status, Version
from everwhen.worker import Progress, WorkerSettings

__all__ = [
    "Answer",
    "At",
    "Basis",
    "Envelope",
    "Event",
    "EverwhenError",
    "Float32",
    "History",
    "Int32",
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
