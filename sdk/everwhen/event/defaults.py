"""Defaults of fields, in the JSON form that an Avro schema has for them.

Avro specification 1.12, section "Complex Types", table "field default values": bytes are a string of the code points
0 to 255, an enum's value is its symbol, and a logical type's value is that of the type it is built on.
"""

from __future__ import annotations

import math
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from everwhen.errors import DeclarationError
from everwhen.event import logical
from everwhen.event.annotations import round_to_float32
from everwhen.event.shapes import Choice, Entries, Items, Nullable, Number, Record, Scalar, Shape, Symbols

_TYPES: dict[tuple[str, str | None], tuple[type, ...]] = {
    ("boolean", None): (bool,),
    ("int", None): (int,),
    ("long", None): (int,),
    ("float", None): (float, int),
    ("double", None): (float, int),
    ("string", None): (str,),
    ("bytes", None): (bytes,),
    ("string", "uuid"): (UUID,),
    ("int", "date"): (date,),
    ("long", "timestamp-micros"): (datetime,),
}
"""The exact types of a default: to Python a ``bool`` is an ``int`` and a ``datetime`` a ``date``, to Avro neither."""


def to_default(shape: Shape, value: Any, where: str) -> Any:
    """Return a field's default as JSON.

    :param where: ``Class.field``, for the message.
    :raises DeclarationError: if the default is not a value of the field's type, or has no JSON form.
    """
    match shape:
        case Nullable(inner):
            return None if value is None else to_default(inner, value, where)
        case Scalar() if type(value) in _TYPES[shape.type, shape.logical]:
            return _scalar(shape, value, where)
        case Number() if isinstance(value, Decimal):
            return _primitive(shape, value, where).decode("latin-1")
        case Symbols(members=None) if value in shape.symbols:
            return value
        case Symbols(members=members) if members is not None and isinstance(value, members):
            return value.name
        case Items(item) if type(value) is shape.container:
            return [to_default(item, each, where) for each in value]
        case Entries(inner) if isinstance(value, dict):
            return {key: to_default(inner, each, where) for key, each in value.items()}
        case Choice():
            for record in shape.records:
                if type(value) is record.model:
                    return to_default(record, value, where)
        case Record() if isinstance(value, shape.model):
            return {field.name: to_default(field.shape, getattr(value, field.name), where) for field in shape.fields}
    raise DeclarationError(
        f"{where}: the default is of type {type(value).__name__}, which is not the field's type; write it as that type"
    )


def _scalar(shape: Scalar, value: Any, where: str) -> Any:
    if shape.type in ("float", "double"):
        if not math.isfinite(value):
            raise DeclarationError(f"{where}: a default that is NaN or infinite has no JSON form; use None for it")
        return round_to_float32(value) if shape.type == "float" else float(value)
    if shape.type in ("int", "long") and shape.logical is None:
        bits = 32 if shape.type == "int" else 64
        if not -(2 ** (bits - 1)) <= value < 2 ** (bits - 1):
            raise DeclarationError(f"{where}: the default is outside the {bits} bits of Avro's {shape.type}")
    if shape.type == "bytes":
        return value.decode("latin-1")
    return _primitive(shape, value, where)


def _primitive(shape: Scalar | Number, value: Any, where: str) -> Any:
    convert = logical.outward(shape)
    try:
        return value if convert is None else convert(value)
    except (ValueError, ArithmeticError) as error:
        raise DeclarationError(
            f"{where}: the default has no place in the field's Avro type; change one of them"
        ) from error
