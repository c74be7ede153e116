"""The codec: frames, versions, a registry's schemas, and what is said of bytes that are no event."""

from __future__ import annotations

import enum
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from io import BytesIO
from typing import Annotated, Any, Literal

import fastavro
import pytest
from pydantic import AwareDatetime, BaseModel, Field, create_model, field_validator

from everwhen.errors import ArgumentError, MalformedRecord, UnknownSchema
from everwhen.event import Event, Float32, Int32
from everwhen.event.avro import Schema
from everwhen.event.codec import Codec, ConstantIds, SchemaRef
from everwhen.event.contracts import Contract, Contracts, Version
from everwhen.event.model import event_schema

GUID = uuid.UUID("12345678-1234-5678-1234-567812345678")
NOON = datetime(2026, 3, 1, 12, tzinfo=timezone(timedelta(hours=2)))

Amount = Annotated[Decimal, Field(max_digits=12, decimal_places=2)]


class Color(enum.Enum):
    RED = "#f00"
    GREEN = "#0f0"


class Point(BaseModel):
    kind: Literal["point"] = "point"
    x: Int32
    color: Color | None = None


class Line(BaseModel):
    kind: Literal["line"] = "line"
    ends: tuple[Point, ...] = ()


Shape = Annotated[Point | Line, Field(discriminator="kind")]


class Departed(Event, type="flights.departed"):
    origin: str
    delay: int


class Everything(Event, type="test.everything"):
    amount: Amount
    at: AwareDatetime
    day: date | None
    id: uuid.UUID
    ratio: Float32
    colors: list[Color]
    maybe: tuple[Color, ...] | None
    notes: dict[str, bytes] | None
    shape: Shape
    other: Shape | None
    where: Point | None


EVERYTHING = Everything(
    amount=Decimal("-1.5"),
    at=NOON,
    day=date(2026, 3, 1),
    id=GUID,
    ratio=0.1,
    colors=[Color.RED, Color.GREEN],
    maybe=(Color.GREEN,),
    notes={"": b"\x00"},
    shape=Line(ends=(Point(x=1, color=Color.RED),)),
    other=Point(x=-1),
    where=Point(x=2),
)


def codec(*versions: type[Event], ids: dict[SchemaRef, Schema] | None = None) -> Codec:
    """Return the codec of an event type with the versions that its classes give, the last one being today's."""
    found = [Version.of(number, event_schema(event)) for number, event in enumerate(versions, 1)]
    return Codec(Contracts([Contract(versions[-1], tuple(found))]), None if ids is None else ConstantIds(ids))


def departed(**fields: Any) -> Any:
    """Return the class Departed as it is after a change."""
    return create_model("Departed", __base__=Event, __cls_kwargs__={"type": "flights.departed"}, **fields)


FIELDS: dict[str, Any] = {"origin": (str, ...), "delay": (int, ...)}


def datum(event: Event) -> bytes:
    """An event's datum without a frame, as fastavro alone writes it."""
    buffer = BytesIO()
    fastavro.schemaless_writer(buffer, event_schema(type(event)), event.model_dump())
    return buffer.getvalue()


def test_an_event_is_framed_in_the_single_object_encoding() -> None:
    """Marker, fingerprint with the least significant byte first, datum."""
    event = Departed(origin="JFK", delay=-2)
    value = codec(Departed).encode(event)
    assert value == bytes.fromhex("c301") + Version.of(1, event_schema(Departed)).fingerprint + datum(event)
    assert codec(Departed).decode(value) == event


def test_every_type_of_field_comes_back() -> None:
    """With values of the declared types inside, whatever they are nested in."""
    again = codec(Everything).decode(codec(Everything).encode(EVERYTHING))
    assert again == EVERYTHING
    assert isinstance(again, Everything)
    assert again.colors[0] is Color.RED
    assert again.at.tzinfo is UTC
    assert str(again.amount) == "-1.50"
    assert again.maybe == (Color.GREEN,)
    assert isinstance(again.shape, Line)
    assert isinstance(again.other, Point)


def test_none_comes_back_as_none() -> None:
    """In every kind of optional field."""
    changes = dict.fromkeys(("day", "maybe", "notes", "other", "where"))
    event = Everything(**{**dict(EVERYTHING), **changes})
    assert codec(Everything).decode(codec(Everything).encode(event)) == event


def test_a_registry_that_knows_the_schema_gives_the_frame() -> None:
    """Confluent's: a zero, the id with the most significant byte first, the datum."""
    event = Departed(origin="JFK", delay=3)
    known = codec(Departed, ids={258: event_schema(Departed)})
    assert known.encode(event) == b"\x00\x00\x00\x01\x02" + datum(event)
    assert known.decode(known.encode(event)) == event
    assert codec(Departed, ids={}).encode(event) == codec(Departed).encode(event)


