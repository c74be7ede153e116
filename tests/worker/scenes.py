"""A log whose past somebody tampers with, a store, and what worker and reader say of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from everwhen import Publisher, Reader, Topic, Worker, WorkerSettings
from everwhen.connect import open_log
from everwhen.errors import EverwhenError
from everwhen.positions import Position
from everwhen.reader import Answer
from tests import ledger
from tests.ledger import Ledger, Noted

T0 = datetime(2026, 3, 1, tzinfo=UTC)
AT = T0 + timedelta(days=400)


class Scene:
    """A topic with entities whose partitions are known by their names."""

    def __init__(self, directory: Path, log: Any, store: str, *, topic: str = "ledger", partitions: int = 2) -> None:
        self.directory = directory
        self.log, self.store = log, store
        self.topic: Topic = ledger.topic(directory / "schemas", topic, partitions)
        self.projection = ledger.projection(self.topic)
        self.create(partitions)
        self.homes: dict[int, str] = {}
        self.last: dict[str, str] = {}
        """The last note of each entity."""
        self.count = 0

    def create(self, partitions: int) -> None:
        """Create the topic."""
        with closing(open_log(self.log)) as log:
            log.create_topic(self.topic.name, partitions)

    def publish(self, *entities: str, log: Any = None) -> list[Position]:
        """Publish a note for each entity; an entity's notes are numbered through the scene."""
        positions = []
        with Publisher(self.topic, log or self.log) as publisher:
            for entity in entities:
                occurred_at = T0 + timedelta(minutes=self.count)
                receipt = publisher.publish(entity, Noted(text=str(self.count)), occurred_at=occurred_at)
                self.homes[receipt.position.partition] = entity
                positions.append(receipt.position)
                self.last[entity] = str(self.count)
                self.count += 1
        return positions

    def fill(self, notes: int = 3) -> dict[int, str]:
        """Publish some notes into every partition; return an entity of each."""
        names = (f"e{number}" for number in range(1000))
        while len(self.homes) < self.topic.partitions:
            self.publish(next(names))
        for _ in range(notes):
            self.publish(*self.homes.values())
        return dict(self.homes)

    def worker(self, *, log: Any = None, **settings: Any) -> Worker:
        """Make a worker."""
        return Worker(self.projection, log or self.log, self.store, settings=WorkerSettings(**settings))

    def project(self, *, log: Any = None, **settings: Any) -> EverwhenError | None:
        """Project to the end; return what stopped it."""
        with self.worker(log=log, **settings) as worker:
            try:
                worker.run(until="end")
            except EverwhenError as error:
                return error
        return None

    def get(self, entity: str) -> Answer[Ledger]:
        """Ask for an entity."""
        with Reader(self.projection, self.store) as reader:
            return reader.get(entity, valid_at=AT)

    def notes(self, entity: str) -> list[str]:
        """Return the notes of an entity that has some."""
        return self.get(entity).require().notes

    def incomplete(self, entity: str) -> str | None:
        """Return what an answer says of itself."""
        said = self.get(entity).incomplete
        return None if said is None else str(said)

    @contextmanager
    def records(self) -> Iterator[sqlite3.Connection]:
        """Open the file of a local log behind its back."""
        with closing(sqlite3.connect(self.directory / "log.db", isolation_level=None)) as connection:
            yield connection
