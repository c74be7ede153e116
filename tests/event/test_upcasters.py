"""Upcasters: changes of meaning, renamed and retired event types, and what is wrong with a declaration."""

from __future__ import annotations

import enum
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydantic import AwareDatetime, BaseModel, Field

from everwhen.errors import ArgumentError, ContractError, DeclarationError, MalformedRecord
from everwhen.event import Event, Topic, contracts
from everwhen.event.codec import Codec, ConstantIds
from everwhen.event.compatibility import compare
from everwhen.event.contracts import Contract, Contracts, Version
from everwhen.event.evolution import Upcaster
from everwhen.event.model import event_schema
from everwhen.projection import Projection
from tests.event.generated import FIELDS, build, later, same
from tests.longer import times


class DepartedOnce(Event, type="flights.departed"):
    """As it was: the delay is in minutes."""

    flight: str
    delay_minutes: int


class Departed(Event, type="flights.departed"):
    """As it is."""

    flight: str
    delay_seconds: int


def once(minutes: int) -> DepartedOnce:
    return DepartedOnce(flight="EW 1", delay_minutes=minutes)


def now(seconds: int) -> Departed:
    return Departed(flight="EW 1", delay_seconds=seconds)


def in_seconds(old: dict[str, Any]) -> dict[str, Any]:
    old["delay_seconds"] = old.pop("delay_minutes") * 60
    return old


def topic(directory: Path, *events: type[Event], **past: Any) -> Topic:
    return Topic("flights", events=events, schemas=directory, **past)


def bytes_of(event: Event, directory: Path) -> bytes:
    """What a program of the time published, whose contract files are the ones that are there."""
    return topic(directory, type(event)).codec.encode(event)


def test_a_change_of_meaning_is_bridged(tmp_path: Path) -> None:
    """Without the upcaster the next version cannot even be written; with it the old bytes are read as the new class."""
    contracts.write(tmp_path, [DepartedOnce])
    value = bytes_of(once(3), tmp_path)
    why = r"delay_seconds: the writer lacks the field.*bridge the two with an upcaster"
    with pytest.raises(ContractError, match=why):
        contracts.write(tmp_path, [Departed])
    flights = topic(tmp_path, Departed)
    flights.upcast(Departed, version=1)(in_seconds)
    assert contracts.write(tmp_path, [Departed], flights.evolution) == [tmp_path / "flights.departed" / "2.avsc"]
    assert flights.codec.decode(value) == now(180)
    assert flights.codec.decode(flights.codec.encode(now(7))) == now(7)


def test_the_registrys_frame_is_upcast_too(tmp_path: Path) -> None:
    """A registry's id says nothing of versions: the schema behind it does, if it is that of a contract file."""
    contracts.write(tmp_path, [DepartedOnce])
    ids = ConstantIds({7: event_schema(DepartedOnce)})
    framed = Codec(topic(tmp_path, DepartedOnce).contracts, ids).encode(once(3))
    assert framed[:1] == b"\0"
    flights = topic(tmp_path, Departed)
    flights.upcast("flights.departed", version=1)(in_seconds)
    contracts.write(tmp_path, [Departed], flights.evolution)
    assert Codec(flights.contracts, ids).decode(framed) == now(180)


class Gate(enum.Enum):
    NORTH = "n"
    SOUTH = "s"


class Seat(BaseModel):
    kind: Literal["seat"] = "seat"
    row: int
    price: Annotated[Decimal, Field(max_digits=8, decimal_places=2)] = Decimal("1.50")


class Standing(BaseModel):
    kind: Literal["standing"] = "standing"