@pytest.mark.parametrize(
    ("ref", "header"), [(7, b"\x00\x00\x00\x00\x07"), (GUID, b"\x01" + GUID.bytes)], ids=["id", "guid"]
)
def test_the_header_form_is_read(ref: SchemaRef, header: bytes) -> None:
    """The header __value_schema_id, with an id or a GUID; the value is the bare datum."""
    event = Departed(origin="JFK", delay=3)
    headers = [("other", b"\xff"), ("__value_schema_id", header)]
    assert codec(Departed, ids={ref: event_schema(Departed)}).decode(datum(event), headers) == event


def test_all_frames_are_read_whatever_is_written() -> None:
    """A codec with a registry reads values that were written without, and the other way round after a change."""
    event = Departed(origin="JFK", delay=3)
    known = codec(Departed, ids={1: event_schema(Departed), GUID: event_schema(Departed)})
    for value, headers in (
        (codec(Departed).encode(event), None),
        (known.encode(event), []),
        (datum(event), [("__value_schema_id", b"\x01" + GUID.bytes)]),
    ):
        assert known.decode(value, headers) == event


def test_the_header_counts_where_the_datum_looks_like_a_frame() -> None:
    """A datum can start with any byte, a zero among them."""
    counted = departed(delay=(int, ...))
    event = counted(delay=0)
    assert datum(event) == b"\x00"
    known = codec(counted, ids={7: event_schema(counted)})
    assert known.decode(b"\x00", [("__value_schema_id", bytes([0, 0, 0, 0, 7]))]) == event


def test_an_old_version_is_fitted_to_todays_class() -> None:
    """Gone fields are dropped, new ones have their default, numbers are widened, symbols found by name."""
    old = departed(origin=(str, ...), delay=(Int32, ...), gone=(list[float], ...), color=(Color, ...))
    new = departed(color=(Color | None, ...), delay=(float, ...), at=(AwareDatetime, NOON), origin=(bytes, ...))
    value = codec(old).encode(old(origin="JFK", delay=3, gone=[1.5], color=Color.GREEN))
    again: Any = codec(old, new).decode(value)
    assert again == new(color=Color.GREEN, delay=3.0, at=NOON, origin=b"JFK")
    assert type(again.delay) is float


def test_a_model_can_become_a_member_of_a_union() -> None:
    """Its old values have no discriminator; the literal's default stands for it."""
    plain = create_model("Point", x=(Int32, ...))
    old, new = (
        departed(shape=(plain, ...), shapes=(list[plain], ...)),
        departed(shape=(Shape, ...), shapes=(list[Shape], ...)),
    )
    value = codec(old).encode(old(shape=plain(x=5), shapes=[plain(x=6)]))
    assert codec(old, new).decode(value) == new(shape=Point(x=5), shapes=[Point(x=6)])


def test_each_version_is_read_with_its_own_schema() -> None:
    """Three versions of a type side by side."""
    first, second, third = (
        departed(a=(int, ...)),
        departed(b=(str, "b"), a=(int, ...)),
        departed(a=(float, ...), c=(Amount, Decimal(0))),
    )
    today = codec(first, second, third)
    assert today.decode(codec(first).encode(first(a=1))) == third(a=1)
    assert today.decode(codec(second).encode(second(b="x", a=2))) == third(a=2)
    assert today.decode(codec(third).encode(third(a=3, c="1.5"))) == third(a=3, c="1.5")


VALUE = codec(Departed).encode(Departed(origin="JFK", delay=300))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "the value is null (a tombstone); an event has a value"),
        (b"", "the value is empty; it has neither"),
        (b"{}", "the value starts with 0x7b7d; it has neither"),
        (b"\xc3\x02" + VALUE[2:], "the value starts with 0xc302; it has neither"),
        (b"\xc3", "the value starts with 0xc3; it has neither"),
        (VALUE[:2], "the value is truncated within its schema fingerprint"),
        (VALUE[:9], "the value is truncated within its schema fingerprint"),
        (VALUE[:10], "the value is truncated (flights.departed version 1)"),
        (VALUE[:-1], "the value is truncated (flights.departed version 1)"),
        (VALUE + b"xy", "the value has 2 bytes left over after its datum (flights.departed version 1)"),
        (VALUE[:10] + b"\x02\xff\x00", "the value does not follow its schema: a string is not UTF-8 (flights.departed"),
        (VALUE[:10] + b"\x01" + VALUE[11:], "the value does not follow its schema: the length at byte 10 is negative"),
        (b"\x00\x00\x00\x01", "the value is truncated within its schema id"),
    ],
    ids=repr,
)
def test_bytes_that_are_no_event_are_malformed(value: bytes | None, message: str) -> None:
    """The message says what is wrong, in words that a position can be put before."""
    with pytest.raises(MalformedRecord) as caught:
        codec(Departed).decode(value, [])
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("header", [None, b"", b"\x00", b"\x00\x00\x00\x01", b"\x01" + bytes(15), b"\x02" + bytes(4)])
def test_a_schema_header_that_cannot_be_read_is_malformed(header: bytes | None) -> None:
    """It is named."""
    with pytest.raises(MalformedRecord, match=r"^the header __value_schema_id is neither 00 and a 4-byte id nor 01"):
        codec(Departed).decode(b"", [("__value_schema_id", header)])


