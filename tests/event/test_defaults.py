"""Defaults: how a field's default stands in its schema."""

import enum
import json
import math
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

import avro.schema
import fastavro
import pytest
from hypothesis import given, settings
from pydantic import AwareDatetime, BaseModel, Field

from everwhen.errors import DeclarationError
from everwhen.event import Event, Float32, Int32
from everwhen.event.avro import Schema
from everwhen.event.model import event_schema
from tests.event.generated import FIELDS, build

Amount = Annotated[Decimal, Field(max_digits=4, decimal_places=2)]


class Color(enum.Enum):
    RED = 1
    GREEN = 2


class Point(BaseModel):
    kind: Literal["point"] = "point"
    x: int = 1
    color: Color | None = None


class Line(BaseModel):
    kind: Literal["line"] = "line"


Shape = Annotated[Point | Line, Field(discriminator="kind")]


def field(annotation: Any, default: Any) -> Schema:
    """Return the schema of a field with a default."""

    class Happened(Event, type="a.b"):
        field: annotation = default

    schema = event_schema(Happened)
    fastavro.parse_schema(schema)
    avro.schema.parse(json.dumps(schema))
    found: Schema = schema["fields"][0]
    return found


@pytest.mark.parametrize(
    ("annotation", "default", "expected"),
    [
        (bool, True, True),
        (int, 5, 5),
        (float, 1, 1.0),
        (float, 0.5, 0.5),
        (Float32, 0.1, 0.10000000149011612),
        (str, "ä", "ä"),
        (bytes, b"\x00\xff", "\x00\xff"),
        (UUID, UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (date, date(1970, 1, 2), 1),
        (AwareDatetime, datetime(1970, 1, 1, 2, tzinfo=timezone(timedelta(hours=1))), 3_600_000_000),
        (Amount, Decimal("-1.5"), "\xff\x6a"),
        (Amount, Decimal("1.280"), "\x00\x80"),
        (Color, Color.GREEN, "GREEN"),
        (Literal["a", "b"], "b", "b"),
        (list[int], [1, 2], [1, 2]),
        (tuple[Color, ...], (Color.RED,), ["RED"]),
        (dict[str, bytes], {"k": b"\x80"}, {"k": "\x80"}),
        (Point, Point(), {"kind": "point", "x": 1, "color": None}),
        (int | None, None, None),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_constant_is_written_as_json(annotation: Any, default: Any, expected: Any) -> None:
    """Each type's default has the JSON form of the Avro specification."""
    assert field(annotation, default)["default"] == expected
    assert json.dumps(field(annotation, default)["default"]) == json.dumps(expected)


def test_the_branch_of_the_default_comes_first() -> None:
    """Up to Avro 1.11 the default of a union belongs to its first branch."""
    assert field(int | None, None)["type"] == ["null", "long"]
    assert field(int | None, 5)["type"] == ["long", "null"]
    assert [branch["name"] for branch in field(Shape, Line())["type"]] == ["Line", "Point"]
    last = field(Shape | None, Point())["type"]
    assert [last[0]["name"], last[1], last[2]["name"]] == ["Point", "null", "Line"]


def test_a_factory_of_equal_values_counts() -> None:
    """A factory of containers gives a default if two of its values are equal."""
    assert field(list[int], Field(default_factory=list))["default"] == []
    assert field(Point, Field(default_factory=Point))["default"] == {"kind": "point", "x": 1, "color": None}
    assert "default" not in field(list[UUID], Field(default_factory=lambda: [uuid4()]))
    assert "default" not in field(list[str], Field(default_factory=lambda data: list(data)))


@pytest.mark.parametrize(
    ("annotation", "factory"), [(date, date.today), (int, lambda: 5), (str, lambda data: ""), (UUID, uuid4)]
)
def test_a_factory_of_scalars_does_not_count(annotation: Any, factory: Any) -> None:
    """It may be a clock that has not moved on between two calls; a constant can be written as one."""
    assert "default" not in field(annotation, Field(default_factory=factory))


@pytest.mark.parametrize(
    ("annotation", "default", "reason"),
    [
        (int, True, "the default is of type bool"),
        (int, 2**63, "outside the 64 bits of Avro's long"),
        (Int32, 2**31, "outside the 32 bits of Avro's int"),
        (float, math.nan, "NaN or infinite"),
        (float, math.inf, "NaN or infinite"),
        (str, b"x", "the default is of type bytes"),
        (date, datetime(2026, 1, 1, tzinfo=UTC), "the default is of type datetime"),
        (Amount, 1, "the default is of type int"),
        (Amount, Decimal("1.234"), "no place in the field's Avro type"),
        (Amount, Decimal("NaN"), "no place in the field's Avro type"),
        (
            AwareDatetime,
            datetime.max.replace(tzinfo=timezone(timedelta(hours=-1))),
            "no place in the field's Avro type",
        ),
        (Color, 2, "the default is of type int"),
        (Literal["a"], "b", "the default is of type str"),
        (tuple[int, ...], [1], "the default is of type list"),
        (list[int], [None], "the default is of type NoneType"),
        (Point, {"x": 1}, "the default is of type dict"),
        (Shape, 1, "the default is of type int"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_default_of_another_type_is_refused(annotation: Any, default: Any, reason: str) -> None:
    """The message names the field and what is wrong with the default, which pydantic would not look at."""
    with pytest.raises(DeclarationError, match=f"^Happened.field: .*{reason}"):
        field(annotation, default)


@settings(deadline=None, max_examples=60)
@given(FIELDS)
def test_other_implementations_accept_our_schemas(slots: Any) -> None:
    """Apache Avro and fastavro parse every schema of the subset, defaults included."""
    schema = event_schema(build(slots).event)
    fastavro.parse_schema(schema)
    avro.schema.parse(json.dumps(schema))