def test_an_upcaster_gets_plain_python_data(tmp_path: Path) -> None:
    """Logical types as Python has them, symbols as text, models as dicts; and the dict is its own to change."""

    class BookedOnce(Event, type="flights.booked"):
        at: AwareDatetime
        day: date
        id: UUID
        price: Annotated[Decimal, Field(max_digits=6, decimal_places=2)]
        gate: Gate
        seats: tuple[Seat, ...]
        place: Annotated[Seat | Standing, Field(discriminator="kind")]
        notes: dict[str, str | None]

    contracts.write(tmp_path, [BookedOnce])
    booked = BookedOnce(
        at=datetime(2026, 3, 1, 12, 0, 0, 7, tzinfo=UTC),
        day=date(2026, 3, 1),
        id=UUID(int=7),
        price=Decimal("12.50"),
        gate=Gate.SOUTH,
        seats=(Seat(row=4, price=Decimal("7.25")),),
        place=Standing(),
        notes={"a": None, "b": "x"},
    )
    value = bytes_of(booked, tmp_path)
    seen: list[dict[str, Any]] = []

    class Booked(BookedOnce, type="flights.booked"):
        agent: str

    flights = topic(tmp_path, Booked)

    @flights.upcast(Booked, version=1)
    def with_agent(data: dict[str, Any]) -> dict[str, Any]:
        seen.append(dict(data))
        return data | {"agent": "unknown"}

    contracts.write(tmp_path, [Booked], flights.evolution)
    read = flights.codec.decode(value)
    assert read == Booked(**dict(booked), agent="unknown")
    assert seen == [
        {
            "at": booked.at,
            "day": booked.day,
            "id": booked.id,
            "price": Decimal("12.50"),
            "gate": "SOUTH",
            "seats": [{"kind": "seat", "row": 4, "price": Decimal("7.25")}],
            "place": {"kind": "standing"},
            "notes": {"a": None, "b": "x"},
        }
    ]


def version(*fields: tuple[Any, ...], name: str = "departed") -> dict[str, Any]:
    found = [dict(zip(("name", "type", "default"), each, strict=False)) for each in fields]
    return {"type": "record", "name": name, "namespace": "flights", "fields": found}


def put(directory: Path, number: int, schema: dict[str, Any]) -> None:
    path = directory / f"{schema['namespace']}.{schema['name']}" / f"{number}.avsc"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(schema))


def test_upcasters_are_chained_and_avro_fills_what_lies_between(tmp_path: Path) -> None:
    """Versions 1 to 5, with upcasters at 2 and 4: each gets the data as its own version has them, defaults included."""
    put(tmp_path, 1, version(("a", "int")))
    put(tmp_path, 2, version(("a", "double"), ("b", "string", "none")))
    put(tmp_path, 3, version(("c", "string")))
    put(tmp_path, 4, version(("c", "string"), ("d", ["null", "int"], None), ("e", "int", 5)))
    calls: list[tuple[int, Any]] = []

    class Fifth(Event, type="flights.departed"):
        f: str

    flights = topic(tmp_path, Fifth)

    @flights.upcast(Fifth, version=2)
    def second(data: dict[str, Any]) -> dict[str, Any]:
        calls.append((2, dict(data)))
        return {"c": f"{data['a']} {data['b']}"}

    @flights.upcast(Fifth, version=4)
    def fourth(data: dict[str, Any]) -> dict[str, Any]:
        calls.append((4, dict(data)))
        return {"f": data["c"]}

    contracts.write(tmp_path, [Fifth], flights.evolution)
    first = flights.contracts.of_type("flights.departed")
    assert first is not None
    value = b"\xc3\x01" + first.versions[0].fingerprint + b"\x06"
    assert flights.codec.decode(value) == Fifth(f="3.0 none")
    assert calls == [(2, {"a": 3.0, "b": "none"}), (4, {"c": "3.0 none", "d": None, "e": 5})]


def test_a_default_that_is_none_is_found(tmp_path: Path) -> None:
    """A file that was written by hand may have one of another type; nobody is to get it, and the file is to blame."""
    put(tmp_path, 1, version())
    put(tmp_path, 2, version(("flight", "string", "x"), ("delay_minutes", {"type": "array", "items": "int"}, 7)))
    flights = topic(tmp_path, Departed)
    flights.upcast(Departed, version=2)(in_seconds)
    contracts.write(tmp_path, [Departed], flights.evolution)
    first = flights.contracts.of_type("flights.departed")
    assert first is not None
    with pytest.raises(ContractError, match="the default of delay_minutes is not of the field's type"):
        flights.codec.decode(b"\xc3\x01" + first.versions[0].fingerprint)


