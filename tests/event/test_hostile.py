"""Bytes from outside that mean harm: each is refused with an error that is typed, and costs little."""

from __future__ import annotations

import enum
import json
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import pytest
from pydantic import AwareDatetime, BaseModel, Field, create_model

from everwhen import Projection, Topic
from everwhen.errors import ArgumentError, ContractError, MalformedRecord, UnknownSchema
from everwhen.event import Event, Int32, contracts, datum, headers, schema, source
from everwhen.event.codec import Codec, ConstantIds
from everwhen.event.contracts import Contract, Contracts, Version
from everwhen.event.model import event_schema
from everwhen.ports.log import Record
from everwhen.worker.intake import Intake
from tests.event.hostile import bound_memory, varint

ROOT = Path(__file__).parents[2]


class Color(enum.Enum):
    RED = 1
    GREEN = 2


class Flag(BaseModel):
    on: bool


class Pair(BaseModel):
    text: str
    number: float


def event_of(**fields: Any) -> Any:
    """Return an event class with these fields."""
    return create_model("Happened", __base__=Event, __cls_kwargs__={"type": "test.happened"}, **fields)


def codec_of(annotation: Any, ids: Any = None) -> tuple[Codec, bytes]:
    """Return the codec of an event with one field, and the frame of its values."""
    event = event_of(a=(annotation, ...))
    version = Version.of(1, event_schema(event))
    codec = Codec(Contracts([Contract(event, (version,))]), None if ids is None else ConstantIds(ids))
    return codec, b"\xc3\x01" + version.fingerprint


def decode(annotation: Any, data: bytes) -> Any:
    """Return what the field of an event holds, given its datum."""
    codec, frame = codec_of(annotation)
    return codec.decode(frame + data).a  # type: ignore[attr-defined]


LONGEST = varint(2**63 - 1)

LIES: dict[str, tuple[Any, bytes, str]] = {
    "an enum's index below zero": (Color, b"\x01", "the enum at byte 10 has no symbol of its index"),
    "an enum's index above the last": (Color, b"\x04", "the enum at byte 10 has no symbol of its index"),
    "a union's branch below zero": (int | None, b"\x01\x08", "the union at byte 10 has no branch of its index"),
    "a union's branch above the last": (int | None, b"\x04", "the union at byte 10 has no branch of its index"),
    "bytes left over": (int, b"\x02\x00", "has 1 bytes left over after its datum"),
    "an int of 2^50": (Int32, varint(2**50), "the int at byte 10 has more than 32 bits"),
    "an over-long number": (int, b"\x82\x80\x00", "the number at byte 10 is written with more bytes than it needs"),
    "an over-long zero": (int, b"\x80\x00", "the number at byte 10 is written with more bytes than it needs"),
    "an over-long branch": (int | None, b"\x80\x00", "the number at byte 10 is written with more bytes than"),
    "a number of 65 bits": (int, b"\x80" * 9 + b"\x02", "the number at byte 10 has more than 64 bits"),
    "a number without end": (int, b"\x80" * 500_000, "the number at byte 10 has more than 64 bits"),
    "a boolean of 2": (bool, b"\x02", "the boolean at byte 10 is neither 0 nor 1"),
    "a length below zero": (str, b"\x01a", "the length at byte 10 is negative"),
    "a length of 65 bits": (str, b"\x8e" + b"\x80" * 8 + b"\x02abcdefg", "the number at byte 10 has more than 64 bits"),
    "a length beyond the value": (str, b"\x08abc", "is truncated ("),
    "a length of 2^63": (bytes, LONGEST, "is truncated ("),
    "a length of 2^63 before a number": (Pair, LONGEST + bytes(8), "is truncated ("),
    "text that is not UTF-8": (str, b"\x02\xff", "a string is not UTF-8"),
    "text with a surrogate": (str, b"\x06\xed\xa0\x80", "a string is not UTF-8"),
    "300,000,000 items": (list[bool], varint(300_000_000), "is truncated: the items from byte 15 on are more than"),
    "2^63 items": (list[float], varint(-(2**63)) + b"\x00", "is truncated: the items from byte 21 on are more than"),
    "2^62 entries": (dict[str, bool], varint(2**62), "is truncated: the items from byte 20 on are more than"),
    "a block of another size": (list[int], b"\x01\x63\x02\x00", "the items of a block end at byte 13, which is not"),
    "a block that is too large": (list[int], b"\x01\x04\x02\x00", "the items of a block end at byte 13, which is not"),
    "a key twice": (dict[str, int], b"\x04\x02a\x02\x02a\x04\x00", "the map with the block at byte 10 has a key twice"),
    "a key twice in two blocks": (dict[str, int], b"\x02\x02a\x02\x02\x02a\x04\x00", "the block at byte 14 has a key"),
    "100,001 items": (list[bool], varint(100_001) + b"\x00" * 100_002, "its lists and maps hold more than 100,000"),
    "50,001 models": (list[Flag], varint(50_001) + b"\x00" * 50_002, "its lists and maps hold more than 100,000"),
    "many lists of many": (
        list[list[bool]],
        (b"\xa0\x06" + (b"\xa0\x06" + b"\x00" * 400 + b"\x00") * 400 + b"\x00"),
        "its lists and maps hold more than 100,000 values",
    ),
    "a decimal of 1,000,000 bytes": (
        Annotated[Decimal, Field(max_digits=12, decimal_places=2)],
        varint(10**6) + b"\x7f" * 10**6,
        "the field a does not follow its logical type",
    ),
    "an instant in the year 300,000": (AwareDatetime, LONGEST, "the field a does not follow its logical type"),
}


