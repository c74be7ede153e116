"""From a pydantic model to its shape: the subset of Python's types that an event may hold.

The subset is what Avro can carry without loss and every reader sees alike. Whatever lies outside is refused while
the class is being defined, with the reason and what to write instead.
"""

from __future__ import annotations

import enum
import inspect
import struct
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin
from uuid import UUID

import pydantic
from pydantic import BaseModel, RootModel
from pydantic.fields import FieldInfo

from everwhen.errors import DeclarationError
from everwhen.event.schema import is_fullname, is_name
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
    is_empty,
)


@dataclass(frozen=True, slots=True)
class Width:
    """Annotation marker: the Avro primitive to use in place of the type's usual one."""

    type: Literal["int", "float"]


def round_to_float32(value: float) -> float:
    """Return the nearest 32-bit float.

    :raises ValueError: if the number is too large for one.
    """
    try:
        rounded: float = struct.unpack("<f", struct.pack("<f", value))[0]
    except OverflowError:
        raise ValueError("the number is too large for a 32-bit float") from None
    return rounded


_SCALARS: Mapping[Any, Scalar] = {
    bool: Scalar("boolean"),
    int: Scalar("long"),
    float: Scalar("double"),
    str: Scalar("string"),
    bytes: Scalar("bytes"),
    UUID: Scalar("string", "uuid"),
    date: Scalar("int", "date"),
    pydantic.AwareDatetime: Scalar("long", "timestamp-micros"),
}

_REFUSED: Mapping[Any, tuple[str, str]] = {
    datetime: ("it may lack a time zone", "pydantic.AwareDatetime"),
    pydantic.NaiveDatetime: ("it has no time zone", "pydantic.AwareDatetime"),
    time: ("Avro's times of day mean something else in every language", "a str, or an int with its unit in the name"),
    timedelta: ("Avro has no type for it", "an int with its unit in the field's name, such as delay_seconds"),
    set: ("a set has no order, so equal events could have different bytes", "a list"),
    frozenset: ("a set has no order, so equal events could have different bytes", "a tuple"),
    list: ("it does not say what it holds", "for example list[str]"),
    tuple: ("it does not say what it holds, or differs by position", "for example tuple[str, ...], or a model"),
    dict: ("its keys must be strings and its values of one type", "for example dict[str, int]"),
    Any: ("its bytes need one type", "that type, or a tagged union of models"),
    object: ("its bytes need one type", "that type, or a tagged union of models"),
    type(None): ("a field that is always None says nothing", "T | None"),
    Literal: ("its values are not all strings that are Avro names", 'a Literal such as "credit_card", or an Enum'),
    Union: ("readers could not tell its members apart", "a union of models with Field(discriminator=...)"),
    TypeVar: ("its bytes need one type", "that type"),
}

_RECURSIVE = ("it contains itself", "ids that refer to other entities")
_ELSEWHERE = ("it is outside the types that an event can hold", "a plain type of Python or a pydantic model")


def read_record(model: type[BaseModel], fullname: str) -> Record:
    """Return the shape of a model.

    :param model: a pydantic model that is fully defined.
    :param fullname: its Avro full name; the types inside it are named by their class, in the namespace
        ``fullname``.
    :raises DeclarationError: naming the class, the field and the type that cannot be part of an event.
    """
    namespace, _, name = fullname.rpartition(".")
    return _Walk(inner=fullname).record(model, name, namespace, model.__name__)


