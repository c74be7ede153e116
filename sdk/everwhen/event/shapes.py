"""Shapes: what an event's field can be, between its Python annotation and its Avro schema.

A tree of these is built once per event class (:mod:`everwhen.event.annotations`); the Avro schema
(:mod:`everwhen.event.avro`) and the conversion of values (:mod:`everwhen.event.values`) both follow from it, so
they cannot disagree.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from pydantic import BaseModel


class Missing(enum.Enum):
    """The type of :data:`MISSING`."""

    MISSING = "no default"


MISSING: Final = Missing.MISSING
"""Stands where a field has no default, since ``None`` can be one."""


@dataclass(frozen=True, slots=True)
class Scalar:
    """A primitive of Avro, perhaps with a logical type that has no parameters.

    :ivar type: ``boolean``, ``int``, ``long``, ``float``, ``double``, ``bytes`` or ``string``.
    :ivar logical: ``uuid``, ``date`` or ``timestamp-micros``, if any.
    """

    type: str
    logical: str | None = None


@dataclass(frozen=True, slots=True)
class Number:
    """A decimal number: Avro ``bytes`` with the logical type ``decimal``."""

    precision: int
    scale: int


@dataclass(frozen=True, slots=True)
class Symbols:
    """One of a fixed set of names: Avro's ``enum``.

    :ivar members: the ``Enum`` whose member names the symbols are; ``None`` for a ``Literal`` of strings.
    """

    name: str
    namespace: str
    symbols: tuple[str, ...]
    members: type[enum.Enum] | None


@dataclass(frozen=True, slots=True)
class Items:
    """A sequence: Avro's ``array``.

    :ivar container: ``list`` or ``tuple``.
    """

    item: Shape
    container: type[list[Any]] | type[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Entries:
    """A ``dict`` with string keys: Avro's ``map``."""

    value: Shape


@dataclass(frozen=True, slots=True)
class Nullable:
    """A value or ``None``: Avro's union with ``null``."""

    shape: Shape


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several models, told apart by a field that holds a literal: Avro's union of records.

    :ivar discriminator: the name of that field.
    """

    discriminator: str
    records: tuple[Record, ...]

    def branches(self) -> dict[str, Record]:
        """Return the record that belongs to each value of the discriminator."""
        found = {}
        for record in self.records:
            tag = next(field.shape for field in record.fields if field.name == self.discriminator)
            assert isinstance(tag, Symbols)  # pydantic takes nothing but a Literal for it
            found.update(dict.fromkeys(tag.symbols, record))
        return found


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a record.

    :ivar default: the constant that stands for a missing value, as a Python value; :data:`MISSING` without one.
    """

    name: str
    shape: Shape
    default: Any = MISSING


@dataclass(frozen=True, slots=True)
class Record:
    """A pydantic model: Avro's ``record``. The event itself is one."""

    name: str
    namespace: str
    model: type[BaseModel]
    fields: tuple[Field, ...]

    @property
    def fullname(self) -> str:
        """The name with its namespace, by which Avro knows it."""
        return f"{self.namespace}.{self.name}" if self.namespace else self.name


Shape: TypeAlias = Scalar | Number | Symbols | Items | Entries | Nullable | Choice | Record


def is_empty(shape: Shape) -> bool:
    """Say whether a value of this shape takes no byte at all, as a record without fields does."""
    return isinstance(shape, Record) and all(is_empty(field.shape) for field in shape.fields)
