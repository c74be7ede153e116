"""A box office: requests are decided on the state of a concert, and the events go out through an outbox.

Run it in an empty directory; it leaves ``service.db``, ``log.db`` and ``store.db`` there. docs/outbox.md explains
its parts.
"""

from pathlib import Path

from pydantic import BaseModel
from sqlalchemy import Connection, create_engine, text

from everwhen import NEW, Event, Outbox, Projection, Reader, Topic, Worker
from everwhen.connect import Relay
from everwhen.errors import VersionConflict
from everwhen.event import contracts


class Opened(Event, type="concert.opened"):
    seats: int


class Booked(Event, type="concert.booked"):
    guest: str


contracts.write(Path("schemas"), [Opened, Booked])  # in a project: everwhen schema write
concerts = Topic("concerts", events=[Opened, Booked], schemas="schemas")

engine = create_engine("sqlite:///service.db")  # the service's own, as it has it anyway
outbox = Outbox(concerts, engine)
outbox.create_tables()  # in a project: everwhen outbox init, or in a migration
with engine.begin() as connection:
    connection.execute(text("CREATE TABLE concerts (id TEXT PRIMARY KEY, state TEXT NOT NULL)"))


class Concert(BaseModel):
    seats: int
    guests: list[str] = []


class Rejected(Exception):
    """What was asked for cannot be had."""


def decide(state: Concert, guest: str) -> list[Event]:  # no database, no clock: easy to test
    if guest in state.guests:
        return []
    if len(state.guests) == state.seats:
        raise Rejected("sold out")
    return [Booked(guest=guest)]


def evolve(state: Concert | None, event: Event) -> Concert:
    if isinstance(event, Opened):
        return Concert(seats=event.seats)
    assert state is not None
    assert isinstance(event, Booked)
    return state.model_copy(update={"guests": [*state.guests, event.guest]})


def load(connection: Connection, concert: str) -> Concert:
    asked = text("SELECT state FROM concerts WHERE id = :id")
    return Concert.model_validate_json(connection.execute(asked, {"id": concert}).scalar_one())


def save(connection: Connection, concert: str, state: Concert) -> None:
    row = {"id": concert, "state": state.model_dump_json()}
    connection.execute(text("REPLACE INTO concerts VALUES (:id, :state)"), row)


def book(concert: str, guest: str) -> int:
    while True:
        try:
            with engine.begin() as connection:
                version = outbox.version(connection, concert)  # before the state, which may only be newer
                state = load(connection, concert)
                for event in decide(state, guest):
                    version = outbox.publish(connection, concert, event, expected=version).version
                    state = evolve(state, event)
                save(connection, concert, state)
            return version
        except VersionConflict:
            continue  # somebody else was first: decide again, on what is true now


with engine.begin() as connection:
    first = Opened(seats=2)
    outbox.publish(connection, "jazz", first, expected=NEW)
    save(connection, "jazz", evolve(None, first))

assert book("jazz", "ada") == 2
assert book("jazz", "ada") == 2  # asked twice, booked once
assert book("jazz", "bob") == 3
try:
    book("jazz", "eve")
except Rejected as reason:
    print(f"eve: {reason}")


with engine.begin() as connection:
    try:
        outbox.publish(connection, "jazz", Booked(guest="eve"), expected=2)
    except VersionConflict as conflict:
        print(f"eve: expected version {conflict.expected}, found {conflict.actual}")


with Relay(concerts, engine, "sqlite:///log.db") as relay:  # as a process: everwhen relay
    assert relay.run(until="end").events == 3

concert = Projection("concert", version=1, topic=concerts, state=Concert)
concert.on(Opened)(lambda state, event: evolve(state, event))
concert.on(Booked)(lambda state, event: evolve(state, event))
Worker(concert, "sqlite:///log.db", "sqlite:///store.db").run(until="end")
assert Reader(concert, "sqlite:///store.db").get("jazz").require().guests == ["ada", "bob"]
