"""Events from plain data: what JSON holds, and what Avro of a schema that is not ours does."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any, NoReturn

from pydantic import ValidationError

from everwhen.errors import MalformedRecord
from everwhen.event import logical
from everwhen.event.model import Event, event_shape, event_type
from everwhen.event.schema import Node
from everwhen.event.shapes import Entries, Items, Nullable, Number, Record, Scalar, Shape, Symbols
from everwhen.instants import EPOCH


def read_json(text: bytes, what: str) -> Any:
    """Return what JSON holds; its numbers with a point are exact decimals.

    :param what: what is read, for the message.
    :raises MalformedRecord: if it is no JSON (RFC 8259).
    """
    try:
        return json.loads(text, parse_float=Decimal, parse_constant=_refuse)
    except (ValueError, RecursionError):
        # Not chained: the message shows the text.
        raise MalformedRecord(f"{what} is not JSON") from None


def event_of(cls: type[Event], data: object) -> Event:
    """Return the event of a class that plain data stands for, as pydantic reads JSON of it.

    Fields that the class does not have are left out, as they are when a newer version's Avro is read.

    :raises MalformedRecord: if it is no object, or its class refuses it; the message holds no value.
    """
    name = event_type(cls)
    if not isinstance(data, Mapping):
        raise MalformedRecord(f"the data of {name} is no object with fields")
    fields = {field.name for field in event_shape(cls).fields}
    try:
        return cls.model_validate({key: value for key, value in data.items() if key in fields})
    except ValidationError as error:
        # Not chained: pydantic's message holds the values.
        broken = error.errors(include_input=False, include_url=False, include_context=False)
        rules = "; ".join(sorted({f"{e['loc'][0] if e['loc'] else 'the event'}: {e['type']}" for e in broken}))
        raise MalformedRecord(f"the data is refused by the class of {name}: {rules}") from None
    except Exception as error:
        # A validator of the user's can raise anything.
        raise MalformedRecord(f"the data made the class of {name} raise {type(error).__name__}") from error


def with_members(shape: Shape, value: Any) -> Any:
    """Return data of Avro with an enum's members for its symbols, which are their names; JSON has their values.

    What does not fit the shape is left as it is, for the class to refuse.
    """
    match shape:
        case Symbols(members=members) if members is not None and isinstance(value, str):
            return members.__members__.get(value, value)
        case Nullable(inner):
            return with_members(inner, value)
        case Items(item) if isinstance(value, list):
            return [with_members(item, each) for each in value]
        case Entries(item) if isinstance(value, Mapping):
            return {key: with_members(item, each) for key, each in value.items()}
        case Record(fields=fields) if isinstance(value, Mapping):
            there = {field.name: field.shape for field in fields if field.name in value}
            return {**value, **{name: with_members(inner, value[name]) for name, inner in there.items()}}
    return value


def plain(node: Node) -> Callable[[Any], Any]:
    """Return the function from a datum of any schema to Python values: instants, dates, decimals where it has them.

    Members of a union with more than one type besides null are left as Avro has them: a datum does not say which one
    it is of.
    """
    match node.kind, node.logical:
        case _, ("decimal", int(precision), int(scale)):
            return _present(logical.inward(Number(precision, scale)))
        case _, ("timestamp-millis", *_):
            return lambda value: EPOCH + timedelta(milliseconds=value)
        case _, (str(name), *_):
            return _present(logical.inward(Scalar(node.kind, name)))
        case "record", _:
            fields = {name: plain(child) for name, child in node.children.items()}
            return lambda value: {name: fields[name](each) for name, each in value.items()}
        case ("array" | "map") as kind, _:
            (item,) = (plain(child) for child in node.children.values())
            if kind == "array":
                return lambda value: [item(each) for each in value]
            return lambda value: {key: item(each) for key, each in value.items()}
        case "union", _:
            some = [branch for branch in node.children.values() if branch.kind != "null"]
            if len(some) == 1:
                inner = plain(some[0])
                return lambda value: None if value is None else inner(value)
    return _same


def _present(convert: Callable[[Any], Any] | None) -> Callable[[Any], Any]:
    return _same if convert is None else convert


def _same(value: Any) -> Any:
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number of JSON")
