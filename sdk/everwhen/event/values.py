"""Values on their way between an event and the plain data that fastavro writes and :mod:`everwhen.event.datum` reads.

The functions are put together once per class and schema, from the class's shape. Where nothing has to be converted
they cost nothing: fastavro then gets the event's own ``__dict__``, and validation gets what was read.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from everwhen.errors import MalformedRecord
from everwhen.event import logical
from everwhen.event.logical import Convert
from everwhen.event.schema import Node
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


def writing(record: Record) -> Convert:
    """Return the function from a model's instance to the mapping that fastavro writes.

    It raises a ``ValueError``, ``ArithmeticError``, ``TypeError``, ``AttributeError`` or ``LookupError`` for an
    instance that was not validated, or that holds an instant outside the years 1 to 9999 in UTC.
    """
    conversions = [(field.name, c) for field in record.fields if (c := _outward(field.shape)) is not None]
    if not conversions:
        return attrgetter("__dict__")

    def write(model: Any) -> dict[str, Any]:
        data: dict[str, Any] = model.__dict__.copy()
        for name, convert in conversions:
            data[name] = convert(data[name])
        return data

    return write


def reading(record: Record, written: Node) -> Convert | None:
    """Return the function from what was read to what the model's validation takes; ``None`` if it is the same.

    It does the part of Avro's schema resolution (specification 1.12) that validation does not: a field that the
    model has no more is dropped. One that it has since then is left to its default, except for a literal, which
    validation needs to see in order to tell the members of a union apart. It raises :class:`MalformedRecord`, naming
    the field, for a value that does not follow its logical type.

    :param written: the record in the schema that the data was written with. The model must be able to read it
        (:mod:`everwhen.event.compatibility`).
    """
    names = {field.name for field in record.fields}
    dropped = [name for name in written.children if name not in names]
    added = [field for field in record.fields if field.name not in written.children]
    present = [field for field in record.fields if field.name in written.children]
    literals = {field.name: field.default for field in added if _is_literal(field)}
    inward = ((field.name, _inward(field.shape, written.children[field.name])) for field in present)
    conversions = [(name, convert) for name, convert in inward if convert is not None]
    if not conversions and not dropped and not literals:
        return None

    def read(data: dict[str, Any]) -> dict[str, Any]:
        for name in dropped:
            del data[name]
        data.update(literals)
        for name, convert in conversions:
            try:
                data[name] = convert(data[name])
            except (ValueError, ArithmeticError):
                raise MalformedRecord(f"the field {name} does not follow its logical type") from None
        return data

    return read


def fitting(record: Record) -> Convert:
    """Return the function from plain data, as an upcaster gives them, to what the model's validation takes.

    A symbol becomes the enum's member, a list the tuple of the model, and a literal that is missing is filled in. What
    is not as the model has it is passed on, for validation to refuse.
    """
    literals = {field.name: field.default for field in record.fields if _is_literal(field)}
    conversions = {field.name: _fit(field.shape) for field in record.fields}

    def fit(data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return literals | {
            name: conversions[name](each) if name in conversions else each for name, each in data.items()
        }

    return fit


def _fit(shape: Shape) -> Convert:
    match shape:
        case Symbols(members=members) if members is not None:
            by_name = dict(members.__members__)
            return lambda value: by_name.get(value, value) if isinstance(value, str) else value
        case Items(item, container):
            fit = _fit(item)
            return lambda value: container(map(fit, value)) if isinstance(value, list | tuple) else value
        case Entries(inner):
            fit = _fit(inner)
            return lambda value: {k: fit(v) for k, v in value.items()} if isinstance(value, dict) else value
        case Nullable(inner):
            return _fit(inner)
        case Choice():
            branches = {tag: fitting(record) for tag, record in shape.branches().items()}
            tag = shape.discriminator
            return lambda value: branches.get(value.get(tag, ""), _same)(value) if isinstance(value, dict) else value
        case Record():
            return fitting(shape)
        case _:
            return _same


def _same(value: Any) -> Any:
    return value


def _is_literal(field: Field) -> bool:
    return isinstance(field.shape, Symbols) and field.shape.members is None and field.default is not MISSING


def _outward(shape: Shape) -> Convert | None:
    match shape:
        case Scalar() | Number():
            return logical.outward(shape)
        case Symbols(members=members):
            return None if members is None else attrgetter("_name_")
        case Items(item, container):
            return _each(_outward(item), list if container is tuple else None, list)
        case Entries(value):
            return _each_value(_outward(value))
        case Nullable(Choice() as choice):
            return _unless_none(_choose(choice))
        case Nullable(inner):
            return _unless_none(_tagged(inner))
        case Choice():
            return _choose(shape)
        case Record():
            return writing(shape)


def _inward(shape: Shape, written: Node) -> Convert | None:
    written = _without_null(written)
    match shape:
        case Scalar() | Number():
            return logical.inward(shape)
        case Symbols(symbols=symbols, members=members):
            return None if members is None else {name: members[name] for name in symbols}.__getitem__
        case Items(item, container):
            return _each(_inward(item, written.children["[]"]), tuple if container is tuple else None, container)
        case Entries(value):
            return _each_value(_inward(value, written.children["{}"]))
        case Nullable(inner):
            return _unless_none(_inward(inner, written))
        case Choice():
            return _dispatch(shape, written)
        case Record():
            return reading(shape, written)


def _without_null(written: Node) -> Node:
    """Return what a union with ``null`` holds besides; what is no union, or one of several, is returned as it is."""
    if written.kind != "union":
        return written
    others = [branch for branch in written.children.values() if branch.kind != "null"]
    return others[0] if len(others) == 1 else written


def _each(convert: Convert | None, plain: Convert | None, container: Callable[[Any], Any]) -> Convert | None:
    if convert is None:
        return plain
    return lambda values: container([convert(value) for value in values])


def _each_value(convert: Convert | None) -> Convert | None:
    if convert is None:
        return None
    return lambda values: {key: convert(value) for key, value in values.items()}


def _unless_none(convert: Convert | None) -> Convert | None:
    if convert is None:
        return None
    return lambda value: None if value is None else convert(value)


def _tagged(shape: Shape) -> Convert:
    """Name the branch of a union, which fastavro takes as a tuple; to find it, it would validate the whole value."""
    match shape:
        case Scalar(primitive):
            tag = primitive
        case Number():
            tag = "bytes"
        case Symbols():
            tag = f"{shape.namespace}.{shape.name}"
        case Record():
            tag = shape.fullname
        case _:
            tag = "array" if isinstance(shape, Items) else "map"
    convert = _outward(shape)
    if convert is None:
        return lambda value: (tag, value)
    return lambda value: (tag, convert(value))


def _choose(choice: Choice) -> Convert:
    branches = {tag: (record.fullname, writing(record)) for tag, record in choice.branches().items()}
    discriminator = attrgetter(choice.discriminator)

    def choose(model: Any) -> tuple[str, Any]:
        name, write = branches[discriminator(model)]
        return name, write(model)

    return choose


def _dispatch(choice: Choice, written: Node) -> Convert | None:
    if written.kind == "record":
        return reading(next(record for record in choice.records if record.fullname == written.name), written)
    branches = {
        tag: reading(record, written.children[record.fullname])
        for tag, record in choice.branches().items()
        if record.fullname in written.children
    }
    discriminator = choice.discriminator
    if not any(branches.values()):
        return None

    def dispatch(data: dict[str, Any]) -> Any:
        # A tag that is missing is for validation to refuse.
        read = branches.get(data.get(discriminator, ""))
        return data if read is None else read(data)

    return dispatch