def strange(**changes: Any) -> Schema:
    return {**event_schema(Departed), **changes}


@pytest.mark.parametrize(
    ("schemas", "message"),
    [
        (None, "the value refers to the schema 7 of a registry, and no registry is configured"),
        ({}, "the registry does not know the schema 7"),
        (
            {7: strange(name="landed")},
            "the registry's schema 7 is of the type flights.landed; add its class to the topic's events",
        ),
        (
            {7: strange(fields=[])},
            "Departed cannot read the registry's schema 7: origin: the writer lacks the field",
        ),
        (
            {7: strange(fields=[{"name": "next", "type": ["null", "departed"]}])},
            "the registry's schema 7 cannot be used: flights.departed contains itself",
        ),
        ({7: "string"}, "the registry's schema 7 cannot be used: it is not an Avro schema of a record"),
    ],
)
def test_a_reference_that_leads_nowhere_is_unknown(schemas: Any, message: str) -> None:
    """What the registry has, and what is to be done."""
    with pytest.raises(UnknownSchema) as caught:
        codec(Departed, ids=schemas).decode(b"\x00\x00\x00\x00\x07")
    assert str(caught.value).startswith(message)


def test_a_strange_fingerprint_is_unknown() -> None:
    """It is shown as people write it, most significant byte first."""
    with pytest.raises(UnknownSchema, match=r"^no contract has the schema fingerprint 0807060504030201; add the"):
        codec(Departed).decode(b"\xc3\x01\x01\x02\x03\x04\x05\x06\x07\x08")


def test_a_registrys_older_schema_is_fitted_to_todays_class() -> None:
    """It need not be among the files, if today's class can read it."""
    old = departed(origin=(str, ...), delay=(Int32, ...), more=(bool, ...))
    value = b"\x00\x00\x00\x00\x07" + datum(old(origin="JFK", delay=1, more=True))
    assert codec(Departed, ids={7: event_schema(old)}).decode(value) == Departed(origin="JFK", delay=1)


def test_a_registry_is_asked_once_for_a_schema() -> None:
    """In both directions: it is a network away."""
    asked: list[object] = []

    class Counting(ConstantIds):
        def id_for(self, schema: Schema) -> int | None:
            asked.append(schema["name"])
            return super().id_for(schema)

        def schema_for(self, ref: SchemaRef) -> Schema | None:
            asked.append(ref)
            return super().schema_for(ref)

    contract = Contract(Departed, (Version.of(1, event_schema(Departed)),))
    counting = Codec(Contracts([contract]), Counting({7: event_schema(Departed)}))
    for _ in range(3):
        counting.decode(counting.encode(Departed(origin="JFK", delay=1)))
    assert asked == ["departed", 7]


class Picky(Event, type="test.picky"):
    name: str = Field(max_length=3)
    counts: dict[str, Annotated[int, Field(gt=0)]] = Field(default={})

    @field_validator("name")
    @classmethod
    def _check(cls, value: str) -> str:
        if value == "bad":
            raise ValueError("bad is a secret")
        if value == "odd":
            raise KeyError("a secret")
        return value