def test_a_renamed_type_is_read_by_its_class(tmp_path: Path) -> None:
    """The files of the old name stay; what was nested in it is renamed along, and an upcaster can stand between."""

    class Route(BaseModel):
        origin: str

    class Left(Event, type="flights.left"):
        route: Route
        minutes: int = 0

    contracts.write(tmp_path, [Left])
    value = bytes_of(Left(route=Route(origin="JFK"), minutes=2), tmp_path)

    class Gone(Event, type="flights.gone"):
        route: Route
        minutes: int = 0

    plain = topic(tmp_path, Gone, renamed={"flights.left": Gone})
    contracts.write(tmp_path, [Gone], plain.evolution)
    assert plain.codec.decode(value) == Gone(route=Route(origin="JFK"), minutes=2)
    assert plain.event_class("flights.left") is Gone
    doubled = topic(tmp_path, Gone, renamed={"flights.left": Gone})

    @doubled.upcast("flights.left", version=1)
    def twice(old: dict[str, Any]) -> dict[str, Any]:
        return old | {"minutes": old["minutes"] * 2}

    assert doubled.codec.decode(value) == Gone(route=Route(origin="JFK"), minutes=4)
    new = Gone(route=Route(origin="x"), minutes=5)
    assert doubled.codec.decode(doubled.codec.encode(new)) == new


def test_a_renamed_type_needs_its_files(tmp_path: Path) -> None:
    """They are what its events are read with."""
    flights = topic(tmp_path, Departed, renamed={"flights.left": Departed})
    with pytest.raises(ContractError, match=r"flights\.left holds no contract files .* restore them"):
        contracts.write(tmp_path, [Departed], flights.evolution)


def test_a_retired_type_is_read_and_not_written(tmp_path: Path) -> None:
    """Its events are in the log for ever; there are to be no more of them."""
    contracts.write(tmp_path, [Departed])
    value = bytes_of(now(3), tmp_path)
    codec = topic(tmp_path, Departed, retired=[Departed]).codec
    assert codec.decode(value) == now(3)
    with pytest.raises(ArgumentError, match=r"Departed is retired.*publish what took its place"):
        codec.encode(now(3))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            lambda old: old["nothing"],
            r"the upcaster .*<lambda>\(\) of flights.departed version 1 raised KeyError; mend",
        ),
        (lambda old: [1], "returned list; it must return the fields as a dict"),
        (lambda old: {"flight": "secret"}, "the value is refused by its class: delay_seconds: missing"),
        (lambda old: old | {"delay_seconds": 1}, "delay_minutes: extra_forbidden"),
    ],
)
def test_an_upcaster_that_fails_parks_the_record(tmp_path: Path, function: Any, message: str) -> None:
    """The error is that of the record, which can be retried; it says which function, and shows no payload."""
    contracts.write(tmp_path, [DepartedOnce])
    value = bytes_of(DepartedOnce(flight="secret", delay_minutes=3), tmp_path)
    flights = topic(tmp_path, Departed)
    flights.upcast(Departed, version=1)(function)
    contracts.write(tmp_path, [Departed], flights.evolution)
    with pytest.raises(MalformedRecord, match=message) as caught:
        flights.codec.decode(value)
    assert "secret" not in str(caught.value)


def test_an_upcaster_that_nothing_reaches_is_named(tmp_path: Path) -> None:
    """One for the newest version, for one that is not there, or for one that has the fingerprint of the next."""
    contracts.write(tmp_path, [DepartedOnce])
    late, absent = (topic(tmp_path, DepartedOnce) for _ in range(2))
    late.upcast(DepartedOnce, version=1)(in_seconds)
    absent.upcast(DepartedOnce, version=4)(in_seconds)
    for flights, why in ((late, "that is the newest version"), (absent, "there is no such version")):
        with pytest.raises(ContractError, match=why):
            _ = flights.contracts

    class WithDefault(DepartedOnce, type="flights.departed"):
        delay_minutes: int = 3

    contracts.write(tmp_path, [WithDefault])
    twins = topic(tmp_path, WithDefault)
    twins.upcast(WithDefault, version=1)(in_seconds)
    with pytest.raises(ContractError, match=r"have the same fingerprint.*rename the field whose meaning changed"):
        _ = twins.contracts


