"""Data of one version as people write them, and as another version has them: what upcasters are given.

The readers of :mod:`everwhen.event.datum` give what Avro's primitive types hold, whichever version it was written with.
Upcasters get plain Python data instead: numbers, text, ``Decimal``, aware ``datetime``, ``date``, ``UUID``, an enum's
symbol as text, lists, and dicts for maps and records.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from everwhen.errors import ContractError
from everwhen.event import logical
from everwhen.event.compatibility import most_like
from everwhen.event.logical import Convert
from everwhen.event.schema import Node
from everwhen.event.shapes import Number, Scalar


def opening(node: Node) -> Convert:
    """Return the function from what was read by a schema to plain Python data.

    It raises a ``ValueError`` or ``ArithmeticError`` for a value that does not follow its logical type.
    """
    if node.logical:
        return _logical(node) or _as_it_is
    match node.kind:
        case "record":
            fields = {name: opening(child) for name, child in node.children.items()}
            return lambda value: {name: convert(value[name]) for name, convert in fields.items()}
        case "array" | "map":
            (item,) = node.children.values()
            return _each(opening(item))
        case "union":
            branches = [(branch, opening(branch)) for branch in node.children.values()]
            return lambda value: next(convert for branch, convert in branches if _is(branch, value))(value)
        case _:
            return _as_it_is


def resolving(writer: Node, reader: Node) -> Convert:
    """Return the function from plain data of one version to those of another that can read it.

    That is Avro's schema resolution (specification 1.12): a field that the reader lacks is dropped, one that the writer
    lacks gets the reader's default, a number is widened. Data that do not follow the writer's schema, since an upcaster
    made them, are passed on as they are: the event class refuses them.
    """
    if "union" in (writer.kind, reader.kind):
        return _branching(writer, reader)
    match reader.kind:
        case "record" if writer.kind == "record":
            return _record(writer, reader)
        case "array" | "map" if writer.kind == reader.kind:
            (written,), (read,) = writer.children.values(), reader.children.values()
            return _each(resolving(written, read))
        case "float" | "double":
            return lambda value: float(value) if type(value) is int else value
        case "bytes" if writer.kind == "string":
            return lambda value: value.encode() if isinstance(value, str) else value
        case _:
            return _as_it_is


def plain_default(node: Node, default: Any) -> Any:
    """Return a field's default, which a schema has as JSON, as plain Python data."""
    match node.kind:
        case "union":
            branch = next(branch for branch in node.children.values() if _has_json(branch, default))
            return plain_default(branch, default)
        case "record":
            values = {**node.defaults, **default}
            return {name: plain_default(child, values[name]) for name, child in node.children.items()}
        case "array":
            return [plain_default(node.children["[]"], each) for each in default]
        case "map":
            return {key: plain_default(node.children["{}"], each) for key, each in default.items()}
        case "bytes" | "fixed":
            return opening(node)(default.encode("latin-1"))
        case "float" | "double":
            return float(default)
        case _:
            return opening(node)(default)


def _as_it_is(value: Any) -> Any:
    return value


def _logical(node: Node) -> Convert | None:
    name, *parameters = node.logical
    if name == "decimal" and node.kind == "bytes":
        return logical.inward(Number(*parameters))
    return logical.inward(Scalar(node.kind, name))


def _each(convert: Convert) -> Convert:
    def each(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: convert(item) for key, item in value.items()}
        return [convert(item) for item in value] if isinstance(value, list | tuple) else value

    return each


def _record(writer: Node, reader: Node) -> Convert:
    gone = writer.children.keys() - reader.children.keys()
    kept = {
        name: resolving(writer.children[name], child)
        for name, child in reader.children.items()
        if name in writer.children
    }
    new = {name: _default(reader, name) for name in reader.defaults if name not in writer.children}

    def resolve(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        resolved = {name: kept.get(name, _as_it_is)(item) for name, item in value.items() if name not in gone}
        return {**copy.deepcopy(new), **resolved}

    return resolve


def _default(record: Node, name: str) -> Any:
    try:
        return plain_default(record.children[name], record.defaults[name])
    except Exception as error:
        # Avro readers look at defaults when they need them, and a file may have been written by hand.
        raise ContractError(
            f"{record.name}: the default of {name} is not of the field's type; mend the contract file that an upcaster "
            "of a later version needs it from"
        ) from error


def _branching(writer: Node, reader: Node) -> Convert:
    written = list(writer.children.values()) if writer.kind == "union" else [writer]
    read = list(reader.children.values()) if reader.kind == "union" else [reader]
    pairs = [(branch, most_like(branch, read)) for branch in written]
    ways = [(branch, resolving(branch, target)) for branch, target in pairs if target is not None]

    def choose(value: Any) -> Any:
        return next((convert for branch, convert in ways if _is(branch, value)), _as_it_is)(value)

    return choose


_TYPES: dict[str, tuple[type, ...]] = {
    "boolean": (bool,),
    "int": (int, date),
    "long": (int, datetime),
    "float": (float, int),
    "double": (float, int),
    "bytes": (bytes, Decimal),
    "string": (str, UUID),
    "fixed": (bytes, Decimal),
    "array": (list, tuple),
    "map": (dict,),
}
"""The types of values, before and after :func:`opening`."""


def _is(node: Node, value: Any) -> bool:
    """Say whether a value is of a branch of a union: no two branches of our own schemas look alike."""
    match node.kind:
        case "null":
            return value is None
        case "enum":
            return isinstance(value, str) and value in node.symbols
        case "record":
            return _is_record(node, value)
        case kind:
            return isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _is_record(node: Node, value: Any) -> bool:
    if not isinstance(value, dict) or value.keys() != node.children.keys():
        return False
    # Models of a union are told apart by a literal, which is an enum to Avro.
    return all(_is(child, value[name]) for name, child in node.children.items() if child.kind == "enum")


def _has_json(node: Node, default: Any) -> bool:
    expected: dict[str, Callable[[Any], bool]] = {
        "null": lambda value: value is None,
        "boolean": lambda value: isinstance(value, bool),
        "array": lambda value: isinstance(value, list),
        "map": lambda value: isinstance(value, dict),
        "record": lambda value: isinstance(value, dict) and value.keys() <= node.children.keys(),
        "enum": lambda value: value in node.symbols,
    }
    numbers, text = ("int", "long", "float", "double"), ("string", "bytes", "fixed")
    if node.kind in numbers:
        return isinstance(default, int | float) and not isinstance(default, bool)
    return isinstance(default, str) if node.kind in text else expected[node.kind](default)
