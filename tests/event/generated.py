"""Generated event classes: descriptions of types, the classes built from them, values for them, and later versions.

A description (:class:`Kind`) is plain data. Models and enums are named by their place in the event, so that a
description and its later version give classes of the same names.
"""

from __future__ import annotations

import enum
import math
import struct
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple, Union
from uuid import UUID

from hypothesis import strategies as st
from pydantic import AwareDatetime, BaseModel, Field, create_model

from everwhen.event import Event, Float32, Int32

LETTERS = ("a", "b", "c", "d")
SYMBOLS = ("RED", "GREEN", "BLUE", "NONE")


@dataclass(frozen=True)
class Kind:
    """A type: its name, and what it is made of."""

    name: str
    parts: tuple[Any, ...] = ()


class Slot(NamedTuple):
    """A field: its type, and the seed of its default; ``None`` without one."""

    kind: Kind
    default: Any = None


SCALARS: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "bool": (bool, st.booleans()),
    "int": (int, st.integers(-(2**63), 2**63 - 1)),
    "int32": (Int32, st.integers(-(2**31), 2**31 - 1)),
    "float": (float, st.floats(allow_nan=False)),
    "float32": (Float32, st.floats(width=32, allow_nan=False)),
    "str": (str, st.text(st.characters(exclude_categories=["Cs"]), max_size=8)),
    "bytes": (bytes, st.binary(max_size=8)),
    "uuid": (UUID, st.uuids()),
    "date": (date, st.dates()),
    "instant": (AwareDatetime, st.datetimes(timezones=st.timezones(), allow_imaginary=False)),
}


def fits_utc(moment: datetime) -> bool:
    """Say whether an instant's UTC form is in the calendar."""
    try:
        moment.astimezone(UTC)
    except OverflowError:
        return False
    return True


def _containers(inner: st.SearchStrategy[Kind]) -> st.SearchStrategy[Kind]:
    slots = st.dictionaries(st.sampled_from(LETTERS), inner.map(Slot), min_size=1, max_size=3)
    models = slots.map(lambda found: Kind("model", tuple(found.items())))
    return st.one_of(
        st.builds(
            lambda name, part: Kind(name, (part,)), st.sampled_from(["list", "tuple", "dict", "optional"]), inner
        ),
        models,
        st.lists(models, min_size=2, max_size=3).map(lambda found: Kind("choice", tuple(found))),
    )


_SOME_SYMBOLS = st.lists(st.sampled_from(SYMBOLS), min_size=1, unique=True).map(tuple)

KINDS: st.SearchStrategy[Kind] = st.recursive(
    st.one_of(
        st.sampled_from([Kind(name) for name in SCALARS]),
        st.tuples(st.integers(1, 30), st.integers(0, 30)).map(lambda p: Kind("decimal", (max(p), min(p)))),
        _SOME_SYMBOLS.map(lambda symbols: Kind("enum", symbols)),
        _SOME_SYMBOLS.map(lambda symbols: Kind("literal", symbols)),
    ),
    _containers,
    max_leaves=5,
)
"""Any type of the subset."""

FIELDS: st.SearchStrategy[dict[str, Slot]] = st.dictionaries(
    st.sampled_from(LETTERS), st.builds(Slot, KINDS, st.none() | st.integers(0, 3)), max_size=4
)
"""The fields of an event, some with a default."""


@dataclass
class Built:
    """An event class and strategies for its instances.

    :ivar classes: the models and enums inside, by their place.
    """

    event: type[Event]
    slots: dict[str, Slot]
    classes: dict[str, Any] = field(default_factory=dict)

    def instances(self) -> st.SearchStrategy[Event]:
        """Instances of the class."""
        return st.builds(
            self.event, **{name: values(slot.kind, name, self.classes) for name, slot in self.slots.items()}
        )


def build(slots: dict[str, Slot], name: str = "test.happened") -> Built:
    """Define an event class."""
    classes: dict[str, Any] = {}
    definitions = {key: _definition(slot, key, classes) for key, slot in slots.items()}
    event = create_model("Happened", __base__=Event, __cls_kwargs__={"type": name}, **definitions)
    return Built(event, slots, classes)


def _definition(slot: Slot, place: str, classes: dict[str, Any]) -> Any:
    annotation = _annotation(slot.kind, place, classes)
    if slot.default is None:
        return (annotation, ...)
    return (annotation, constant(slot.kind, place, classes, slot.default))