class Lax(Event, type="test.picky"):
    name: str
    counts: dict[str, int] = Field(default={})


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (Lax(name="secret"), "the value is refused by its class: name: string_too_long (test.picky version 1)"),
        (Lax(name="bad"), "the value is refused by its class: name: value_error (test.picky version 1)"),
        (
            Lax(name="secret", counts={"secret": 0, "secrets": -1}),
            "the value is refused by its class: counts: greater_than; name: string_too_long (test.picky version 1)",
        ),
        (Lax(name="odd"), "the value made its class raise KeyError (test.picky version 1)"),
    ],
)
def test_validation_says_field_and_rule_and_never_the_value(event: Event, message: str) -> None:
    """Neither in the message, nor in an error that is chained to it, but for what a validator itself raised."""
    with pytest.raises(MalformedRecord) as caught:
        codec(Picky).decode(codec(Lax).encode(event))
    assert str(caught.value) == message
    assert isinstance(caught.value.__cause__, KeyError | None)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"id": "secret"}, "id"),
        ({"at": 2**60}, "at"),
        ({"day": 2**31 - 1}, "day"),
        ({"amount": b"\x7f" * 99}, "amount"),
        ({"amount": b""}, "amount"),
    ],
)
def test_a_value_that_does_not_follow_its_logical_type_is_named(changes: Any, field: str) -> None:
    """A writer in another language may have put anything into the primitive type below it."""

    class Raw(Event, type="test.logical"):
        id: str = str(GUID)
        at: int = 0
        day: Int32 = 0
        amount: bytes = b"\x00"

    class Fine(Event, type="test.logical"):
        id: uuid.UUID
        at: AwareDatetime
        day: date
        amount: Amount

    value = codec(Raw).encode(Raw(**changes))
    assert codec(Fine).decode(codec(Raw).encode(Raw())) == Fine(
        id=GUID, at=datetime(1970, 1, 1, tzinfo=UTC), day=date(1970, 1, 1), amount=Decimal(0)
    )
    with pytest.raises(MalformedRecord, match=f"^the field {field} does not follow its logical type$"):
        codec(Fine).decode(value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Departed(origin="JFK", delay=2**63),
            "delay is outside the range of its Avro type; an int has 64 bits",
        ),
        (lambda: Departed(origin="JFK", delay=-(2**63) - 1), "delay is outside the range of its Avro type"),
        (
            lambda: Departed.model_construct(origin="\ud800", delay=1),
            "origin holds a lone surrogate, which is not text",
        ),
        (
            lambda: departed(**FIELDS).model_construct(origin="JFK"),
            "delay is missing or is not of its declared type",
        ),
        (
            lambda: departed(**FIELDS).model_construct(origin=5, delay=1),
            "origin does not fit its Avro type; build events through",
        ),
        (lambda: EVERYTHING.model_copy(update={"amount": Decimal("0.001")}), "amount does not fit its Avro type"),
        (lambda: EVERYTHING.model_copy(update={"colors": ["RED"]}), "colors is missing or is not of its declared type"),
        (lambda: EVERYTHING.model_copy(update={"where": {"x": 1}}), "where is missing or is not of its declared type"),
        (lambda: EVERYTHING.model_copy(update={"shape": Color.RED}), "shape is missing or is not of its declared type"),
        (
            lambda: EVERYTHING.model_copy(update={"at": datetime.max.replace(tzinfo=timezone(-timedelta(hours=1)))}),
            "at lies outside the years 1 to 9999 in UTC",
        ),
    ],
)
def test_an_event_that_cannot_be_written_names_its_field(make: Callable[[], Event], message: str) -> None:
    """The type and the field, why, and never the value, in a chained error neither."""
    event = make()
    with pytest.raises(ArgumentError) as caught:
        codec(type(event)).encode(event)
    assert str(caught.value).startswith(f"{type(event).__event_type__}: the field {message}")
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_class_that_the_topic_does_not_hold_is_refused() -> None:
    """Its subclasses are other classes."""

    class Delayed(Departed, type="flights.delayed"):
        pass

    with pytest.raises(ArgumentError, match=r"^Delayed is not among the topic's events; add it to Topic\(events="):
        codec(Departed).encode(Delayed(origin="JFK", delay=1))


def test_a_removed_list_cannot_make_the_reader_spin() -> None:
    """Its items are counted like those of a field that is still there; nothing is skipped unread."""
    old, new = departed(gone=(list[float], ...), a=(int, 0)), departed(a=(int, 0))
    value = codec(old).encode(old(gone=[]))
    hostile = value[:10] + b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f"
    with pytest.raises(MalformedRecord, match="truncated"):
        codec(old, new).decode(hostile)


def test_the_end_of_a_removed_field_is_noticed() -> None:
    """Nor does a removed field at the end hide that the value was cut."""
    old, new = departed(a=(int, 0), gone=(float, ...)), departed(a=(int, 0))
    value = codec(old).encode(old(gone=1.5))
    assert codec(old, new).decode(value) == new(a=0)
    with pytest.raises(MalformedRecord, match="truncated"):
        codec(old, new).decode(value[:-1])


def test_a_union_written_by_others_needs_its_discriminator() -> None:
    """A union of records without one is refused by validation, not by an error of ours."""
    members: list[Schema] = [
        {"type": "record", "name": name, "namespace": "flights.departed", "fields": []} for name in ("A", "B")
    ]
    schema = {**event_schema(Departed), "fields": [{"name": "shape", "type": members}]}

    class A(BaseModel):
        kind: Literal["a"] = "a"
        color: Color = Color.RED

    class B(BaseModel):
        kind: Literal["b"] = "b"

    today = departed(shape=(Annotated[A | B, Field(discriminator="kind")], ...))
    with pytest.raises(MalformedRecord, match="shape: union_tag_not_found"):
        codec(today, ids={7: schema}).decode(b"\x00\x00\x00\x00\x07\x02")
