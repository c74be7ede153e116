"""Records that are written by source made for their schema: fastavro's bytes. Reading is tested as hostile."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_writer
from hypothesis import given, settings
from hypothesis import strategies as st

from everwhen.event import datum, source
from everwhen.event.schema import resolve
from tests.longer import times

INT, LONG = st.integers(-(2**31), 2**31 - 1), st.integers(-(2**63), 2**63 - 1)
NEAR = st.sampled_from([sign * (1 << bits) + step for bits in range(63) for sign in (1, -1) for step in (-1, 0, 1)])
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "string": st.text(st.characters(exclude_categories=["Cs"]), max_size=80),
    "bytes": st.binary(max_size=80),
    "int": INT,
    "long": LONG | NEAR,
    "boolean": st.booleans(),
    "double": st.floats(allow_nan=False),
}
TYPES = st.sampled_from(sorted(VALUES)).flatmap(lambda kind: st.sampled_from([kind, ["null", kind], [kind, "null"]]))


def value_of(kind: Any) -> st.SearchStrategy[Any]:
    """A value of a type."""
    if isinstance(kind, str):
        return VALUES[kind]
    return st.none() | VALUES[next(each for each in kind if each != "null")]


def record(kinds: list[Any]) -> dict[str, Any]:
    """The schema of a record with fields of these types."""
    fields = [{"name": f"f{number}", "type": kind} for number, kind in enumerate(kinds)]
    return {"type": "record", "name": "r", "fields": fields}


def by_fastavro(schema: Any, values: Any) -> bytes:
    """What fastavro writes."""
    buffer = BytesIO()
    schemaless_writer(buffer, parse_schema(schema), values)
    return buffer.getvalue()


@given(st.lists(TYPES, max_size=6), st.data())
@settings(max_examples=times(300), deadline=None)
def test_a_record_is_written_as_by_fastavro_and_read_again(kinds: list[Any], data: st.DataObject) -> None:
    """Of every type that is written so, null or not, at the ends of every length of a varint."""
    schema, node = record(kinds), resolve(record(kinds))
    values = {f"f{number}": data.draw(value_of(kind)) for number, kind in enumerate(kinds)}
    write = source.writer(node)
    assert write is not None
    written = write(values)
    assert written == by_fastavro(schema, values)
    assert datum.reader(node, compiled=True)(written, 0) == datum.reader(node)(written, 0) == values


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("string", b"bytes"),
        ("string", 1),
        ("bytes", "text"),
        ("bytes", bytearray(b"x")),
        ("int", 2**31),
        ("int", -(2**31) - 1),
        ("int", True),
        ("long", 2**63),
        ("long", -(2**63) - 1),
        ("long", 1.0),
        ("long", None),
        ("boolean", 1),
        ("double", 1),
        (["null", "string"], 1),
    ],
)
def test_a_value_that_is_not_exactly_of_its_type_is_left_to_fastavro(kind: Any, value: object) -> None:
    """Which says whether it fits."""
    write = source.writer(resolve(record([kind])))
    assert write is not None
    assert write({"f0": value}) is None


@pytest.mark.parametrize(
    "kind", [{"type": "array", "items": "long"}, {"type": "map", "values": "long"}, "float", ["string", "long"], "null"]
)
def test_other_types_are_left_to_fastavro(kind: Any) -> None:
    """A record that has one is written by it as a whole."""
    assert source.writer(resolve(record(["string", kind]))) is None


def test_no_name_that_avro_does_not_allow_gets_into_source() -> None:
    """Files are checked when they are read; this holds without that."""
    node = resolve(record(["long"]))
    lying = type(node)("record", children={"f0'] or exit() #": node.children["f0"]})
    assert source.writer(lying) is None
    assert source.reader(lying, lambda _: pytest.fail("asked"), 1) is None
