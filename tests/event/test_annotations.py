"""The subset: what an event can hold, how it stands in Avro, and why the rest is refused."""

import enum
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NewType, TypeVar, Union
from uuid import UUID

import pytest
from pydantic import (
    AliasChoices,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    PositiveInt,
    RootModel,
    SecretStr,
    Tag,
    WithJsonSchema,
    create_model,
)
from typing_extensions import TypeAliasType

from everwhen.errors import DeclarationError
from everwhen.event import Event, Float32, Int32
from everwhen.event.model import event_schema

T = TypeVar("T")


class Color(enum.Enum):
    """An enum whose values are no names, with an alias."""

    RED = "#f00"
    GREEN = "#0f0"
    VERT = "#0f0"  # noqa: PIE796 - that is what an alias is


class Flags(enum.Flag):
    A = 1


class Empty(BaseModel):
    pass


class Circle(BaseModel):
    kind: Literal["circle"]
    radius: float


class Square(BaseModel):
    kind: Literal["square"] = "square"


@dataclass
class Stamp:
    kind: Literal["stamp"] = "stamp"


class Tree(BaseModel):
    children: "list[Tree]"


class Box(BaseModel, Generic[T]):
    content: T


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")


class ByValue(BaseModel):
    model_config = ConfigDict(use_enum_values=True)


class Numbers(RootModel[list[int]]):
    pass


class Stranger:
    pass


Amount = Annotated[Decimal, Field(max_digits=12, decimal_places=2)]
Name = NewType("Name", str)
Names = TypeAliasType("Names", list[Name])

SCHEMAS: list[tuple[Any, Any]] = [
    (bool, "boolean"),
    (int, "long"),
    (Int32, "int"),
    (float, "double"),
    (Float32, "float"),
    (str, "string"),
    (bytes, "bytes"),
    (PositiveInt, "long"),
    (Annotated[Int32, Field(gt=0)], "int"),
    (Annotated[str, Field(max_length=3), WithJsonSchema({})] | None, ["null", "string"]),
    (UUID, {"type": "string", "logicalType": "uuid"}),
    (date, {"type": "int", "logicalType": "date"}),
    (AwareDatetime, {"type": "long", "logicalType": "timestamp-micros"}),
    (Amount, {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}),
    (list[int], {"type": "array", "items": "long"}),
    (tuple[Int32 | None, ...], {"type": "array", "items": ["null", "int"]}),
    (dict[Name, Names], {"type": "map", "values": {"type": "array", "items": "string"}}),
    (Color, {"type": "enum", "name": "Color", "namespace": "a.b", "symbols": ["RED", "GREEN"]}),
    (Literal["x", "y"], {"type": "enum", "name": "b_field", "namespace": "a.b", "symbols": ["x", "y"]}),
    (
        list[Circle | None],
        {
            "type": "array",
            "items": [
                "null",
                {
                    "type": "record",
                    "name": "Circle",
                    "namespace": "a.b",
                    "fields": [
                        {
                            "name": "kind",
                            "type": {
                                "type": "enum",
                                "name": "Circle_kind",
                                "namespace": "a.b",
                                "symbols": ["circle"],
                            },
                        },
                        {"name": "radius", "type": "double"},
                    ],
                },
            ],
        },
    ),
    (Empty, {"type": "record", "name": "Empty", "namespace": "a.b", "fields": []}),
]


def declare(annotation: Any) -> type[Event]:
    """Define an event with one field."""

    class Happened(Event, type="a.b"):
        field: annotation

    return Happened


@pytest.mark.parametrize(("annotation", "schema"), SCHEMAS, ids=lambda value: str(value)[:40])
def test_each_type_has_its_schema(annotation: Any, schema: Any) -> None:
    """Each type of the subset stands in Avro as the table of everwhen.event.avro says."""
    assert event_schema(declare(annotation)) == {
        "type": "record",
        "name": "b",
        "namespace": "a",
        "fields": [{"name": "field", "type": schema}],
    }


