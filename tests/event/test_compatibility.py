"""Compatibility: which changes of a schema keep old events readable."""

from __future__ import annotations

import json
from typing import Any

import avro.schema
import pytest
from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from everwhen.errors import ContractError
from everwhen.event.compatibility import Incompatibility, check
from everwhen.event.model import event_schema
from tests.event.generated import FIELDS, build, later

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


def apache_says(old: Any, new: Any) -> bool:
    reader, writer = (avro.schema.parse(json.dumps(schema)) for schema in (new, old))
    result = ReaderWriterCompatibilityChecker().get_compatibility(reader, writer)  # type: ignore[no-untyped-call] # Apache's
    return bool(result.compatibility is SchemaCompatibilityType.compatible)


def is_deliberate(found: Incompatibility) -> bool:
    """The two ways in which we refuse more than Apache Avro does, among generated schemas.

    Logical types and the parameters of decimals: Apache compares what they are built on only, so a reader would get
    a number of another meaning, and no fingerprint would show it. ``bytes`` as ``string``: not all bytes are text.
    """
    return found.rule == "the logical type has changed" or (found.old == "bytes" and "string" in found.new)


@relaxed
@given(st.data())
def test_apache_avro_agrees(data: st.DataObject) -> None:
    """What we accept Apache's checker accepts, and what we refuse it refuses, but for the deliberate differences."""
    slots = data.draw(FIELDS)
    old, new = (event_schema(build(found).event) for found in (slots, data.draw(later(slots))))
    found = check(old, new)
    if not found:
        assert apache_says(old, new)
    elif apache_says(old, new):
        assert all(map(is_deliberate, found))


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
        (record(), record(a="int"), "a: the field was added without a default (was nothing, is int)"),
        (record(a="long"), record(a="int"), "a: the type has changed (was long, is int)"),
        (record(a="bytes"), record(a="string"), "a: the type has changed (was bytes, is string)"),
        (record(a="string"), record(a=UUID), "a: the logical type has changed (was string, is string (uuid))"),
        (record(a="int"), record(a=INSTANT), "a: the logical type has changed (was int, is long (timestamp-micros))"),
        (
            record(a=["null", "int"]),
            record(a=["null", INSTANT]),
            "a: the logical type has changed (was int, is long (timestamp-micros))",
        ),
        (
            record(a=decimal(12, 2)),
            record(a=decimal(12, 3)),
            "a: the logical type has changed (was bytes (decimal, 12, 2), is bytes (decimal, 12, 3))",
        ),
        (
            record(a=decimal(12, 2)),
            record(a=decimal(14, 2)),
            "a: the logical type has changed (was bytes (decimal, 12, 2), is bytes (decimal, 14, 2))",
        ),
        (record(a=symbols("X", "Y")), record(a=symbols("Y")), "a: a symbol was removed (was X, is one of Y)"),
        (record(a=["null", "int"]), record(a="int"), "a: it can be None no more (was None or int, is int)"),
        (
            record(a=[named("A"), named("B")]),
            record(a=[named("A"), named("C")]),
            "a: a member of the union was removed (was test.happened.B, is test.happened.A or test.happened.C)",
        ),
        (
            record(a={"type": "array", "items": {"type": "map", "values": named("A", x="int")}}),
            record(a={"type": "array", "items": {"type": "map", "values": named("A", x="boolean")}}),
            "a[]{}.x: the type has changed (was int, is boolean)",
        ),
        (
            record(),
            {**record(), "namespace": "other"},
            "the event: the type has another name (was test.happened, is other.happened)",
        ),
        (
            record(a={"type": "fixed", "name": "F", "size": 2}),
            record(a={"type": "fixed", "name": "F", "size": 3}),
            "a: the size has changed (was 2, is 3)",
        ),
        (
            record(a={"type": "array", "items": "int"}),
            record(a="int"),
            "a: the type has changed (was array of int, is int)",
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


def test_names_match_in_full() -> None:
    """Apache's checker compares the last part of a name only; ours refuses another namespace."""
    old, new = record(), {**record(), "namespace": "other"}
    assert apache_says(old, new)
    assert check(old, new)


def test_an_enum_default_is_no_excuse() -> None:
    """Apache's checker lets a default stand for a removed symbol, which would change what the event said."""
    old, new = record(a=symbols("X", "Y")), record(a={**symbols("X"), "default": "X"})
    assert apache_says(old, new)
    assert check(old, new)


def test_a_schema_that_is_not_safe_is_refused() -> None:
    """The schemas are resolved first, with all the checks of that."""
    with pytest.raises(ContractError, match="contains itself"):
        check(record(a=["null", "test.happened"]), record())