@pytest.fixture(params=["as source", "as closures"])
def _each_reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records are read by source that is made for them, and those of a registry's schemas without."""
    if request.param == "as closures":
        monkeypatch.setattr(source, "reader", lambda *_: None)


@pytest.mark.usefixtures("_each_reader")
@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_refused(lie: str) -> None:
    """With the reason and the place, and nothing chained that could hold the payload."""
    annotation, data, reason = LIES[lie]
    with pytest.raises(MalformedRecord, match=re.escape(reason)) as caught:
        decode(annotation, data)
    assert caught.value.__cause__ is None
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "text",
    [
        "0x345678-1234-5678-1234-567812345678",
        "{12345678123456781234567812345678}",
        "1234_678-1234-5678-1234-567812345678",
        "12345678123456781234567812345678",
        "urn:uuid:12345678-1234-5678-1234-567812345678",
        "1234567 -1234-5678-1234-567812345678",
        "\uff11234567-1234-5678-1234-567812345678",
    ],
)
def test_a_uuid_has_one_form(text: str) -> None:
    """That of RFC 4122, in either case; Python alone takes many others."""
    with pytest.raises(MalformedRecord, match="the field a does not follow its logical type"):
        decode(UUID, varint(len(text.encode())) + text.encode())
    upper = b"ABCDEF78-1234-5678-1234-567812345678"
    assert decode(UUID, varint(36) + upper) == UUID(upper.decode())


@pytest.mark.parametrize("data", [b"\x04\x02\x04\x00", b"\x03\x04\x02\x04\x00", b"\x02\x02\x01\x02\x04\x00"])
def test_every_legal_form_of_a_list_is_read(data: bytes) -> None:
    """Writers in other languages give blocks their size, and write several."""
    assert decode(list[int], data) == [1, 2]