@pytest.mark.parametrize(
    "annotation",
    [
        Annotated[Circle | Square, Field(discriminator="kind")],
        Annotated[Union[Circle, Square], Discriminator("kind")],  # noqa: UP007 - the older spelling
    ],
)
def test_models_with_a_discriminator_are_a_union(annotation: Any) -> None:
    """Both of pydantic's ways to tag a union give one; with None it is one flat union."""
    plain = event_schema(declare(annotation))["fields"][0]["type"]
    assert [branch["name"] for branch in plain] == ["Circle", "Square"]
    assert event_schema(declare(annotation | None))["fields"][0]["type"] == ["null", *plain]


def test_a_type_is_defined_once_and_then_named() -> None:
    """Avro defines a named type at its first use; later ones refer to it by its full name."""

    class Happened(Event, type="happened"):
        first: Color
        again: list[Color]
        square: Square
        squares: dict[str, Square]

    schema = event_schema(Happened)
    assert "namespace" not in schema
    assert schema["fields"][1]["type"]["items"] == "happened.Color"
    assert schema["fields"][3]["type"]["values"] == "happened.Square"


REFUSED: list[tuple[Any, str]] = [
    (datetime, "datetime cannot be part of an event because it may lack a time zone; use pydantic.AwareDatetime"),
    (time, "time cannot"),
    (timedelta, "timedelta cannot be part of an event because Avro has no type for it; use an int with its unit"),
    (set[int], re.escape("set[int] cannot be part of an event because a set has no order")),
    (frozenset[int], "no order.*use a tuple"),
    (list, "does not say what it holds"),
    (dict, "its keys must be strings"),
    (dict[int, str], "its keys must be strings"),
    (tuple[int, str], "differs by position"),
    (tuple[()], "differs by position"),
    (Sequence[int], "outside the types"),
    (Any, "Any cannot be part of an event because its bytes need one type"),
    (object, "its bytes need one type"),
    (None, "always None"),
    (int | str, "could not tell its members apart"),
    (Circle | Square, "could not tell its members apart"),
    (
        Annotated[Annotated[Circle, Tag("a")] | Annotated[Square, Tag("b")], Discriminator(lambda value: "a")],
        "could not tell its members apart",
    ),
    (Annotated[Circle | Stamp, Field(discriminator="kind")], "could not tell its members apart"),
    (Literal[1], "not all strings that are Avro names"),
    (Literal["credit-card"], "not all strings that are Avro names"),
    (Literal[Color.RED], "not all strings that are Avro names"),
    (Decimal, "a Decimal needs max_digits and decimal_places"),
    (Annotated[Decimal, Field(max_digits=3)], "a Decimal needs max_digits and decimal_places"),
    (Annotated[Decimal, Field(max_digits=3, decimal_places=4)], "a Decimal needs max_digits and decimal_places"),
    (complex, "outside the types"),
    (SecretStr, "outside the types"),
    (Stranger, "Stranger cannot be part of an event because it is outside the types"),
    (Callable[[], int], "outside the types"),
    (Flags, "its values combine"),
    (enum.Enum("Odd", {"größe": 1}), "names that Avro forbids"),
    (enum.Enum("None_", {}), "it has no member"),
    (Tree, "it contains itself; use ids"),
    (Box[int], "not an Avro name"),
    (Numbers, "use the type that it wraps"),
    (Open, "extra fields have no place"),
    (ByValue, "use_enum_values hides"),
    (list[Empty], "its items take no byte"),
    (dict[str, Empty], "its items take no byte"),
    (list[set[int]], "no order"),
    (T, "its bytes need one type"),
]


@pytest.mark.parametrize(("annotation", "reason"), REFUSED, ids=lambda value: str(value)[:40])
def test_other_types_are_refused_with_a_reason(annotation: Any, reason: str) -> None:
    """The message names the class, the field and the type, says why, and what to use instead."""
    with pytest.raises(DeclarationError, match=rf"^(Happened|Tree)\.(field|children): .*{reason}"):
        declare(annotation)


