"""Schemas as data: names, depth, and what could harm a reader."""

from typing import Any

import pytest
from fastavro.schema import parse_schema

from everwhen.errors import ContractError
from everwhen.event.schema import MAX_DEPTH, MAX_TYPES, is_fullname, is_name, resolve


def record(*types: Any, name: str = "A", **more: Any) -> dict[str, Any]:
    fields = [{"name": f"f{number}", "type": each} for number, each in enumerate(types)]
    return {"type": "record", "name": name, "fields": fields, **more}


def nested(levels: int) -> Any:
    """An int in a number of arrays."""
    schema: Any = "int"
    for _ in range(levels):
        schema = {"type": "array", "items": schema}
    return schema


def test_names_are_resolved_by_the_rules_of_avro() -> None:
    """A name takes the namespace around it unless it has one; a reference does so too."""
    inner = {"type": "enum", "name": "E", "symbols": ["X"]}
    fixed = {"type": "fixed", "name": "other.F", "size": 3}
    node = resolve(record(inner, "E", fixed, "x.y.E", "other.F", name="A", namespace="x.y"))
    assert node.name == "x.y.A"
    assert [child.name for child in node.children.values()] == ["x.y.E", "x.y.E", "other.F", "x.y.E", "other.F"]


def test_a_named_type_gives_its_namespace_to_what_is_inside() -> None:
    """The namespace of a dotted name holds inside the record, not beside it."""
    node = resolve(record(record({"type": "fixed", "name": "F", "size": 1}, name="x.B"), "x.F"))
    assert node.children["f1"].name == "x.F"


def test_types_are_named_for_people() -> None:
    """A message shows a type by its name, or by what it is made of."""
    decimal = {"type": "bytes", "logicalType": "decimal", "precision": 5, "scale": 2}
    union = ["null", {"type": "map", "values": {"type": "array", "items": decimal}}]
    assert str(resolve(union)) == "null or map of array of bytes (decimal, 5, 2)"


def test_a_recursive_schema_is_refused() -> None:
    """A value could nest without end."""
    with pytest.raises(ContractError, match=r"^x\.A contains itself"):
        resolve(record(["null", "A"], name="A", namespace="x"))


def test_depth_is_limited() -> None:
    """64 levels pass, 65 do not."""
    assert resolve(nested(MAX_DEPTH - 1)).height == MAX_DEPTH
    with pytest.raises(ContractError, match="deeper than 64"):
        resolve(nested(MAX_DEPTH))


def test_depth_counts_through_references() -> None:
    """Types that refer to one another nest as deep as if they were written out."""
    types: list[Any] = [record(name="R0")]
    for level in range(1, MAX_DEPTH - 1):
        types.append(record(f"R{level - 1}", name=f"R{level}"))
    assert resolve(record(*types)).height == MAX_DEPTH
    with pytest.raises(ContractError, match="deeper than 64"):
        resolve(record(*types, record(f"R{MAX_DEPTH - 2}", name="R")))


def doubling(levels: int, leaf: str = "int") -> dict[str, Any]:
    """A schema of that many records, each of which has the one before it twice: 2^levels types, written out."""
    types: list[Any] = [record(leaf, name="R0")]
    for level in range(1, levels):
        types.append(record(f"R{level - 1}", f"R{level - 1}", name=f"R{level}"))
    return record(*types)


def test_types_are_counted_through_references() -> None:
    """A small schema can stand for 2^50 types, and an event of no byte hold as many of them, if each is null."""
    assert resolve(doubling(10)).types == 1 + sum(3 * 2**level - 1 for level in range(10))
    for leaf in ("int", "null"):
        with pytest.raises(ContractError, match=r"^it is made of more than 10,000 types, references followed$"):
            resolve(doubling(50, leaf))


def test_types_are_counted() -> None:
    """10,000 pass, one more does not: the record is one, each field another."""
    assert resolve(record(*["int"] * (MAX_TYPES - 1))).types == MAX_TYPES
    with pytest.raises(ContractError, match="more than 10,000 types"):
        resolve(record(*["int"] * MAX_TYPES))
    with pytest.raises(ContractError, match="more than 10,000 types"):
        resolve([record(name=f"R{number}") for number in range(MAX_TYPES)])


def test_a_schema_of_many_paths_is_shown_short() -> None:
    """A message shows a type by its name."""
    assert len(repr(resolve(doubling(9)))) < 200


@pytest.mark.parametrize(
    ("schema", "weight", "least"),
    [
        ("null", 1, 0),
        ("long", 1, 1),
        ("float", 1, 4),
        ("double", 1, 8),
        ({"type": "fixed", "name": "F", "size": 5}, 1, 5),
        (["null", record("int", "int")], 3, 1),
        ([record("int", "int"), "double"], 3, 3),
        ({"type": "array", "items": record("int", "int")}, 1, 1),
        (record("null", "double", ["null", "int"]), 4, 9),
    ],
    ids=str,
)
def test_what_a_value_costs(schema: Any, weight: int, least: int) -> None:
    """How many objects it gives at most and how many bytes it takes at least: the bounds of lists follow from it."""
    node = resolve(schema)
    assert (node.weight, node.least) == (weight, least)


