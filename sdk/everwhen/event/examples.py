"""Example data of a schema: what a program of the time could have published, edges included.

For each choice that a schema leaves there is an example: every branch of a union, every symbol of an enum, every
boolean, empty and filled lists and maps, the least and the greatest number, the first and the last instant. Choices in
different fields are made at the same time, so that a record of twenty fields has as many examples as its richest field,
not their product. The same schema gives the same examples everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from io import BytesIO
from itertools import chain
from typing import Any, Final

from fastavro import schemaless_writer

from everwhen.event.logical import outward
from everwhen.event.schema import Node, resolve
from everwhen.event.shapes import Scalar
from everwhen.event.versions import Version
from everwhen.instants import MAX_MICROS, MIN_MICROS

_SINGLE_OBJECT: Final = b"\xc3\x01"
_NOON: Final = 1_772_366_400_000_000
"""2026-03-01 12:00 UTC in microseconds: an instant without anything special about it."""

_to_days = outward(Scalar("int", "date"))
assert _to_days is not None

_PLAIN: Final[dict[str, Sequence[Any]]] = {
    "null": (None,),
    "boolean": (True, False),
    "int": (1, 0, -1, 2**31 - 1, -(2**31)),
    "long": (1, 0, -1, 2**63 - 1, -(2**63)),
    "float": (1.5, 0.0, -1.0, 2.0**127, 2.0**-126),
    "double": (1.5, 0.0, -1.0, 1.7976931348623157e308, 5e-324),
    "bytes": (b"a", b"", bytes(range(256))),
    "string": ("a", "", "\u00e4\u20ac\U0001f600", "a" * 1000),
}
_LOGICAL: Final[dict[tuple[str, str], Sequence[Any]]] = {
    ("long", "timestamp-micros"): (_NOON, 0, -1, MIN_MICROS, MAX_MICROS),
    ("int", "date"): tuple(_to_days(day) for day in (date(2026, 3, 1), date(1970, 1, 1), date.min, date.max)),
    ("string", "uuid"): ("0190c5a2-7b00-4000-8000-000000000001", "00000000-0000-0000-0000-000000000000"),
}


def example_values(version: Version, given: Mapping[str, Sequence[Any]]) -> list[bytes]:
    """Return examples of a version as record values, in Avro's single-object encoding; the plainest first.

    :param given: examples that the user names for fields of the event, as in ``Field(examples=[...])``; where they fit
        the version's schema they take the place of ours.
    """
    node = resolve(version.schema)
    fields = {name: _fitting(child, given.get(name, ())) or _of(child) for name, child in node.children.items()}
    return [_SINGLE_OBJECT + version.fingerprint + _encoded(version, datum) for datum in _records(fields)]


def _encoded(version: Version, datum: Any) -> bytes:
    buffer = BytesIO()
    schemaless_writer(buffer, version.parsed, datum)
    return buffer.getvalue()


def _of(node: Node) -> list[Any]:
    """Return examples as fastavro writes them: a union's with the name of the branch."""
    match node.kind:
        case "record":
            return list(_records({name: _of(child) for name, child in node.children.items()}))
        case "union":
            return list(chain.from_iterable(_branch(branch) for branch in node.children.values()))
        case "array":
            items = _of(node.children["[]"])
            return [items[:1], [], items]
        case "map":
            values = _of(node.children["{}"])
            return [{"a": values[0]}, {}, {f"k{number}": value for number, value in enumerate(values)}]
        case "enum":
            return list(node.symbols)
        case "fixed":
            return [bytes(node.size), b"\xff" * node.size]
        case _:
            return _primitive(node)


def _records(fields: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    count = max(map(len, fields.values()), default=1)
    return [{name: values[number % len(values)] for name, values in fields.items()} for number in range(count)]


def _branch(branch: Node) -> list[Any]:
    return [value if value is None else (branch.name or branch.kind, value) for value in _of(branch)]


def _primitive(node: Node) -> list[Any]:
    if node.logical[:1] == ("decimal",):
        _, precision, scale = node.logical
        # 1 may need more digits than there are: decimal(2, 2) ends at 0.99.
        one = 10**scale if precision > scale else 1
        unscaled = (one, 0, -one, 10**precision - 1, 1 - 10**precision)
        return [number.to_bytes(number.bit_length() // 8 + 1, "big", signed=True) for number in unscaled]
    if node.logical and (node.kind, node.logical[0]) in _LOGICAL:
        return list(_LOGICAL[node.kind, node.logical[0]])
    return list(_PLAIN[node.kind])


_GIVEN: Final[dict[str, tuple[type, ...]]] = {
    "boolean": (bool,),
    "int": (int,),
    "long": (int,),
    "float": (float, int),
    "double": (float, int),
    "string": (str,),
    "bytes": (bytes,),
}


def _fitting(node: Node, given: Sequence[Any]) -> list[Any]:
    """Return those of the user's examples that are plain values of a type."""
    if node.kind == "union":
        fits = [[*_branch_of(branch, given)] for branch in node.children.values() if branch.kind != "null"]
        nulls = [None] if "null" in node.children and any(fits) else []
        return [*chain.from_iterable(fits), *nulls]
    if node.logical or node.kind not in _GIVEN:
        return []
    return [value for value in given if type(value) in _GIVEN[node.kind]]


def _branch_of(branch: Node, given: Sequence[Any]) -> list[Any]:
    return [(branch.kind, value) for value in _fitting(branch, given)]