class _Walk:
    """One walk through an event's models. It knows the names given out so far."""

    def __init__(self, inner: str) -> None:
        self._inner = inner
        self._named: dict[str, tuple[object, Shape]] = {}
        self._open: list[object] = []

    def record(self, model: type[BaseModel], name: str, namespace: str, where: str) -> Record:
        _check_model(model, where)
        self._open.append(model)
        fields = tuple(self._field(model, name, key, field) for key, field in model.model_fields.items())
        self._open.pop()
        return Record(name, namespace, model, fields)

    def _field(self, model: type[BaseModel], record: str, name: str, field: FieldInfo) -> Field:
        where = f"{model.__name__}.{name}"
        if not is_name(name):
            raise DeclarationError(f"{where}: the name is not an Avro name; use ASCII letters, digits and underscores")
        if field.alias is not None or field.validation_alias is not None or field.serialization_alias is not None:
            raise DeclarationError(
                f"{where}: the field has an alias, but its name is the contract; remove the alias or rename the field"
            )
        shape = self._shape(field.annotation, [field, *field.metadata], where, f"{record}_{name}")
        return Field(name, shape, _default(field, shape))

    def _shape(self, annotation: Any, metadata: list[Any], where: str, literal: str) -> Shape:
        annotation, metadata, aliases = _unwrap(annotation, metadata)
        if any(alias in self._open for alias in aliases):
            raise _refusal(annotation, where, _RECURSIVE)
        self._open += aliases
        shape = self._plain(annotation, metadata, where, literal)
        del self._open[len(self._open) - len(aliases) :]
        return shape

    def _plain(self, annotation: Any, metadata: list[Any], where: str, literal: str) -> Shape:
        """Return the shape of an annotation with nothing wrapped around it."""
        origin = get_origin(annotation)
        if origin is None and annotation in _SCALARS:
            return _scalar(annotation, metadata)
        if annotation is Decimal:
            return _number(metadata, where)
        if origin in (Union, types.UnionType):
            return self._union(annotation, metadata, where, literal)
        if origin is Literal:
            return self._literal(annotation, where, literal)
        if origin in (list, tuple, dict):
            return self._container(origin, annotation, where, literal)
        if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
            return self._enum(annotation, where)
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            return self._nested(annotation, where)
        raise _refusal(annotation, where)

    def _union(self, annotation: Any, metadata: list[Any], where: str, literal: str) -> Shape:
        members = [member for member in get_args(annotation) if member is not type(None)]
        if len(members) == 1:
            inner = self._shape(members[0], metadata, where, literal)
        else:
            inner = self._choice(annotation, members, metadata, where)
        optional = len(members) < len(get_args(annotation)) and not isinstance(inner, Nullable)
        return Nullable(inner) if optional else inner

    def _choice(self, annotation: Any, members: list[Any], metadata: list[Any], where: str) -> Choice:
        discriminator = next((d for m in metadata if (d := getattr(m, "discriminator", None)) is not None), None)
        if not isinstance(discriminator, str):
            raise _refusal(annotation, where, _REFUSED[Union])
        models = [_unwrap(member, [])[0] for member in members]
        if not all(isinstance(model, type) and issubclass(model, BaseModel) for model in models):
            raise _refusal(annotation, where, _REFUSED[Union])
        return Choice(discriminator, tuple(self._nested(model, where) for model in models))

    def _container(self, origin: type, annotation: Any, where: str, literal: str) -> Shape:
        arguments = get_args(annotation)
        if origin is dict:
            if _unwrap(arguments[0], [])[0] is not str:
                raise _refusal(annotation, where, _REFUSED[dict])
        elif origin is tuple and (len(arguments) != 2 or arguments[1] is not Ellipsis):
            raise _refusal(annotation, where, _REFUSED[tuple])
        content = self._shape(arguments[1 if origin is dict else 0], [], where, literal)
        if is_empty(content):
            raise _refusal(annotation, where, ("its items take no byte, so their number cannot be trusted", "an int"))
        return Entries(content) if origin is dict else Items(content, origin)

    def _literal(self, annotation: Any, where: str, name: str) -> Shape:
        values = tuple(dict.fromkeys(get_args(annotation)))
        if not all(type(value) is str and is_name(value) for value in values):
            raise _refusal(annotation, where, _REFUSED[Literal])
        return self._remember(name, (where, values), Symbols(name, self._inner, values, None), where)

    def _enum(self, members: type[enum.Enum], where: str) -> Shape:
        if issubclass(members, enum.Flag):
            raise _refusal(members, where, ("its values combine", "a list of an Enum, or an int"))
        # Names, not values: they are identifiers already, unique, and free to keep when a value is reworded.
        names = tuple(member.name for member in members)
        if not names or not all(is_name(name) for name in names):
            raise _refusal(members, where, ("it has no member, or names that Avro forbids", "an Enum with plain names"))
        return self._remember(members.__name__, members, Symbols(members.__name__, self._inner, names, members), where)

    def _nested(self, model: type[BaseModel], where: str) -> Record:
        name = model.__name__
        if model in self._open:
            raise _refusal(model, where, _RECURSIVE)
        known = self._named.get(name)
        if known is not None and known[0] is model:
            shape = known[1]
        else:
            shape = self._remember(name, model, self.record(model, name, self._inner, where), where)
        return cast("Record", shape)

    def _remember(self, name: str, owner: object, shape: Shape, where: str) -> Shape:
        """Give out a name once; the same owner gets the same shape again."""
        if not is_fullname(name):
            raise DeclarationError(f"{where}: {name} is not an Avro name; give it a class of its own with a plain name")
        if self._named.setdefault(name, (owner, shape))[0] != owner:
            raise DeclarationError(f"{where}: two types of this event are named {name}; rename one of them")
        return self._named[name][1]