def test_what_cannot_be_meant_is_refused(tmp_path: Path) -> None:
    """While the topic is declared, with what to do."""
    contracts.write(tmp_path, [Departed])
    with pytest.raises(DeclarationError, match="is not the name that an event type had once"):
        topic(tmp_path, Departed, renamed={"flights.departed": Departed})
    with pytest.raises(DeclarationError, match="is not among events"):
        topic(tmp_path, Departed, renamed={"flights.left": DepartedOnce})
    with pytest.raises(DeclarationError, match="is not among events"):
        topic(tmp_path, Departed, retired=[DepartedOnce])
    flights = topic(tmp_path, Departed)
    with pytest.raises(DeclarationError, match="no such event type"):
        flights.upcast("flights.left", version=1)(in_seconds)
    with pytest.raises(DeclarationError, match="must take one argument"):
        flights.upcast(Departed, version=1)(two)  # type: ignore[type-var]
    flights.upcast(Departed, version=1)(in_seconds)
    with pytest.raises(DeclarationError, match="declared already: in_seconds"):
        flights.upcast(Departed, version=1)(in_seconds)
    used = topic(tmp_path, Departed)
    _ = used.contracts
    with pytest.raises(DeclarationError, match="declare upcasters where the topic is declared"):
        used.upcast(Departed, version=1)


def two(old: dict[str, Any], more: int) -> dict[str, Any]:
    return old


@pytest.mark.parametrize(
    ("handled", "changes"), [((DepartedOnce,), True), ((), False)], ids=["a handled type", "an ignored type"]
)
def test_the_past_is_part_of_a_projections_fingerprint(
    tmp_path: Path, handled: tuple[type[Event], ...], changes: bool
) -> None:
    """Other upcasters give other states: the store has to know, but not where the projection ignores the type."""

    def fingerprint(upcaster: Any = None, **past: Any) -> str:
        flights = topic(tmp_path, DepartedOnce, **past)
        if upcaster is not None:
            flights.upcast(DepartedOnce, version=1)(upcaster)
        ignored = [] if handled else [DepartedOnce]
        board = Projection("board", version=1, topic=flights, state=Board, ignore=ignored)
        for event in handled:
            board.on(event)(departed)
        return board.fingerprint

    plain = fingerprint()
    others = [fingerprint(in_seconds), fingerprint(two_seconds), fingerprint(renamed={"flights.left": DepartedOnce})]
    assert len({plain, *others}) == (4 if changes else 1)
    assert fingerprint(retired=[DepartedOnce]) == plain


class Board(BaseModel):
    """A state."""


def departed(state: Board | None, event: Any) -> Board:
    return Board()


def two_seconds(old: dict[str, Any]) -> dict[str, Any]:
    return old | {"delay_seconds": 2}


@settings(
    deadline=None, max_examples=times(25), suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
@given(st.data())
def test_an_upcaster_that_changes_nothing_changes_nothing(data: st.DataObject) -> None:
    """Data that take the way of upcasters come out as those that are read directly, whatever the event holds.

    Version 1 is resolved to version 2 in plain data, which an upcaster gives on as it is. Read without it, validation
    does the same from what Avro holds.
    """
    slots = data.draw(FIELDS)
    old, new = build(slots), build(data.draw(later(slots)))
    versions = tuple(Version.of(n, event_schema(b.event)) for n, b in enumerate((old, new, new), 1))
    assume(not compare(versions[0].node, versions[1].node))
    nothing = Upcaster("test.happened", 2, dict)
    ways = [Contract(new.event, versions), Contract(new.event, versions, upcasters={("test.happened", 2): nothing})]
    value = Codec(Contracts([Contract(old.event, versions[:1])])).encode(data.draw(old.instances()))
    direct, upcast = (Codec(Contracts([contract])) for contract in ways)
    assume(versions[0].fingerprint != versions[1].fingerprint)
    try:
        expected = direct.decode(value)
    except MalformedRecord:
        assume(False)  # a constraint of the newer class, such as fewer digits, is not what this is about
    assert same(upcast.decode(value).model_dump(), expected.model_dump())
