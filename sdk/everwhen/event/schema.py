"""Avro schemas as data: names written out, references followed, and what could harm a reader refused.

Avro specification 1.12, sections "Schema declaration" and "Names". A schema file or a registry is input from outside:
with a hostile schema an event of six bytes can recurse for ever, claim 2\\ :sup:`63` items that take no byte, or hold
2\\ :sup:`50` fields that take none. The bounds are checked on the way down, before anything else walks the schema.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from everwhen.errors import ContractError

MAX_DEPTH = 64
"""How deep types may be nested in one another, references followed."""

MAX_TYPES = 10_000
"""How many types a schema may be made of, references followed: each field, branch and item counts as one."""

MAX_SCHEMA_BYTES = 1_048_576
"""How long a schema may be as a file; of a registry's, what matters to readers counts, as JSON."""

PRIMITIVES = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})

_LEAST = {"null": 0, "float": 4, "double": 8}

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def is_name(text: str) -> bool:
    """Say whether a field or an enum's symbol can be named so in Avro (specification 1.12, section "Names")."""
    return _NAME.fullmatch(text) is not None


def is_fullname(text: str) -> bool:
    """Say whether a type can be named so: names with dots between them, the last one not that of a primitive."""
    parts = text.split(".")
    return all(is_name(part) for part in parts) and parts[-1] not in PRIMITIVES


# Without repr: a type that is used twice on each of 50 levels would be written out 2**50 times.
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Node:
    """A type within a schema.

    :ivar kind: a primitive's name, ``record``, ``enum``, ``fixed``, ``array``, ``map`` or ``union``; ``reference`` for
        a record within itself, which only a schema that is not read with can have.
    :ivar name: the full name of a named type, else empty.
    :ivar logical: the logical type with its parameters, such as ``("decimal", 12, 2)``.
    :ivar children: a record's fields, a union's branches, or what an array (``[]``) or map (``{}``) holds.
    :ivar defaults: the defaults of a record's fields that have one, as JSON has them.
    :ivar symbols: an enum's symbols.
    :ivar default: an enum's default, if it has one.
    :ivar aliases: the full names that a named type is known by besides.
    :ivar field_aliases: the names that a record's fields are known by besides, where there are any.
    :ivar size: a fixed type's bytes.
    :ivar height: how many levels of types there are, this one included.
    :ivar types: how many types there are, this one included, references followed.
    :ivar weight: how many Python objects a value is made of at most, what lies in arrays and maps left aside.
    :ivar least: how many bytes a value takes at least.
    """

    kind: str
    name: str = ""
    logical: tuple[Any, ...] = ()
    children: Mapping[str, Node] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    symbols: tuple[str, ...] = ()
    default: str | None = None
    aliases: tuple[str, ...] = ()
    field_aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    size: int = 0
    height: int = 1
    types: int = 1
    weight: int = 1
    least: int = 1

    def __str__(self) -> str:
        label = self.name or self.kind
        if self.kind == "union":
            return " or ".join(str(branch) for branch in self.children.values())
        if self.kind in ("array", "map"):
            return f"{self.kind} of {next(iter(self.children.values()))}"
        return f"{label} ({', '.join(str(part) for part in self.logical)})" if self.logical else label


def resolve(schema: object, *, to_read: bool = True) -> Node:
    """Return a schema with its names resolved.

    :param schema: what the JSON of the schema holds.
    :param to_read: data will be read with it. False: it is compared only, so that a type may contain itself and items
        may take no byte.
    :raises ContractError: if it is not an Avro schema, nests deeper than :data:`MAX_DEPTH`, has more than
        :data:`MAX_TYPES` types, or, if it is to be read with, contains itself or has an array or map of items that
        take no byte.
    """
    return _Resolver(to_read).node(schema, "", 1)


