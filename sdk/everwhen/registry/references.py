"""A schema that refers to others of its registry, as one schema.

Source: Confluent's documentation, "Schema references". Avro names a type once and uses the name from then on, so each
referenced schema takes the place of the first use of its name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from everwhen.errors import UnknownSchema
from everwhen.event.avro import Schema

_MOST: Final = 100
"""How many schemas one may refer to, directly or not: they come from outside."""
_LEVELS: Final = 64
"""How deep types may lie in one another; what our reader bounds it at as well."""

Fetch = Callable[[str, int], Any]
"""Returns what a subject's version holds: ``schema_str`` and ``references``."""


def inlined(found: Any, fetch: Fetch) -> Schema:
    """Return a schema of the registry with everything in it that it refers to.

    :raises ValueError: if it is no JSON, which no registry would have taken.
    :raises UnknownSchema: if it is not of a record, or refers to too much.
    """
    named: dict[str, Any] = {}
    _collect(found, fetch, named, set())
    schema = _read(found)
    whole = _put(schema, named, "", 0) if named else schema
    if not isinstance(whole, dict):
        raise UnknownSchema("the registry's schema is not of a record; an event is one")
    return cast("Schema", whole)


def _collect(found: Any, fetch: Fetch, named: dict[str, Any], seen: set[tuple[str, int]]) -> None:
    for reference in found.references or ():
        key = reference.subject, reference.version
        if key in seen:
            continue
        seen.add(key)
        if len(seen) > _MOST:
            raise UnknownSchema(f"the registry's schema refers to more than {_MOST} others")
        inner = fetch(*key)
        _collect(inner, fetch, named, seen)
        named[reference.name] = _read(inner)


def _read(found: Any) -> Any:
    try:
        return json.loads(found.schema_str)
    except (TypeError, ValueError, RecursionError):
        raise ValueError("the schema in the answer is not JSON") from None


def _put(node: Any, named: dict[str, Any], namespace: str, level: int) -> Any:
    """Return a type with definitions in the place of names; each is used up where it is put."""
    if level > _LEVELS:
        raise UnknownSchema(f"the registry's schema has types more than {_LEVELS} levels deep")
    match node:
        case str():
            full = node if "." in node or f"{namespace}.{node}" not in named else f"{namespace}.{node}"
            return _put(named.pop(full), named, "", level + 1) if full in named else node
        case list():
            return [_put(branch, named, namespace, level + 1) for branch in node]
        case dict():
            return _put_into(node, named, namespace, level)
        case other:
            return other


def _put_into(node: Mapping[str, Any], named: dict[str, Any], namespace: str, level: int) -> dict[str, Any]:
    inside = _namespace(node, namespace)
    changed = dict(node)
    for step in ("type", "items", "values"):
        if step in node:
            changed[step] = _put(node[step], named, inside, level + 1)
    if isinstance(node.get("fields"), list):
        changed["fields"] = [_put(field, named, inside, level + 1) for field in node["fields"]]
    return changed


def _namespace(node: Mapping[str, Any], namespace: str) -> str:
    name, own = node.get("name"), node.get("namespace")
    if "fields" not in node or not isinstance(name, str):
        return namespace
    if "." in name:
        return name.rpartition(".")[0]
    return own if isinstance(own, str) else namespace