def _annotation(kind: Kind, place: str, classes: dict[str, Any]) -> Any:
    match kind:
        case Kind("decimal", (precision, scale)):
            return Annotated[Decimal, Field(max_digits=precision, decimal_places=scale)]
        case Kind("enum", symbols):
            classes[place] = enum.Enum(f"E_{place}", {symbol: symbol.lower() for symbol in symbols})
            return classes[place]
        case Kind("literal", symbols):
            return Literal[symbols]
        case Kind("list", (part,)):
            return list[_annotation(part, f"{place}_i", classes)]  # type: ignore[misc]
        case Kind("tuple", (part,)):
            return tuple[_annotation(part, f"{place}_i", classes), ...]  # type: ignore[misc]
        case Kind("dict", (part,)):
            return dict[str, _annotation(part, f"{place}_v", classes)]  # type: ignore[misc]
        case Kind("optional", (part,)):
            return _annotation(part, place, classes) | None
        case Kind("model", slots):
            classes[place] = _model(slots, place, classes, {})
            return classes[place]
        case Kind("choice", models):
            members = [_member(model.parts, number, place, classes) for number, model in enumerate(models)]
            return Annotated[Union[tuple(members)], Field(discriminator="tag")]  # noqa: UP007 - built at run time
        case _:
            return SCALARS[kind.name][0]


def _model(slots: Any, place: str, classes: dict[str, Any], more: dict[str, Any]) -> type[BaseModel]:
    definitions = {key: _definition(slot, f"{place}_{key}", classes) for key, slot in slots}
    return create_model(f"M_{place}", **more, **definitions)


def _member(slots: Any, number: int, place: str, classes: dict[str, Any]) -> type[BaseModel]:
    inner = f"{place}_{number}"
    tag = f"T{number}"
    classes[inner] = _model(slots, inner, classes, {"tag": (Literal[tag], tag)})
    return classes[inner]  # type: ignore[no-any-return]


