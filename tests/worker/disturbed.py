"""A worker under load whose database fails, and what shows that nothing was lost or applied twice."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
from sqlalchemy import create_engine, text

from everwhen import Publisher, Worker, WorkerSettings
from everwhen.connect import StoreTarget
from everwhen.positions import Position
from everwhen.projection import Tally
from everwhen.worker import Progress
from tests import ledger
from tests.ledger import Noted

T0 = datetime(2026, 3, 1, tzinfo=UTC)
PATIENCE = 60
TABLES = ("versions", "superseded", "withdrawals", "conflicts", "entities")
_LATE_EVERY = 7


class Heard(logging.Handler):
    """What the worker logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the line."""
        self.lines.append(record.getMessage())

    def count(self, event: str) -> int:
        """How often something was said."""
        return sum(line.startswith(event) for line in self.lines)

    def until(self, event: str, times: int = 1) -> None:
        """Wait until it was said that often."""
        until(lambda: self.count(event) >= times, f"{event} was not logged {times} times, but: {self.lines[-5:]}")


class Scene:
    """A log in a file, and a store that somebody disturbs."""

    def __init__(self, directory: Path, store: StoreTarget, topic: str = "ledger", **settings: Any) -> None:
        self.topic = ledger.topic(directory / "schemas", topic)
        self.projection = ledger.projection(self.topic)
        self.log: Any = f"sqlite:///{directory}/log.db"
        self.store = store
        self.settings = WorkerSettings(**{"batch_records": 10, **settings})
        self.heard = Heard()
        self._progress: list[Progress] = []
        self.published = 0
        self.errors: list[BaseException] = []

    def publish(self, count: int) -> Position:
        """Publish events of eight entities, every seventh of them late; return the last one's position."""
        with Publisher(self.topic, self.log) as publisher:
            for number in range(self.published, self.published + count):
                late = timedelta(hours=-1) if number % _LATE_EVERY == 0 else timedelta()
                receipt = publisher.publish(
                    f"e{number % 8}", Noted(text=str(number)), occurred_at=T0 + timedelta(minutes=number) + late
                )
        self.published += count
        return receipt.position

    def worker(self, **more: Any) -> Worker:
        """Make a worker."""
        return Worker(
            self.projection,
            self.log,
            more.pop("store", self.store),
            settings=self.settings,
            progress=self.note(),
            **more,
        )

    def note(self) -> Callable[[Progress], None]:
        """Return what a worker, one of any number, tells its progress to."""
        number = len(self._progress)
        self._progress.append(Progress(0, None, Tally()))

        def noted(progress: Progress) -> None:
            self._progress[number] = progress

        return noted

    @property
    def done(self) -> int:
        """How many records were read, by all workers together."""
        return sum(each.records for each in self._progress)

    @contextmanager
    def running(self, worker: Worker) -> Iterator[Worker]:
        """Run a worker in a thread, listen to what it logs, and stop it at the end; it must end well."""
        logger = logging.getLogger("everwhen.worker")
        first = self.heard not in logger.handlers
        if first:
            logger.setLevel(logging.DEBUG)
            logger.addHandler(self.heard)
        thread = threading.Thread(target=self._run, args=(worker,))
        thread.start()
        try:
            yield worker
        finally:
            worker.stop()
            thread.join(PATIENCE)
            if first:
                logger.removeHandler(self.heard)
                logger.setLevel(logging.NOTSET)
            worker.close()
        assert not thread.is_alive()
        assert self.errors == []

    def until_projected(self) -> None:
        """Wait until everything that was published is projected."""
        until(lambda: self.done >= self.published, "not everything was projected")

    def begin(self, count: int) -> None:
        """Publish so many events and wait until the first of them are projected."""
        at = self.done
        self.publish(count)
        until(lambda: self.done > at, "no batch was applied")

    def check(self, disturbed: str, undisturbed: str, again: int = 0) -> None:
        """Compare every row with those of a projection that nobody disturbs, and the tally with what was published.

        :param again: how many records had to be read twice, since the database had lost what became of them.
        """
        read = self.published + again
        with Worker(self.projection, self.log, undisturbed, settings=self.settings) as worker:
            worker.run(until="end")
        assert tables(disturbed) == tables(undisturbed)
        tally = Tally()
        for each in self._progress:
            tally.add(each.tally)
        assert (self.done, tally.applied, tally.duplicates) == (read, read, 0)

    def _run(self, worker: Worker) -> None:
        try:
            worker.run()
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            self.errors.append(error)


def until(condition: Callable[[], bool], otherwise: str = "the condition was not met in time") -> None:
    """Wait for a condition, with a deadline."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.01)


def tables(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """Everything in the projection's tables in an order of its own, and where its partitions stand."""
    engine = create_engine(url)
    schema = "everwhen_" if engine.dialect.name == "sqlite" else "everwhen."
    asked = {table: f"SELECT * FROM {schema}ledger__1_{table}" for table in TABLES}
    asked["checkpoints"] = f"SELECT partition, next_offset, watermark FROM {schema}checkpoints"
    with engine.connect() as connection:
        found = {
            table: sorted((tuple(row) for row in connection.execute(text(query))), key=repr)
            for table, query in asked.items()
        }
    engine.dispose()
    return found


def through(url: str, port: int) -> str:
    """The same database, by way of a port on the loopback interface."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:{port}"))


def libpq(url: str) -> str:
    """The URL without SQLAlchemy's name of the driver."""
    return url.replace("+psycopg", "")


@contextmanager
def session(url: str) -> Iterator[psycopg.Connection[Any]]:
    """A session of somebody else's."""
    with psycopg.connect(libpq(url), autocommit=True) as connection:
        yield connection


def terminate(url: str) -> int:
    """End every connection of workers to the database; return how many there were."""
    with session(url) as other:
        ended = other.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name = 'everwhen'"
        ).fetchone()
        return int(ended[0]) if ended is not None else 0
