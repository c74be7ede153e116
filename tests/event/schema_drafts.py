"""Drafts of schemas: schemas that can still be changed, and how they are written as JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

Type: TypeAlias = Any
"""A primitive's name; ``("logical", type, name)``, ``("decimal", precision, scale)``, ``("ref", number)``,
``("array", type)``, ``("map", type)`` or ``("union", [types])``."""


@dataclass
class Field:
    name: str
    type: Type
    has_default: bool = False
    aliases: list[str] = field(default_factory=list)


@dataclass
class Named:
    """A named type; others refer to it by its number, so that it can be renamed."""

    kind: str
    namespace: str
    name: str
    fields: list[Field] = field(default_factory=list)
    symbols: list[str] = field(default_factory=list)
    default: str | None = None
    size: int = 0
    aliases: list[str] = field(default_factory=list)

    @property
    def fullname(self) -> str:
        return f"{self.namespace}.{self.name}"


@dataclass
class Draft:
    """A schema that can be changed; type 0 is the root."""

    types: list[Named]

    def schema(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return _Writing(self).type(("ref", 0))  # type: ignore[no-any-return]


def distinct(branches: list[Type]) -> list[Type]:
    """Leave out what a union cannot hold beside what is there."""
    found: dict[Any, Type] = {}
    for branch in branches:
        found.setdefault(_identity(branch), branch)
    return list(found.values())


def _identity(branch: Type) -> Any:
    match branch:
        case ("ref", number):
            return number
        case ("logical", kind, _):
            return kind
        case ("decimal", *_):
            return "bytes"
        case (kind, *_) if not isinstance(branch, str):
            return kind
        case _:
            return branch


class _Writing:
    """Writes a draft as JSON, each named type where it is used first."""

    def __init__(self, draft: Draft) -> None:
        self._types = draft.types
        self._written: set[int] = set()

    def type(self, kind: Type) -> Any:
        match kind:
            case ("ref", number):
                return self._named(number)
            case ("array", item):
                return {"type": "array", "items": self.type(item)}
            case ("map", value):
                return {"type": "map", "values": self.type(value)}
            case ("union", branches):
                return [self.type(branch) for branch in branches]
            case ("logical", primitive, name):
                return {"type": primitive, "logicalType": name}
            case ("decimal", precision, scale):
                return {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}
            case _:
                return kind

    def _named(self, number: int) -> Any:
        named = self._types[number]
        if number in self._written:
            return named.fullname
        self._written.add(number)
        found: dict[str, Any] = {"type": named.kind, "name": named.name, "namespace": named.namespace}
        if named.aliases:
            found["aliases"] = list(named.aliases)
        if named.kind == "enum":
            return found | {"symbols": list(named.symbols)} | ({"default": named.default} if named.default else {})
        if named.kind == "fixed":
            return found | {"size": named.size}
        return found | {"fields": [self._field(each) for each in named.fields]}

    def _field(self, each: Field) -> dict[str, Any]:
        found: dict[str, Any] = {"name": each.name, "type": self.type(each.type)}
        if each.aliases:
            found["aliases"] = list(each.aliases)
        return found | ({"default": self._default(each.type)} if each.has_default else {})

    def _default(self, kind: Type) -> Any:
        """Return a value of a type, of a union's first branch."""
        match kind:
            case ("union", [first, *_]):
                return self._default(first)
            case ("ref", number):
                return self._named_default(self._types[number])
            case ("array", _):
                return []
            case ("map", _):
                return {}
            case ("decimal", *_):
                return "\u0000"
            case ("logical", "string", _):
                return "00000000-0000-0000-0000-000000000000"
            case ("logical", *_):
                return 0
            case _:
                return _ZEROS[kind]

    def _named_default(self, named: Named) -> Any:
        if named.kind == "enum":
            return named.symbols[0]
        if named.kind == "fixed":
            return "\u0000" * named.size
        return {each.name: self._default(each.type) for each in named.fields}


_ZEROS = {"null": None, "boolean": False, "int": 0, "long": 0, "float": 0.0, "double": 0.0, "bytes": "", "string": ""}


def drop_deep_defaults(draft: Draft) -> None:
    """Leave a default away where it would hold a record within a record: that may be the record it stands in."""
    for named in draft.types:
        for each in named.fields:
            each.has_default = each.has_default and _depth(draft, each.type) < 2


def _depth(draft: Draft, kind: Type) -> int:
    """Return how many records a type's default would hold in one another; more than one is not told apart."""
    match kind:
        case ("union", [first, *_]):
            return _depth(draft, first)
        case ("ref", number) if draft.types[number].kind == "record":
            return 1 + any(_is_record(draft, each.type) for each in draft.types[number].fields)
        case _:
            return 0


def _is_record(draft: Draft, kind: Type) -> bool:
    match kind:
        case ("union", [first, *_]):
            return _is_record(draft, first)
        case ("ref", number):
            return bool(draft.types[number].kind == "record")
        case _:
            return False