def test_an_int_that_lies_is_found_where_the_field_is_gone_or_wider() -> None:
    """The class of today would not notice."""
    old, new = event_of(a=(Int32, ...), gone=(Int32, 0)), event_of(a=(float, ...))
    versions = tuple(Version.of(number, event_schema(event)) for number, event in enumerate((old, new), 1))
    codec = Codec(Contracts([Contract(new, versions)]))
    frame = b"\xc3\x01" + versions[0].fingerprint
    assert codec.decode(frame + b"\x02\x02") == new(a=1.0)
    for data in (varint(2**31) + b"\x02", b"\x02" + varint(2**50)):
        with pytest.raises(MalformedRecord, match="more than 32 bits"):
            codec.decode(frame + data)


def test_as_many_values_as_are_allowed_are_read_and_written() -> None:
    """100,000 pass on both sides; of more, the publisher says so, since no reader would take them."""
    event = event_of(a=(list[int], ...))
    codec = Codec(Contracts([Contract(event, (Version.of(1, event_schema(event)),))]))
    most = event(a=[1] * datum.MAX_VALUES)
    assert codec.decode(codec.encode(most)) == most
    with pytest.raises(ArgumentError, match=r"^test.happened: no reader takes this event, .* publish several smaller"):
        codec.encode(event(a=[1] * (datum.MAX_VALUES + 1)))


def record(*types: Any, name: str = "happened", **more: Any) -> dict[str, Any]:
    fields = [{"name": f"f{number}", "type": each} for number, each in enumerate(types)]
    return {"type": "record", "name": name, "fields": fields, **more}


def nested(levels: int) -> Any:
    found: Any = "int"
    for _ in range(levels):
        found = {"type": "array", "items": found}
    return found


DOUBLING = [record("null", name="R0")] + [record(f"R{n}", f"R{n}", name=f"R{n + 1}") for n in range(50)]

SCHEMAS: dict[str, tuple[Any, str]] = {
    "recursive": (record(["null", "happened"]), "happened contains itself"),
    "100,000 deep": (record(nested(100_000)), "nested deeper than 64 levels"),
    "2^50 types of no byte": (record(*DOUBLING), "made of more than 10,000 types"),
    "100,000 fields": (record(*["int"] * 100_000), "made of more than 10,000 types"),
    "an array of null": (record({"type": "array", "items": "null"}), "the items of its array take no byte"),
    "a map of null": (record({"type": "map", "values": "null"}), "the items of its map take no byte"),
    "an array of arrays of fixed(0)": (
        record({"type": "array", "items": {"type": "array", "items": {"type": "fixed", "name": "F", "size": 0}}}),
        "the items of its array take no byte",
    ),
    "an enum of two megabytes": (
        record({"type": "enum", "name": "E", "symbols": [f"S{n}" for n in range(250_000)]}),
        "longer than 1,048,576 bytes",
    ),
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_registrys_schema_is_bounded(name: str) -> None:
    """The error names the schema and the rule."""
    found, reason = SCHEMAS[name]
    codec, _ = codec_of(int, {7: found})
    with pytest.raises(UnknownSchema, match=f"^the registry's schema 7 cannot be used: .*{re.escape(reason)}"):
        codec.decode(b"\x00\x00\x00\x00\x07\x02")


@pytest.mark.parametrize("name", [name for name in SCHEMAS if not name.startswith("100,000")])
def test_a_contract_file_is_bounded(name: str, tmp_path: Path) -> None:
    """The error names the file and the rule."""
    path = _contract_file(tmp_path, json.dumps(SCHEMAS[name][0]))
    with pytest.raises(ContractError, match=f"{re.escape(str(path))}: .*{re.escape(SCHEMAS[name][1])}"):
        contracts.check(tmp_path, [event_of(a=(int, ...))])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"items":' * 100_000, r"cannot be read as JSON \(RecursionError\)"),
        ("[" * 100_000, r"cannot be read as JSON \(RecursionError\)"),
        (json.dumps(record(doc="x" * schema.MAX_SCHEMA_BYTES)), "is longer than 1,048,576 bytes"),
        (json.dumps(record(*["int"] * 10_000)), "is made of more than 10,000 types"),
        (json.dumps(record(nested(200))), "nested deeper than 64 levels"),
    ],
)
def test_a_contract_file_is_bounded_before_it_is_parsed(text: str, reason: str, tmp_path: Path) -> None:
    """Brackets 100,000 deep have brought down parsers, ours among them if it were fastavro's."""
    path = _contract_file(tmp_path, text)
    with pytest.raises(ContractError, match=f"{re.escape(str(path))}:? .*{reason}"):
        contracts.check(tmp_path, [event_of(a=(int, ...))])


