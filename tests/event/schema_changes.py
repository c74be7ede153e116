"""Changes of a schema, such as people make."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TypeAlias

from tests.event.schema_drafts import Draft, Field, Named, Type, distinct, drop_deep_defaults

PRIMITIVES = ("boolean", "int", "long", "float", "double", "bytes", "string")
NEIGHBOURS = {
    "int": ("long", "float", "double"),
    "long": ("double", "int", "float"),
    "float": ("double", "int"),
    "double": ("float",),
    "string": ("bytes",),
    "bytes": ("string",),
}
LOGICAL = (("int", "date"), ("long", "timestamp-millis"), ("long", "timestamp-micros"), ("string", "uuid"))
NAMESPACES = ("shop", "shop.order", "other")
NAMES = ("A", "B", "C", "D")
FIELDS = ("f", "g", "h", "i", "j")
SYMBOLS = ("RED", "GREEN", "BLUE", "NONE")


def change(rng: Random, draft: Draft) -> None:
    """Change one thing, chosen from all that there is."""
    named = rng.choice(draft.types)
    rng.choice(_CHANGES[named.kind])(rng, draft, named)
    drop_deep_defaults(draft)


def _rename_type(rng: Random, draft: Draft, named: Named) -> None:
    old = named.fullname
    taken = {each.fullname for each in draft.types}
    part = rng.choice(("name", "namespace", "both"))
    name = named.name if part == "namespace" else rng.choice((*NAMES, "E"))
    namespace = named.namespace if part == "name" else rng.choice(NAMESPACES)
    if f"{namespace}.{name}" in taken:
        return
    short = namespace == named.namespace and rng.random() < 0.4
    named.aliases += rng.choice([[], [old.rpartition(".")[2] if short else old]])
    named.name, named.namespace = name, namespace


def _add_field(rng: Random, draft: Draft, named: Named) -> None:
    name = rng.choice((*FIELDS, "k"))
    if all(each.name != name for each in named.fields):
        kind = rng.choice((*PRIMITIVES, ("union", ["null", "string"]), ("array", "int"), _some_type(rng, draft)))
        named.fields.insert(rng.randint(0, len(named.fields)), Field(name, kind, rng.random() < 0.6))


def _some_type(rng: Random, draft: Draft) -> Type:
    plain = [number for number, each in enumerate(draft.types) if each.kind != "record"]
    return ("ref", rng.choice(plain)) if plain else "bytes"


def _remove_field(rng: Random, draft: Draft, named: Named) -> None:
    if len(named.fields) > 1:
        named.fields.remove(rng.choice(named.fields))


def _rename_field(rng: Random, draft: Draft, named: Named) -> None:
    each, name = rng.choice(named.fields), rng.choice((*FIELDS, "k", "l"))
    if all(other.name != name for other in named.fields):
        each.aliases += rng.choice([[], [each.name], [each.name]])
        each.name = name


def _shuffle_fields(rng: Random, draft: Draft, named: Named) -> None:
    rng.shuffle(named.fields)


def _toggle_default(rng: Random, draft: Draft, named: Named) -> None:
    each = rng.choice(named.fields)
    each.has_default = not each.has_default


def _change_type(rng: Random, draft: Draft, named: Named) -> None:
    each = rng.choice(named.fields)
    each.type = _changed(rng, draft, each.type)


def _changed(rng: Random, draft: Draft, kind: Type) -> Type:
    match kind:
        case ("array" | "map" as container, item) if rng.random() < 0.8:
            return (container, _changed(rng, draft, item))
        case ("union", branches) if rng.random() < 0.85:
            return ("union", _changed_union(rng, draft, list(branches)))
        case ("decimal", precision, scale) if rng.random() < 0.7:
            return ("decimal", precision + rng.randint(0, 1), scale + rng.randint(0, 1))
        case ("logical", primitive, _) if rng.random() < 0.7:
            return rng.choice([primitive, *(("logical", *each) for each in LOGICAL if each[0] == primitive)])
        case str() if kind in NEIGHBOURS and rng.random() < 0.7:
            return rng.choice(NEIGHBOURS[kind])
        case _ if rng.random() < 0.6 and not isinstance(kind, tuple | list) | (kind[0] != "union"):
            return ("union", distinct(rng.sample(["null", kind, rng.choice(PRIMITIVES)], 3)))
        case _:
            return rng.choice((*PRIMITIVES, _some_type(rng, draft)))


def _changed_union(rng: Random, draft: Draft, branches: list[Type]) -> list[Type]:
    match rng.choice(("add", "add", "remove", "shuffle", "inside")):
        case "add":
            branches.insert(rng.randint(0, len(branches)), rng.choice((*PRIMITIVES, "null", _some_type(rng, draft))))
        case "remove" if len(branches) > 1:
            branches.pop(rng.randrange(len(branches)))
        case "shuffle":
            rng.shuffle(branches)
        case _:
            place = rng.randrange(len(branches))
            new = _changed(rng, draft, branches[place])
            if not (isinstance(new, tuple) and new[0] == "union"):
                branches[place] = new
    return distinct(branches)


def _add_symbol(rng: Random, draft: Draft, named: Named) -> None:
    named.symbols = list(dict.fromkeys([*named.symbols, rng.choice((*SYMBOLS, "PINK"))]))


def _remove_symbol(rng: Random, draft: Draft, named: Named) -> None:
    removable = [symbol for symbol in named.symbols if symbol != named.default]
    if len(named.symbols) > 1 and removable:
        named.symbols.remove(rng.choice(removable))


def _set_enum_default(rng: Random, draft: Draft, named: Named) -> None:
    named.default = rng.choice([None, *named.symbols])


def _resize(rng: Random, draft: Draft, named: Named) -> None:
    named.size += 1


_Change: TypeAlias = Callable[[Random, Draft, Named], None]
_CHANGES: dict[str, tuple[_Change, ...]] = {
    "record": (
        _rename_type,
        _add_field,
        _add_field,
        _remove_field,
        _rename_field,
        _rename_field,
        _shuffle_fields,
        _toggle_default,
        _change_type,
        _change_type,
        _change_type,
        _change_type,
    ),
    "enum": (_rename_type, _add_symbol, _remove_symbol, _remove_symbol, _set_enum_default),
    "fixed": (_rename_type, _resize),
}