def _unwrap(annotation: Any, metadata: list[Any]) -> tuple[Any, list[Any], list[object]]:
    """Look through ``Annotated``, ``NewType`` and ``type X = ...``.

    :returns: what is inside, the metadata with what was said on the way, and the aliases that were passed.
    """
    aliases: list[object] = []
    while annotation not in aliases:
        if get_origin(annotation) is Annotated:
            annotation, *more = get_args(annotation)
            metadata = [*metadata, *_flat(more)]
        elif hasattr(annotation, "__supertype__"):
            annotation = annotation.__supertype__
        elif type(annotation).__name__ == "TypeAliasType":  # that of typing, or of typing_extensions
            aliases.append(annotation)
            annotation = annotation.__value__
        else:
            break
    return annotation, metadata, aliases


def _check_model(model: type[BaseModel], where: str) -> None:
    if not model.__pydantic_complete__ and not model.model_rebuild(raise_errors=False):
        raise DeclarationError(
            f"{where}: {model.__name__} uses a name that is not defined yet; define that class above this one"
        )
    if issubclass(model, RootModel):
        raise _refusal(model, where, ("it has no fields of its own", "the type that it wraps"))
    if model.model_config.get("extra") == "allow":
        raise _refusal(model, where, ("extra fields have no place in the contract", "a dict[str, T] field"))
    if model.model_config.get("use_enum_values"):
        raise _refusal(model, where, ("use_enum_values hides the members", "the members, whose names are the contract"))


def _flat(metadata: Iterable[Any]) -> list[Any]:
    """Return the metadata of ``Annotated`` with what stands inside each ``Field(...)``."""
    return [part for m in metadata for part in ((m, *m.metadata) if isinstance(m, FieldInfo) else (m,))]


def _scalar(annotation: Any, metadata: list[Any]) -> Scalar:
    width = next((m.type for m in metadata if isinstance(m, Width)), None)
    return Scalar(width) if width is not None else _SCALARS[annotation]


def _number(metadata: list[Any], where: str) -> Number:
    precision = next((d for m in metadata if (d := getattr(m, "max_digits", None)) is not None), None)
    scale = next((d for m in metadata if (d := getattr(m, "decimal_places", None)) is not None), None)
    if precision is None or scale is None or not 0 <= scale <= precision or precision < 1:
        raise DeclarationError(
            f"{where}: a Decimal needs max_digits and decimal_places (0 <= decimal_places <= max_digits), for example "
            "Annotated[Decimal, Field(max_digits=12, decimal_places=2)]"
        )
    return Number(precision, scale)


def _default(field: FieldInfo, shape: Shape) -> Any:
    """Return the field's default where it is a constant.

    A factory counts if it gives equal values twice. For a scalar it never does: a constant one is written as
    ``default=``, and what is left are clocks and generators.
    """
    if field.is_required():
        return MISSING
    factory: Any = field.default_factory
    if factory is None:
        return field.default
    if isinstance(shape, (Scalar, Number)) or _needs_arguments(factory):
        return MISSING
    first = factory()
    return first if first == factory() else MISSING


def _needs_arguments(factory: Callable[..., Any]) -> bool:
    """Say whether a default factory is one of those that pydantic calls with the fields before it."""
    try:
        parameters = inspect.signature(factory).parameters.values()
    except ValueError:  # a built-in such as list, on some versions of Python
        return False
    return any(p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)


def _refusal(annotation: Any, where: str, why: tuple[str, str] | None = None) -> DeclarationError:
    key = get_origin(annotation) or annotation
    reason, instead = why or _REFUSED.get(key, _REFUSED.get(type(annotation), _ELSEWHERE))
    name = annotation.__name__ if isinstance(annotation, type) and not get_args(annotation) else str(annotation)
    return DeclarationError(f"{where}: {name} cannot be part of an event because {reason}; use {instead} instead")