def _contract_file(root: Path, text: str) -> Path:
    path = root / "test.happened" / "1.avsc"
    path.parent.mkdir()
    path.write_text(text)
    return path


@pytest.mark.parametrize("where", ["doc", "default", "logicalType", "aliases", "items"])
def test_what_readers_do_not_look_at_harms_nobody(where: str) -> None:
    """However deep it is: nothing walks it."""
    deep: Any = "x"
    for _ in range(100_000):
        deep = [deep]
    plain = Version.of(1, record("int"))
    part = {"name": "f0", "type": {"type": "int", where: deep}, "doc": deep}
    version = Version.of(1, {**record(), "fields": [part], "aliases": deep})
    assert version.fingerprint == plain.fingerprint


def test_the_table_in_the_docs_is_true() -> None:
    """Each bound stands in docs/contracts.md as the constant has it."""
    section = (ROOT / "docs" / "contracts.md").read_text().partition("## Bytes that lie")[2]
    rows = dict(re.findall(r"^\| ([^|]+) \| ([\d,]+)", section, re.MULTILINE))
    assert rows == {
        "a schema: its length in bytes": f"{schema.MAX_SCHEMA_BYTES:,}",
        "a schema: levels of types in one another": f"{schema.MAX_DEPTH:,}",
        "a schema: types it is made of, references followed": f"{schema.MAX_TYPES:,}",
        "an event: values in its lists and maps, however nested": f"{datum.MAX_VALUES:,}",
        "the entity's id, an event's id: bytes of UTF-8": f"{headers.ID_LIMIT:,}",
    }


HEADERS: list[tuple[str, bytes | None]] = [
    ("ce_specversion", b"1.0"),
    ("ce_id", b"1"),
    ("ce_type", b"a.b"),
    ("ce_time", b"2013-01-01T05:15:00Z"),
]


class Counted(str):
    """A header's name that counts how often it is hashed or compared."""

    work = 0

    def __hash__(self) -> int:
        Counted.work += 1
        return super().__hash__()

    def __eq__(self, other: object) -> bool:
        Counted.work += 1
        return super().__eq__(other)


@pytest.mark.parametrize("name", ["x", "ce_id"])
def test_the_work_for_headers_grows_with_their_number(name: str) -> None:
    """100,000 of one name are looked at a few times each."""
    Counted.work = 0
    many = [(Counted(name), b"1") for _ in range(100_000)]
    if name == "x":
        headers.parse([*HEADERS, *many], b"acc-1")
    else:
        with pytest.raises(MalformedRecord, match=r"^the header ce_id stands more than once$"):
            headers.parse([*HEADERS, *many], b"acc-1")
    assert Counted.work < 1_500_000


