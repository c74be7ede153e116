"""Six versions of an event, published by old and new programs at once, and one projection that reads them all."""

from __future__ import annotations

import enum
import shutil
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from everwhen import Event, Float32, Int32, Projection, Publisher, Reader, Topic, Worker
from everwhen.connect import open_log
from everwhen.errors import ArgumentError, GenerationMismatch
from everwhen.event import contracts
from everwhen.positions import Position
from everwhen.testing.parts import KafkaAddress

T0 = datetime(2026, 3, 1, tzinfo=UTC)
FLIGHTS = ("EW 1", "EW 2", "XL 3")
ROUNDS = 12
PATIENCE = 60


class Seats(BaseModel):
    kind: Literal["seats"] = "seats"
    count: int


class Cargo(BaseModel):
    kind: Literal["cargo"] = "cargo"
    tons: float


def first() -> type[Event]:
    class Gate(enum.Enum):
        NORTH = "n"
        SOUTH = "s"

    class Left(Event, type="flights.left"):
        delay_minutes: int
        gate: Gate
        fuel: Float32
        remark: str

    return Left


def second() -> type[Event]:
    """A field with a default is new, and a number is wider."""

    class Gate(enum.Enum):
        NORTH = "n"
        SOUTH = "s"

    class Left(Event, type="flights.left"):
        delay_minutes: int
        gate: Gate
        fuel: float
        remark: str
        crew: Int32 = 2

    return Left


def third() -> type[Event]:
    """A field is gone, an enum has one symbol more, and a number may be missing."""

    class Gate(enum.Enum):
        EAST = "e"
        NORTH = "n"
        SOUTH = "s"

    class Left(Event, type="flights.left"):
        crew: Int32 = 2
        delay_minutes: int
        gate: Gate
        fuel: float | None = None

    return Left


def fourth() -> type[Event]:
    """The delay has another meaning: seconds."""

    class Gate(enum.Enum):
        EAST = "e"
        NORTH = "n"
        SOUTH = "s"

    class Left(Event, type="flights.left"):
        crew: int = 2
        delay_seconds: int
        gate: Gate
        fuel: float | None = None

    return Left


def fifth() -> type[Event]:
    """The gate is text, and a model of several is new."""

    class Left(Event, type="flights.left"):
        crew: int = 2
        delay_seconds: int
        gate_name: str
        fuel: float | None = None
        load: Annotated[Seats | Cargo, Field(discriminator="kind")] = Seats(count=0)

    return Left


class Departed(Event, type="flights.departed"):
    """The sixth: the type has another name, and a field that nothing stands for by default."""

    crew: int
    delay_seconds: int
    gate_name: str
    fuel: float | None = None
    load: Annotated[Seats | Cargo, Field(discriminator="kind")]


class Cancelled(Event, type="flights.cancelled"):
    """Old programs publish it; today it is retired."""


VERSIONS: tuple[Callable[[], type[Event]], ...] = (first, second, third, fourth, fifth, lambda: Departed)
FIELDS: tuple[Callable[[int], dict[str, Any]], ...] = (
    lambda n: {"delay_minutes": n, "gate": "n", "fuel": n / 4, "remark": "x"},
    lambda n: {"delay_minutes": n, "gate": "s", "fuel": n / 10, "remark": "x", "crew": n},
    lambda n: {"delay_minutes": n, "gate": "e", "fuel": None if n % 2 else 1.5},
    lambda n: {"delay_seconds": n, "gate": "e", "crew": n},
    lambda n: {"delay_seconds": n, "gate_name": f"g{n}", "load": Cargo(tons=n / 2) if n % 2 else Seats(count=n)},
    lambda n: {"delay_seconds": n, "gate_name": f"h{n}", "crew": n, "load": Seats(count=n)},
)
MEANT: tuple[Callable[[int], str], ...] = (
    lambda n: f"{n * 60}s NORTH {n / 4} 2 Seats",
    lambda n: f"{n * 60}s SOUTH {n / 10} {n} Seats",
    lambda n: f"{n * 60}s EAST {None if n % 2 else 1.5} 2 Seats",
    lambda n: f"{n}s EAST None {n} Seats",
    lambda n: f"{n}s g{n} None 2 {'Cargo' if n % 2 else 'Seats'}",
    lambda n: f"{n}s h{n} None {n} Seats",
)
"""What a number of each version stands for in the state: the oracle, which knows nothing of how it gets there."""


def in_seconds(old: dict[str, Any]) -> dict[str, Any]:
    old["delay_seconds"] = old.pop("delay_minutes") * 60
    return old


def gate_as_text(old: dict[str, Any]) -> dict[str, Any]:
    gate = old.pop("gate")
    return old | {"gate_name": gate, "load": {"kind": "seats", "count": 0}}


class Board(BaseModel):
    """All departures of a flight, in the order of their times."""

    seen: list[str] = []