def rename(node: Node, old: str, new: str) -> Node:
    """Return a resolved schema with a type and all types in its namespace under another name."""
    done: dict[int, Node] = {}

    def named(name: str) -> str:
        return new + name[len(old) :] if name == old or name.startswith(f"{old}.") else name

    def walk(each: Node) -> Node:
        if id(each) not in done:
            keep = each.kind == "record"
            children = {key if keep else named(key): walk(child) for key, child in each.children.items()}
            done[id(each)] = replace(each, name=named(each.name), children=children)
        return done[id(each)]

    return walk(node)


class _Resolver:
    def __init__(self, to_read: bool) -> None:
        self._to_read = to_read
        self._done: dict[str, Node] = {}
        self._open: set[str] = set()
        self._visited = 0

    def node(self, schema: object, namespace: str, depth: int) -> Node:
        self._visited += 1
        _bound(depth, self._visited)
        node = self._any(schema, namespace, depth)
        _bound(node.height, node.types)
        return node

    def _any(self, schema: object, namespace: str, depth: int) -> Node:
        if isinstance(schema, str):
            return _primitive(schema) if schema in PRIMITIVES else self._reference(schema, namespace)
        if isinstance(schema, list):
            return self._union(schema, namespace, depth)
        if not isinstance(schema, dict):
            raise ContractError("it is not an Avro schema: a type is a string, an object or a list")
        kind = schema.get("type")
        if kind in ("record", "enum", "fixed"):
            return self._named(kind, schema, namespace, depth)
        if kind in ("array", "map"):
            return self._container(kind, schema, namespace, depth)
        if isinstance(kind, str) and kind in PRIMITIVES:
            return _primitive(kind, _logical(schema))
        raise ContractError("it is not an Avro schema: an object has no type that Avro knows")

    def _reference(self, name: str, namespace: str) -> Node:
        fullname = name if "." in name or not namespace else f"{namespace}.{name}"
        if fullname in self._open and not self._to_read:
            return Node("reference", fullname)
        if fullname in self._open:
            raise ContractError(f"{fullname} contains itself, which is refused for the safety of readers")
        if fullname not in self._done:
            raise ContractError(f"it refers to {fullname}, which it does not define before")
        return self._done[fullname]

    def _union(self, schema: list[object], namespace: str, depth: int) -> Node:
        branches: dict[str, Node] = {}
        for part in schema:
            branch = self.node(part, namespace, depth + 1)
            if branch.kind == "union" or branches.setdefault(branch.name or branch.kind, branch) is not branch:
                raise ContractError("it is not an Avro schema: a union holds a union, or one type twice")
        return Node(
            "union",
            children=branches,
            height=_height(branches),
            types=_types(branches),
            weight=max((branch.weight for branch in branches.values()), default=1),
            least=1 + min((branch.least for branch in branches.values()), default=0),
        )

    def _container(self, kind: str, schema: Mapping[str, object], namespace: str, depth: int) -> Node:
        item = self.node(schema.get("items" if kind == "array" else "values"), namespace, depth + 1)
        if item.least == 0 and self._to_read:
            raise ContractError(f"the items of its {kind} take no byte, so that their number cannot be trusted")
        children = {"[]" if kind == "array" else "{}": item}
        return Node(kind, children=children, height=_height(children), types=_types(children))

    def _named(self, kind: str, schema: Mapping[str, Any], namespace: str, depth: int) -> Node:
        fullname = _fullname(schema, namespace)
        if fullname in self._done or fullname in self._open:
            raise ContractError(f"it defines {fullname} twice")
        if kind == "record":
            node = self._record(fullname, schema, depth)
        elif kind == "enum":
            symbols, default = tuple(_strings(schema, "symbols", fullname)), schema.get("default")
            aliases = _aliases(schema, fullname)
            node = Node(
                kind, fullname, symbols=symbols, default=default if default in symbols else None, aliases=aliases
            )
        else:
            size = _size(schema, fullname)
            aliases = _aliases(schema, fullname)
            node = Node(kind, fullname, logical=_logical(schema), size=size, least=size, aliases=aliases)
        self._done[fullname] = node
        return node

    def _record(self, fullname: str, schema: Mapping[str, Any], depth: int) -> Node:
        self._open.add(fullname)
        fields: dict[str, Node] = {}
        defaults: dict[str, Any] = {}
        aliases: dict[str, tuple[str, ...]] = {}
        for part in _objects(schema, "fields", fullname):
            name = part.get("name")
            if not isinstance(name, str) or name in fields:
                raise ContractError(f"it is not an Avro schema: {fullname} has a field without a name of its own")
            fields[name] = self.node(part.get("type"), fullname.rpartition(".")[0], depth + 1)
            if "default" in part:
                defaults[name] = part["default"]
            if known := _alias_names(part):
                aliases[name] = known
        self._open.remove(fullname)
        return Node(
            "record",
            fullname,
            children=fields,
            defaults=defaults,
            aliases=_aliases(schema, fullname),
            field_aliases=aliases,
            height=_height(fields),
            types=_types(fields),
            weight=1 + sum(node.weight for node in fields.values()),
            least=sum(node.least for node in fields.values()),
        )


