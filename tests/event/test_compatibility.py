"""Compatibility: which changes of a schema keep old events readable."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from everwhen.errors import ContractError
from everwhen.event.compatibility import check
from everwhen.event.model import event_schema
from tests.event.generated import FIELDS, build

relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

UUID = {"type": "string", "logicalType": "uuid"}
INSTANT = {"type": "long", "logicalType": "timestamp-micros"}


def record(**fields: Any) -> dict[str, Any]:
    """A schema with these fields; a tuple is a type and its default."""
    found = [
        {"name": name, "type": part[0], "default": part[1]} if isinstance(part, tuple) else {"name": name, "type": part}
        for name, part in fields.items()
    ]
    return {"type": "record", "name": "happened", "namespace": "test", "fields": found}


def named(name: str, **fields: Any) -> dict[str, Any]:
    return {**record(**fields), "name": name, "namespace": "test.happened"}


def decimal(precision: int, scale: int) -> dict[str, Any]:
    return {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}


def symbols(*names: str) -> dict[str, Any]:
    return {"type": "enum", "name": "Color", "namespace": "test.happened", "symbols": list(names)}


@relaxed
@given(st.data())
def test_a_schema_reads_itself(data: st.DataObject) -> None:
    """Every schema of the subset can read what was written with it."""
    schema = event_schema(build(data.draw(FIELDS)).event)
    assert check(schema, json.loads(json.dumps(schema))) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (record(a="int"), record(a="long")),
        (record(a="int"), record(a="double")),
        (record(a="float"), record(a="double")),
        (record(a="string"), record(a="bytes")),
        (record(a="int", b="int"), record(b="int")),
        (record(a="int", b="int"), record(b="int", a="int")),
        (record(), record(a=("int", 1))),
        (record(a="int"), record(a=["null", "long"])),
        (record(a=["null", "int"]), record(a=["long", "null"])),
        (record(a=symbols("X")), record(a=symbols("Y", "X"))),
        (record(a=named("A", x="int")), record(a=[named("B"), named("A", x="long", y=(UUID, "-"))])),
        (record(a=[named("A")]), record(a=named("A"))),
    ],
)
def test_a_harmless_change_passes(old: Any, new: Any) -> None:
    """Promotions, removals, additions with a default, wider unions and enums, and another order are compatible."""
    assert check(old, new) == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            record(),
            record(a="int"),
            "a: the writer lacks the field, and the reader a default for it (writer: nothing; reader: int)",
        ),
        (record(a="long"), record(a="int"), "a: the type is another one (writer: long; reader: int)"),
        (record(a="bytes"), record(a="string"), "a: bytes need not be UTF-8 (writer: bytes; reader: string)"),
        (
            record(a="string"),
            record(a=UUID),
            "a: the logical type is another one (writer: string; reader: string (uuid))",
        ),
        (
            record(a="int"),
            record(a=INSTANT),
            "a: the logical type is another one (writer: int; reader: long (timestamp-micros))",
        ),
        (
            record(a=["null", "int"]),
            record(a=["null", INSTANT]),
            "a: the logical type is another one (writer: int; reader: long (timestamp-micros))",
        ),
        (
            record(a=decimal(12, 2)),
            record(a=decimal(12, 3)),
            "a: the precision or scale is another one (writer: bytes (decimal, 12, 2); reader: bytes (decimal, 12, 3))",
        ),
        (
            record(a=decimal(12, 2)),
            record(a=decimal(14, 2)),
            "a: the precision or scale is another one (writer: bytes (decimal, 12, 2); reader: bytes (decimal, 14, 2))",
        ),
        (
            record(a=symbols("X", "Y")),
            record(a=symbols("Y")),
            "a: the reader lacks a symbol, and a default for it (writer: X; reader: one of Y)",
        ),
        (record(a=["null", "int"]), record(a="int"), "a: the reader takes no null (writer: null; reader: int)"),
        (
            record(a=[named("A"), named("B")]),
            record(a=[named("A"), named("C")]),
            "a: no branch of the reader's union takes it "
            "(writer: test.happened.B; reader: test.happened.A or test.happened.C)",
        ),
        (
            record(a={"type": "array", "items": {"type": "map", "values": named("A", x="int")}}),
            record(a={"type": "array", "items": {"type": "map", "values": named("A", x="boolean")}}),
            "a[]{}.x: the type is another one (writer: int; reader: boolean)",
        ),
        (
            record(),
            {**record(), "namespace": "other"},
            "the event: the type has another namespace (writer: test.happened; reader: other.happened)",
        ),
        (
            record(a={"type": "fixed", "name": "F", "size": 2}),
            record(a={"type": "fixed", "name": "F", "size": 3}),
            "a: the size is another one (writer: 2; reader: 3)",
        ),
        (
            record(a={"type": "array", "items": "int"}),
            record(a="int"),
            "a: the type is another one (writer: array of int; reader: int)",
        ),
    ],
)
def test_a_harmful_change_is_named(old: Any, new: Any, message: str) -> None:
    """The field, the rule and both sides are in the message."""
    assert [str(found) for found in check(old, new)] == [message]


def test_every_reason_is_given() -> None:
    """All that is wrong is listed, in the order of the new fields."""
    old = record(a="int", b=symbols("X", "Y"), c=["null", "int"])
    new = record(c="boolean", b=symbols("Z"), d="int")
    assert [found.path for found in check(old, new)] == ["c", "c", "b", "b", "d"]


def test_a_type_used_twice_is_reported_once() -> None:
    """A model in two fields is one type of the schema, so its change is one incompatibility."""
    old = record(a=named("A", x="int"), b="test.happened.A")
    new = record(a=named("A", x="string"), b="test.happened.A")
    assert [found.path for found in check(old, new)] == ["a.x"]


TREE = record(left=["null", "test.happened"], size="int")
"""A type that contains itself."""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            record(),
            {**record(), "namespace": "other"},
            "the event: the type has another namespace (writer: test.happened; reader: other.happened)",
        ),
        (
            record(),
            {**record(), "name": "took_place", "aliases": ["happened"]},
            "the event: the reader knows it by an alias only (writer: test.happened; reader: test.took_place)",
        ),
        (
            record(a="int"),
            {**record(), "fields": [{"name": "b", "type": "long", "aliases": ["a"]}]},
            "b: the reader knows it by an alias only (writer: a; reader: b)",
        ),
        (
            record(a=symbols("X", "Y")),
            record(a={**symbols("X"), "default": "X"}),
            "a: the reader takes its default for a symbol that it lacks (writer: Y; reader: one of X)",
        ),
        (
            record(a={"type": "long", "logicalType": "timestamp-millis"}),
            record(a=INSTANT),
            "a: the logical type is another one (writer: long (timestamp-millis); reader: long (timestamp-micros))",
        ),
        (record(a="bytes"), record(a="string"), "a: bytes need not be UTF-8 (writer: bytes; reader: string)"),
    ],
)
def test_what_the_specification_lets_pass_and_events_do_not(old: Any, new: Any, message: str) -> None:
    """Each rule that only event classes are held to: a reader would get something else than was written."""
    assert check(old, new, strict=False) == []
    assert [str(found) for found in check(old, new)] == [message]


def test_types_that_contain_themselves_are_compared() -> None:
    """Schemas from elsewhere hold trees; the comparison ends, and finds what differs below."""
    assert check(TREE, record(left=["null", "test.happened"], size="long")) == []
    assert [found.path for found in check(TREE, record(left=["null", "test.happened"], size="boolean"))] == ["size"]
    assert [found.path for found in check(TREE, record(left="test.happened", size="int"))] == ["left"]


def test_what_is_no_schema_is_refused() -> None:
    """The schemas are resolved first, with the bounds of that."""
    with pytest.raises(ContractError, match="does not define before"):
        check(record(a=["null", "test.other"]), record())
