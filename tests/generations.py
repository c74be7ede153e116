"""A log, a store, and builds of one projection by two codes, for tests of what stands side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel

from everwhen import Event, Projection, Reader, Worker, WorkerSettings
from everwhen.connect import open_store
from everwhen.local import LocalLog
from everwhen.ports.clock import SystemClock
from everwhen.publisher import Publisher
from everwhen.reader import Comparison, Difference
from everwhen.worker import blueprint
from tests import ledger
from tests.ledger import Noted, Wiped

T0 = datetime(2026, 3, 1, tzinfo=UTC)


class Told(NamedTuple):
    """An event: a text to note, or ``None`` to delete the entity."""

    entity: str
    hour: int
    text: str | None


class Diary(BaseModel):
    """The notes in the order of valid time, and the code that wrote them."""

    by: int
    notes: list[str] = []


def noted(by: int, notes: list[str], text: str) -> list[str]:
    """What a note changes: the second code writes texts with an ``x`` in capitals, and cannot take a ``!``."""
    if by == 2 and text == "!":
        raise ValueError
    return [*notes, text.upper() if by == 2 and "x" in text else text]


class Bench:
    """A log in a file, a store, and a projection by two codes.

    :param directory: for contracts and log.
    :param store: its URL.
    :param signed: states tell which code wrote them.
    """

    def __init__(self, directory: Path, store: str, *, signed: bool = True) -> None:
        self.topic = ledger.topic(directory / "schemas", partitions=2)
        self.log, self.store, self.signed = directory / "log.db", store, signed
        LocalLog(self.log).create_topic("ledger", 2)

    def code(self, by: int) -> Projection[Diary]:
        """The projection as one of the two codes has it."""
        made = Projection("ledger", version=by, topic=self.topic, state=Diary, ignore=ledger.EVENTS[2:])
        sign = by if self.signed else 0

        @made.on(Noted)
        def on_noted(state: Diary | None, event: Noted) -> Diary:
            return Diary(by=sign, notes=noted(by, state.notes if state else [], event.text))

        @made.on(Wiped)
        def on_wiped(state: Diary | None, event: Wiped) -> None:
            return None

        return made

    def tell(self, events: Iterable[Told]) -> None:
        """Publish events."""
        with Publisher(self.topic, LocalLog(self.log), SystemClock()) as publisher:
            for entity, hour, text in events:
                event: Event = Wiped() if text is None else Noted(text=text)
                publisher.publish(entity, event, occurred_at=T0 + timedelta(hours=hour))

    def project(self, by: int = 1, generation: int | None = None, **settings: Any) -> None:
        """Run a worker of one code to the end."""
        with Worker(
            self.code(by),
            f"sqlite:///{self.log}",
            self.store,
            partitions=[0, 1],
            generation=generation,
            settings=WorkerSettings(**settings),
        ) as worker:
            worker.run(until="end")

    def rebuild(self, by: int = 2) -> int:
        """Build a generation by one of the codes; return its number."""
        with closing(open_store(self.store)) as store:
            number = store.generations("ledger").begin(blueprint(self.code(by))).generation.number
        self.project(by, number)
        return number

    def switch(self, number: int) -> None:
        """Let a generation answer."""
        with closing(open_store(self.store)) as store:
            store.generations("ledger").switch(number)

    def reader(self, generation: int | None = None) -> Reader[Any]:
        """Open a reader without the code."""
        return Reader("ledger", self.store, generation=generation)

    def compare(self, old: int = 1, new: int = 2) -> Sequence[Difference]:
        """Compare two generations."""
        with (
            closing(open_store(self.store)) as store,
            Comparison(store.reader("ledger", old), store.reader("ledger", new)) as comparison,
        ):
            return list(comparison)