def _bound(depth: int, types: int) -> None:
    if depth > MAX_DEPTH:
        raise ContractError(f"its types are nested deeper than {MAX_DEPTH} levels")
    if types > MAX_TYPES:
        raise ContractError(f"it is made of more than {MAX_TYPES:,} types, references followed")


def _primitive(kind: str, logical: tuple[Any, ...] = ()) -> Node:
    return Node(kind, logical=logical, least=_LEAST.get(kind, 1))


def _enum(fullname: str, schema: Mapping[str, Any]) -> Node:
    symbols, default = tuple(_strings(schema, "symbols", fullname)), schema.get("default")
    known = default if default in symbols else None
    return Node("enum", fullname, symbols=symbols, default=known, aliases=_aliases(schema, fullname))


def _height(children: Mapping[str, Node]) -> int:
    return 1 + max((child.height for child in children.values()), default=0)


def _types(children: Mapping[str, Node]) -> int:
    return 1 + sum(child.types for child in children.values())


def _fullname(schema: Mapping[str, Any], inherited: str) -> str:
    name, namespace = schema.get("name"), schema.get("namespace", inherited)
    if not isinstance(name, str) or not isinstance(namespace, str):
        raise ContractError("it is not an Avro schema: a named type has no name")
    fullname = name if "." in name or not namespace else f"{namespace}.{name}"
    if not is_fullname(fullname):
        raise ContractError("it is not an Avro schema: the name of a type is not a name")
    return fullname


def _aliases(schema: Mapping[str, Any], fullname: str) -> tuple[str, ...]:
    """Return a type's aliases in full: one without a namespace is in that of the type."""
    namespace = fullname.rpartition(".")[0]
    return tuple(name if "." in name or not namespace else f"{namespace}.{name}" for name in _alias_names(schema))


def _alias_names(schema: Mapping[str, Any]) -> tuple[str, ...]:
    names = schema.get("aliases")
    # No reader needs them to be valid, so that what is not is left out, as with logical types.
    return tuple(names) if isinstance(names, list) and all(isinstance(name, str) for name in names) else ()


def _logical(schema: Mapping[str, Any]) -> tuple[Any, ...]:
    logical = schema.get("logicalType")
    if not isinstance(logical, str):
        return ()
    if logical != "decimal":
        return (logical,)
    bounds = schema.get("precision"), schema.get("scale", 0)
    # The specification has readers ignore a logical type that is not valid.
    return (logical, *bounds) if all(type(bound) is int for bound in bounds) else ()


def _strings(schema: Mapping[str, Any], key: str, fullname: str) -> list[str]:
    values = schema.get(key)
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ContractError(f"it is not an Avro schema: {fullname} has no list of {key}")
    return values


def _objects(schema: Mapping[str, Any], key: str, fullname: str) -> list[dict[str, Any]]:
    values = schema.get(key)
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise ContractError(f"it is not an Avro schema: {fullname} has no list of {key}")
    return values


def _size(schema: Mapping[str, Any], fullname: str) -> int:
    size = schema.get("size")
    if type(size) is not int or size < 0:
        raise ContractError(f"it is not an Avro schema: {fullname} has no size")
    return size