@pytest.mark.parametrize("logical", [[["x"]], {"a": 1}, 5, None])
def test_a_logical_type_that_is_no_name_is_ignored(logical: Any) -> None:
    """As the specification has it; so is a decimal with a scale that is no number."""
    assert resolve({"type": "int", "logicalType": logical}).logical == ()
    decimal = {"type": "bytes", "logicalType": "decimal", "precision": 5, "scale": str(logical)}
    assert resolve(decimal).logical == ()


@pytest.mark.parametrize("kind", ["array", "map"])
@pytest.mark.parametrize(
    "item", ["null", record(), record("null", record(name="B")), {"type": "fixed", "name": "F", "size": 0}]
)
def test_items_without_bytes_are_refused(kind: str, item: Any) -> None:
    """Twenty bytes could claim 2^63 of them."""
    with pytest.raises(ContractError, match=f"the items of its {kind} take no byte"):
        resolve({"type": kind, "items": item, "values": item})


@pytest.mark.parametrize("item", ["boolean", ["null", "int"], record("null", "int")])
def test_items_with_bytes_pass(item: Any) -> None:
    """A boolean or a union's index is a byte."""
    assert resolve({"type": "array", "items": item}).kind == "array"


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        (None, "a type is a string, an object or a list"),
        (5, "a type is a string, an object or a list"),
        ({}, "an object has no type that Avro knows"),
        ({"type": "strange"}, "an object has no type that Avro knows"),
        ({"type": ["int"]}, "an object has no type that Avro knows"),
        ({"type": {"type": "int"}}, "an object has no type that Avro knows"),
        ("Strange", "it refers to Strange, which it does not define before"),
        ({"type": "array"}, "a type is a string, an object or a list"),
        ({"type": "record", "fields": []}, "a named type has no name"),
        ({"type": "record", "name": "a-b", "fields": []}, "the name of a type is not a name"),
        ({"type": "record", "name": "string", "fields": []}, "the name of a type is not a name"),
        ({"type": "record", "name": "A", "namespace": "", "fields": None}, "A has no list of fields"),
        ({"type": "record", "name": "A", "fields": ["int"]}, "A has no list of fields"),
        ({"type": "record", "name": "A", "fields": [{"type": "int"}]}, "A has a field without a name of its own"),
        ({"type": "record", "name": "A", "fields": [{"name": "f"}]}, "a type is a string, an object or a list"),
        (
            {"type": "record", "name": "A", "fields": [{"name": "f", "type": "int"}] * 2},
            "A has a field without a name of its own",
        ),
        ({"type": "enum", "name": "A", "symbols": "X"}, "A has no list of symbols"),
        ({"type": "enum", "name": "A", "symbols": [1]}, "A has no list of symbols"),
        ({"type": "fixed", "name": "A"}, "A has no size"),
        ({"type": "fixed", "name": "A", "size": -1}, "A has no size"),
        ({"type": "fixed", "name": "A", "size": True}, "A has no size"),
        (["int", ["null", "string"]], "a union holds a union, or one type twice"),
        (["int", "int"], "a union holds a union, or one type twice"),
        (record(record(name="B"), record(name="B")), "it defines B twice"),
        (record(record(name="A")), "it defines A twice"),
    ],
    ids=str,
)
def test_what_is_no_schema_is_refused(schema: Any, reason: str) -> None:
    """The reason is a phrase that the caller puts the file's path before."""
    with pytest.raises(ContractError, match=reason):
        resolve(schema)


def test_fastavro_takes_what_resolves() -> None:
    """The schema of these tests with every kind of type is one to fastavro as well."""
    decimal = {"type": "fixed", "name": "F", "size": 9, "logicalType": "decimal", "precision": 5}
    schema = record(decimal, ["null", {"type": "enum", "name": "E", "symbols": []}], "F", nested(3))
    assert resolve(schema).children["f0"].logical == ("decimal", 5, 0)
    assert parse_schema(schema)


def test_names() -> None:
    """Letters, digits, underscores, no digit first; a type's can have dots, and does not end like a primitive's."""
    assert all(map(is_name, ["_a1", "int"]))
    assert not any(map(is_name, ["", "1a", "a-b", "a.b", "ä", "a\n"]))
    assert all(map(is_fullname, ["a.b.C", "a", "int.a"]))
    assert not any(map(is_fullname, ["", ".", "a.", ".a", "a..b", "a.int", "int", "a.b-c"]))