def values(kind: Kind, place: str, classes: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values of a type."""
    match kind:
        case Kind("decimal", (precision, scale)):
            bound = 10**precision - 1
            return st.integers(-bound, bound).map(lambda n: Decimal(f"{n}E-{scale}"))
        case Kind("enum", _):
            return st.sampled_from(list(classes[place]))
        case Kind("literal", symbols):
            return st.sampled_from(symbols)
        case Kind("list", (part,)):
            return st.lists(values(part, f"{place}_i", classes), max_size=3)
        case Kind("tuple", (part,)):
            return st.lists(values(part, f"{place}_i", classes), max_size=3).map(tuple)
        case Kind("dict", (part,)):
            return st.dictionaries(SCALARS["str"][1], values(part, f"{place}_v", classes), max_size=3)
        case Kind("optional", (part,)):
            return st.none() | values(part, place, classes)
        case Kind("model", slots):
            return _models(slots, place, classes)
        case Kind("choice", models):
            return st.one_of([_models(model.parts, f"{place}_{n}", classes) for n, model in enumerate(models)])
        case Kind("instant"):
            return SCALARS["instant"][1].filter(fits_utc)
        case _:
            return SCALARS[kind.name][1]


def _models(slots: Any, place: str, classes: dict[str, Any]) -> st.SearchStrategy[Any]:
    return st.builds(classes[place], **{key: values(slot.kind, f"{place}_{key}", classes) for key, slot in slots})


def constant(kind: Kind, place: str, classes: dict[str, Any], seed: int) -> Any:
    """Return one of a few constants of a type, for a default."""
    match kind:
        case Kind("decimal", (precision, scale)):
            return Decimal(f"{min(seed * 7, 10**precision - 1)}E-{scale}")
        case Kind("enum", _):
            return list(classes[place])[seed % len(classes[place])]
        case Kind("literal", symbols):
            return symbols[seed % len(symbols)]
        case Kind("list" | "tuple" as name, (part,)):
            items = [constant(part, f"{place}_i", classes, n) for n in range(seed % 3)]
            return items if name == "list" else tuple(items)
        case Kind("dict", (part,)):
            return {f"k{n}": constant(part, f"{place}_v", classes, n) for n in range(seed % 3)}
        case Kind("optional", (part,)):
            return constant(part, place, classes, seed) if seed % 2 else None
        case Kind("model", slots):
            return _constant_model(slots, place, classes, seed)
        case Kind("choice", models):
            number = seed % len(models)
            return _constant_model(models[number].parts, f"{place}_{number}", classes, seed)
        case _:
            return _CONSTANTS[kind.name][seed]


def _constant_model(slots: Any, place: str, classes: dict[str, Any], seed: int) -> Any:
    return classes[place](**{key: constant(slot.kind, f"{place}_{key}", classes, seed) for key, slot in slots})


_CONSTANTS: dict[str, tuple[Any, ...]] = {
    "bool": (False, True, False, True),
    "int": (0, -1, 2**63 - 1, -(2**63)),
    "int32": (0, -1, 2**31 - 1, -(2**31)),
    "float": (0.0, 0.1, -1e300, 5e-324),
    "float32": (0.0, 0.5, -1.25, 1024.0),
    "str": ("", "x", "ä€\U0001f600", "\x00"),
    "bytes": (b"", b"\x00", b"\xff", bytes(range(256))),
    "uuid": tuple(UUID(int=n) for n in (0, 1, 2, 2**128 - 1)),
    "date": (date(1970, 1, 1), date.min, date.max, date(2026, 3, 1)),
    "instant": tuple(datetime(y, 1, 1, microsecond=1, tzinfo=UTC) for y in (1970, 1, 9999, 2026)),
}

_PROMOTED = {"int32": "int", "int": "float", "float32": "float", "str": "bytes", "bytes": "str", "list": "tuple"}


@st.composite
def later(draw: st.DrawFn, slots: dict[str, Slot]) -> dict[str, Slot]:
    """A later version of an event's fields: some gone, some changed, some new, in another order.

    The default of a new field is the first constant of its type, which lies in the first branch of every union
    inside: Apache Avro's Python reader knows no other.
    """
    kept = {name: Slot(draw(_changed(slot.kind)), slot.default) for name, slot in slots.items() if draw(_mostly())}
    new = draw(FIELDS) if draw(st.booleans()) else {}
    added = {name: Slot(slot.kind, None if slot.default is None else 0) for name, slot in new.items()}
    merged = {**added, **kept}
    return {name: merged[name] for name in draw(st.permutations(sorted(merged)))}


def _mostly() -> st.SearchStrategy[bool]:
    return st.sampled_from([True, True, True, True, False])


@st.composite
def _changed(draw: st.DrawFn, kind: Kind) -> Kind:
    change = draw(st.sampled_from(["none", "none", "none", "inside", "inside", "promote", "wrap", "unwrap", "other"]))
    match change, kind:
        case "other", _:
            return draw(KINDS)
        case "wrap", _ if kind.name != "optional":
            return Kind("optional", (kind,))
        case "unwrap", Kind("optional" | "list", (part,)):
            return part  # type: ignore[no-any-return]
        case "promote", _ if kind.name in _PROMOTED:
            return replace(kind, name=_PROMOTED[kind.name])
        case "inside", Kind("enum" | "literal", symbols):
            return replace(kind, parts=tuple(draw(st.permutations([*{*symbols, draw(st.sampled_from(SYMBOLS))}]))))
        case "inside", Kind("list" | "tuple" | "dict" | "optional", (part,)):
            return replace(kind, parts=(draw(_changed(part)),))
        case "inside", Kind("model", inner):
            return replace(kind, parts=tuple(draw(later(dict(inner))).items()) or inner)
        case "inside", Kind("choice", models):
            changed = [replace(m, parts=tuple(draw(later(dict(m.parts))).items())) for m in models]
            return replace(kind, parts=tuple(changed[: draw(st.integers(2, len(changed)))]))
        case _:
            return kind


def same(left: Any, right: Any) -> bool:
    """Compare plain data as Avro sees it: a number is what 32 bits hold of it, if one side has only those."""
    match left, right:
        case dict(), dict():
            return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
        case list(), list():
            return len(left) == len(right) and all(map(same, left, right))
        case float() | int(), float() | int() if not isinstance(left, bool):
            return left == right or _float32(left) == _float32(right)
        case (str(), bytes()) | (bytes(), str()):
            return _text(left) == _text(right)
        case _:
            return bool(left == right)


def _float32(number: float) -> float:
    try:
        return float(struct.unpack("<f", struct.pack("<f", number))[0])
    except OverflowError:
        return math.inf


def _text(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value


def without_logical_types(schema: Any) -> Any:
    """Return a schema without its logical types: Apache Avro then gives the data as it stands on the wire."""
    if isinstance(schema, list):
        return [without_logical_types(part) for part in schema]
    if isinstance(schema, dict):
        dropped = ("logicalType", "precision", "scale", "default")
        kept = {key: without_logical_types(value) for key, value in schema.items() if key not in dropped}
        return kept | ({"default": schema["default"]} if "default" in schema else {})
    return schema
