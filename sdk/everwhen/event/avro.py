"""The Avro schema of an event class.

The mapping is small, documented and deterministic: the same class gives the same schema on every Python and every
machine, so that a committed contract file can be compared with it.

====================================  ==========================================================================
Python                                Avro (specification 1.12)
====================================  ==========================================================================
the event class                       ``record``, named by the event type: ``bank.account.opened``
a nested model                        ``record``, named by its class, in the namespace of the whole event type
``bool``, ``str``, ``bytes``          ``boolean``, ``string``, ``bytes``
``int``, :data:`Int32`                ``long``, ``int``
``float``, :data:`Float32`            ``double``, ``float``
``Decimal`` with both bounds          ``bytes``, ``decimal(max_digits, decimal_places)``
``pydantic.AwareDatetime``            ``long``, ``timestamp-micros``
``date``, ``UUID``                    ``int``, ``date``; ``string``, ``uuid``
``list[T]``, ``tuple[T, ...]``        ``array``
``dict[str, T]``                      ``map``
``T | None``                          union with ``null``, the branch of the default first
``Enum``                              ``enum`` of the members' names
``Literal["a", "b"]``                 ``enum`` named ``<record>_<field>``
models with a discriminator           union of ``record``
``Annotated``, ``NewType``, ``type``  what they stand for
====================================  ==========================================================================

Constraints such as ``Field(gt=0)`` are not part of the contract. They are checked when an event is built, and again
when an old one is read, so a constraint that is tightened later refuses old events.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator
from pydantic import Field as _Constraint

from everwhen.event.annotations import Width, round_to_float32
from everwhen.event.defaults import to_default
from everwhen.event.shapes import (
    MISSING,
    Choice,
    Entries,
    Field,
    Items,
    Nullable,
    Number,
    Record,
    Scalar,
    Shape,
    Symbols,
)

__all__ = ["Float32", "Int32", "Schema", "schema_of"]

Schema: TypeAlias = dict[str, Any]
"""An Avro schema of type ``record``, as JSON has it."""

Int32: TypeAlias = Annotated[int, _Constraint(ge=-(2**31), le=2**31 - 1), Width("int")]
"""An ``int`` of 32 bits: Avro's ``int``."""

Float32: TypeAlias = Annotated[float, AfterValidator(round_to_float32), Width("float")]
"""A ``float`` of 32 bits: Avro's ``float``. It is rounded when it is validated, so that publisher and reader agree."""


def schema_of(record: Record) -> Schema:
    """Return the Avro schema of a record as a new ``dict``, ready for JSON.

    :raises DeclarationError: if a field's default cannot be written as an Avro default.
    """
    return _record(record, set())


def _record(record: Record, written: set[str]) -> Schema:
    written.add(record.fullname)
    name = {"name": record.name} | ({"namespace": record.namespace} if record.namespace else {})
    fields = [_field(field, f"{record.model.__name__}.{field.name}", written) for field in record.fields]
    return {"type": "record", **name, "fields": fields}


def _field(field: Field, where: str, written: set[str]) -> Schema:
    if field.default is MISSING:
        return {"name": field.name, "type": _type(field.shape, written)}
    default = to_default(field.shape, field.default, where)
    if not isinstance(field.shape, (Nullable, Choice)):
        return {"name": field.name, "type": _type(field.shape, written), "default": default}
    # Up to Avro 1.11 a union's default belongs to its first branch; later versions take that as well.
    branches = sorted(_branches(field.shape), key=lambda branch: not _holds(branch, field.default))
    return {"name": field.name, "type": _union(branches, written), "default": default}


def _type(shape: Shape, written: set[str]) -> Any:
    match shape:
        case Scalar(primitive, None):
            return primitive
        case Scalar(primitive, logical):
            return {"type": primitive, "logicalType": logical}
        case Number(precision, scale):
            return {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}
        case Items(item):
            return {"type": "array", "items": _type(item, written)}
        case Entries(value):
            return {"type": "map", "values": _type(value, written)}
        case Nullable() | Choice():
            return _union(_branches(shape), written)
        case Symbols():
            return _symbols(shape, written)
        case Record():
            return shape.fullname if shape.fullname in written else _record(shape, written)


def _union(branches: list[Shape | None], written: set[str]) -> list[Any]:
    return ["null" if branch is None else _type(branch, written) for branch in branches]


def _branches(shape: Nullable | Choice) -> list[Shape | None]:
    """Return the branches of a union, with ``None`` for Avro's ``null``."""
    match shape:
        case Choice(_, records):
            return [*records]
        case Nullable(Choice(_, records)):
            return [None, *records]
        case Nullable(inner):
            return [None, inner]


def _holds(branch: Shape | None, default: Any) -> bool:
    if branch is None or default is None:
        return branch is default
    return not isinstance(branch, Record) or isinstance(default, branch.model)


def _symbols(shape: Symbols, written: set[str]) -> Any:
    fullname = f"{shape.namespace}.{shape.name}"
    if fullname in written:
        return fullname
    written.add(fullname)
    return {"type": "enum", "name": shape.name, "namespace": shape.namespace, "symbols": list(shape.symbols)}