@pytest.mark.parametrize("name", ["ce_specversion", "ce_time", "ce_subject"])
@pytest.mark.parametrize("value", [b"1" * 10**6, b"\xff" * 10**6, b"1." * 500_000, b"\x00" * 20])
def test_a_header_of_a_megabyte_is_refused_in_few_words(name: str, value: bytes) -> None:
    """The message holds nothing of it."""
    changed = [*(header for header in HEADERS if header[0] != name), (name, value)]
    with pytest.raises(MalformedRecord) as caught:
        headers.parse(changed, b"acc-1")
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("key", "name"), [(b"k" * 10**6, b"test.happened"), (b"acc-1", b"t" * 10**6), (b"\xff" * 10**6, b"test.happened")]
)
def test_a_key_or_type_of_a_megabyte_is_shown_short(key: bytes, name: bytes, tmp_path: Path) -> None:
    """A worker's message names the entity and the type, whatever they are, and goes into its log."""
    event = event_of(a=(int, ...))
    contracts.write(tmp_path, [event])
    projection = Projection("p", version=1, topic=Topic("t", events=[event], schemas=tmp_path), state=Flag)
    projection.on(event)(lambda state, event: state)
    found = [*(header for header in HEADERS if header[0] != "ce_type"), ("ce_type", name)]
    with pytest.raises(MalformedRecord, match=r"^t\[0\]@7, entity ") as caught:
        Intake(projection).read(Record(0, 7, 0, key, b"", tuple(found)), 0)
    assert len(str(caught.value)) < 3_000


def test_a_schema_header_that_stands_twice_is_malformed() -> None:
    """Clients differ in which of two they take."""
    codec, _ = codec_of(int, {7: record("int")})
    twice = [("__value_schema_id", b"\x00\x00\x00\x00\x07")] * 2
    with pytest.raises(MalformedRecord, match=r"^the header __value_schema_id stands more than once$"):
        codec.decode(b"\x02", twice)


WORST: dict[str, tuple[Any, bytes]] = {
    "items of a byte": (list[bool], varint(100_000) + bytes(100_001)),
    "models of a byte": (list[Flag], varint(50_000) + bytes(50_001)),
    "lists of no item": (list[list[int]], varint(100_000) + bytes(100_001)),
    "instants": (list[AwareDatetime], varint(100_000) + bytes(100_001)),
    "decimals": (
        list[Annotated[Decimal, Field(max_digits=12, decimal_places=2)]],
        varint(100_000) + b"\x02\x01" * 100_000 + b"\x00",
    ),
    "100,000 broken rules": (list[Annotated[int, Field(gt=0)]], varint(100_000) + bytes(100_001)),
    "a text of 16 MB": (str, varint(16 * 10**6) + "\U0001f600".encode() * 4 * 10**6),
}


def decode_the_worst() -> None:
    """Decode what costs most for its bytes, with 256 MB to spare; run in a process of its own."""
    codecs = {name: codec_of(annotation) for name, (annotation, _) in WORST.items()}
    bound_memory()
    for name, (codec, frame) in codecs.items():
        try:
            codec.decode(frame + WORST[name][1])
            print(f"{name}: read")
        except MalformedRecord as error:
            print(f"{name}: {error}")


def run(*arguments: str, cpu_seconds: int) -> str:
    """Run Python in a process of its own and return what it printed; it has so much processor time."""
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_CPU, ({cpu_seconds}, {cpu_seconds}));"
    done = subprocess.run(
        [sys.executable, "-c", limit + arguments[0], *arguments[1:]], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_worst_that_is_legal_is_cheap() -> None:
    """No value takes 256 MB, and all of them together a second or two."""
    printed = run("from tests.event.test_hostile import decode_the_worst; decode_the_worst()", cpu_seconds=20)
    assert printed.count(": read\n") == len(WORST) - 1
    assert "100,000 broken rules: the value is refused by its class: a: greater_than (" in printed


@pytest.mark.parametrize("seed", [1, 2])
def test_we_accept_what_the_specification_accepts(seed: int) -> None:
    """10,000 inputs a seed: what the reference reads we read alike, what it refuses we refuse, and nothing crashes."""
    program = "from tests.event.hostile import main; main()"
    printed = run(program, "--seed", str(seed), "--inputs", "10000", cpu_seconds=60)
    found = re.search(r"(\d+) inputs, (\d+) of them accepted, no difference", printed)
    assert found is not None
    assert int(found[1]) >= 10_000
    assert 0.2 < int(found[2]) / int(found[1]) < 0.6