def test_a_name_that_is_not_defined_yet_is_refused() -> None:
    """A forward reference that cannot be resolved is an error now and not at the first event."""
    with pytest.raises(DeclarationError, match=r"^Happened: Happened uses a name that is not defined yet"):
        declare("NotYet")


class Early(BaseModel):
    later: "Later"


class Later(BaseModel):
    pass


def test_a_model_can_name_one_that_was_defined_after_it() -> None:
    """What counts is that the name is defined when the event is."""
    assert event_schema(declare(Early))["fields"][0]["type"]["fields"][0]["type"]["name"] == "Later"


@pytest.mark.parametrize(
    "options", [{"alias": "x"}, {"validation_alias": AliasChoices("x", "y")}, {"serialization_alias": "x"}]
)
def test_an_alias_is_refused(options: Any) -> None:
    """The field's name is the contract, so it can have no other."""
    with pytest.raises(
        DeclarationError, match=r"^Happened\.field: the field has an alias, but its name is the contract"
    ):

        class Happened(Event, type="a.b"):
            field: int = Field(**options)


def test_an_alias_generator_is_refused() -> None:
    """A generator gives aliases to all fields, of nested models as well."""

    class Inner(BaseModel):
        model_config = ConfigDict(alias_generator=str.upper)
        field: int

    with pytest.raises(DeclarationError, match=r"^Inner.field: the field has an alias"):
        declare(Inner)


def test_a_field_name_must_be_one_in_avro() -> None:
    """Python's names can have letters that Avro's cannot."""
    with pytest.raises(DeclarationError, match=r"^Happened.größe: the name is not an Avro name"):

        class Happened(Event, type="a.b"):
            größe: int


def test_fields_and_symbols_can_have_any_name() -> None:
    """Only types cannot be named as a primitive of Avro is."""

    class Happened(Event, type="a.b"):
        string: Literal["null", "int"]
        map: int
        type: str

    assert [field["name"] for field in event_schema(Happened)["fields"]] == ["string", "map", "type"]
    with pytest.raises(DeclarationError, match=r"^Happened\.field: string is not an Avro name"):
        declare(create_model("string"))


def test_two_types_of_one_name_are_refused() -> None:
    """Nested types are named by their class alone, so two classes of one name cannot stand in one event."""
    other = type("Square", (BaseModel,), {})

    with pytest.raises(DeclarationError, match=r"^Happened.second: two types of this event are named Square"):

        class Happened(Event, type="a.b"):
            first: Square
            second: other  # type: ignore[valid-type] # made at run time


def test_one_alias_can_be_used_twice() -> None:
    """An alias is only refused inside itself."""
    assert declare(dict[Name, dict[Name, Names]])


def test_types_nest_64_levels_deep() -> None:
    """The event is the first; readers refuse more, so a class with more cannot be declared."""

    def nested(levels: int) -> Any:
        return int if levels == 0 else list[nested(levels - 1)]  # type: ignore[misc] # made at run time

    assert declare(nested(62))
    with pytest.raises(DeclarationError, match=r"^Happened: .* its types are nested deeper than 64 levels"):
        declare(nested(63))


def test_a_union_is_not_nested_in_a_union() -> None:
    """An optional alias of an optional type is one union with null."""
    maybe = TypeAliasType("maybe", int | None)
    assert event_schema(declare(maybe | None))["fields"][0]["type"] == ["null", "long"]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the type statement came with Python 3.12")
def test_an_alias_that_contains_itself_is_refused() -> None:
    """A type statement can name itself, a schema cannot."""
    names: dict[str, Any] = {}
    exec("type Looped = list[Looped]", names)
    with pytest.raises(DeclarationError, match=r"it contains itself; use ids"):
        declare(names["Looped"])