class Airline:
    """The directories of each program: the contract files that were there when it was built."""

    def __init__(self, root: Path, log: str | None = None, name: str = "flights") -> None:
        self.root = root
        self.name = name
        self.log = log or f"sqlite:///{root}/log.db"
        opened = open_log(self.log)
        opened.create_topic(name, 2)
        opened.close()
        self.today = self.topic(root / "today", Departed)
        for number, version in enumerate(VERSIONS, 1):
            contracts.write(root / "today", [version(), Cancelled], self.evolution_of(version()))
            shutil.copytree(root / "today", root / str(number))

    def evolution_of(self, event: type[Event]) -> Any:
        return self.topic(self.root / "today", event).evolution

    def topic(self, directory: Path, event: type[Event]) -> Topic:
        """The topic as a program has it whose newest class this is: it declares what its own past needs."""
        renamed = {"flights.left": Departed} if event is Departed else {}
        retired = [Cancelled] if event is Departed else []
        topic = Topic(
            self.name, events=[event, Cancelled], schemas=directory, partitions=2, renamed=renamed, retired=retired
        )
        if "delay_seconds" in event.model_fields:
            topic.upcast("flights.left", version=3)(in_seconds)
        if "gate_name" in event.model_fields:
            topic.upcast("flights.left", version=4)(gate_as_text)
        return topic

    def publish(self, number: int) -> list[Position]:
        """Publish as the program of one version, and return the last positions; the instants of all alternate."""
        event = VERSIONS[number]()
        topic = self.topic(self.root / str(number + 1), event)
        with Publisher(topic, self.log) as publisher:
            if number == 0:
                publisher.publish("EW 9", Cancelled(), occurred_at=T0)
                publisher.flush()
            receipts = [
                publisher.publish(
                    flight, event(**FIELDS[number](n)), occurred_at=T0 + timedelta(minutes=n, seconds=number)
                )
                for n in range(ROUNDS)
                for flight in FLIGHTS
            ]
            return [receipt.position for receipt in receipts[-len(FLIGHTS) :]]

    def projection(self) -> Projection[Board]:
        board = Projection("board", version=1, topic=self.today, state=Board)

        @board.on(Departed)
        def departed(state: Board | None, event: Departed) -> Board:
            seen = state.seen if state is not None else []
            load = type(event.load).__name__
            text = f"{event.delay_seconds}s {event.gate_name} {event.fuel} {event.crew} {load}"
            return Board(seen=[*seen, text])

        @board.on(Cancelled)
        def cancelled(state: Board | None, event: Cancelled) -> Board:
            return Board(seen=["cancelled"])

        return board


EXPECTED = [MEANT[number](n) for n in range(ROUNDS) for number in range(len(VERSIONS))]


@pytest.fixture
def airline(tmp_path: Path) -> Airline:
    return Airline(tmp_path)


@pytest.fixture
def on_files(airline: Airline) -> tuple[Airline, str]:
    return airline, f"sqlite:///{airline.root}/store.db"


@pytest.fixture
def on_servers(
    tmp_path: Path, real_kafka: KafkaAddress, kafka_topic_name: str, postgres_url: str
) -> tuple[Airline, str]:
    return Airline(tmp_path, real_kafka.url, kafka_topic_name), postgres_url


@pytest.mark.parametrize("place", ["on_files", "on_servers"])
def test_six_versions_are_read_by_one_projection(place: str, request: pytest.FixtureRequest) -> None:
    """Whatever wrote an event, and whenever it arrived, its meaning is today's; a rebuild says the same.

    The programs publish into the same entities at once, so that old events come late and are folded again from the
    bytes that the store keeps.
    """
    airline, store = request.getfixturevalue(place)
    again = f"sqlite:///{airline.root}/again.db"
    with ThreadPoolExecutor(8) as pool, Worker(airline.projection(), airline.log, store) as worker:
        running = pool.submit(worker.run)
        published = [pool.submit(airline.publish, number) for number in range(len(VERSIONS))]
        try:
            with Reader(airline.projection(), store) as reader:
                for position in [position for each in published for position in each.result()]:
                    reader.wait_for(position, timeout=PATIENCE)
        finally:
            worker.stop()
            running.result()
    Worker(airline.projection(), airline.log, again).run(until="end")
    for built in (store, again):
        reader = Reader(airline.projection(), built)
        for flight in FLIGHTS:
            assert reader.get(flight).require().seen == EXPECTED
        assert reader.get("EW 9").require().seen == ["cancelled"]


def test_the_stored_bytes_stay(airline: Airline) -> None:
    """An event is kept as it stood in the log, under today's name; a late one folds the old ones after it again."""
    airline.publish(0)
    store = f"{airline.root}/store.db"
    Worker(airline.projection(), airline.log, f"sqlite:///{store}").run(until="end")
    left = airline.today.contracts.of_type("flights.left")
    assert left is not None
    query = "SELECT DISTINCT event_type, substr(event, 1, 10) FROM everwhen_board__1_versions WHERE entity_id = 'EW 1'"
    with sqlite3.connect(store) as connection:
        assert connection.execute(query).fetchall() == [("flights.departed", b"\xc3\x01" + left.former[0].fingerprint)]
    with Publisher(airline.today, airline.log) as publisher:
        late = Departed(**FIELDS[5](7))
        publisher.publish("EW 1", late, occurred_at=T0 - timedelta(hours=1))
        with pytest.raises(ArgumentError, match="Cancelled is retired"):
            publisher.publish("EW 1", Cancelled())
    Worker(airline.projection(), airline.log, f"sqlite:///{store}").run(until="end")
    seen = Reader(airline.projection(), f"sqlite:///{store}").get("EW 1").require().seen
    assert seen == [MEANT[5](7), *(MEANT[0](n) for n in range(ROUNDS))]


def test_another_upcaster_is_other_code(airline: Airline) -> None:
    """States that were built without it must not be mixed with those built with it."""
    airline.publish(0)
    store = f"sqlite:///{airline.root}/store.db"
    Worker(airline.projection(), airline.log, store).run(until="end")
    airline.today = airline.topic(airline.root / "today", Departed)
    airline.today.upcast("flights.left", version=1)(dict)
    with pytest.raises(GenerationMismatch):
        Worker(airline.projection(), airline.log, store).run(until="end")
