"""Pairs of schemas to compare checkers on: one that was written with, and what became of it after some changes.

They have what Avro's schema resolution speaks of: promotions, defaults, aliases of types and fields, unions, enums with
and without a default, fixed, named types in several namespaces, types that contain themselves, and logical types. Both
are valid by the specification, also for readers that check a default against its type, so that any checker or registry
can be asked about them::

    for pair in pairs(5000, seed=1):
        ask(pair.writer, pair.reader)

The same seed gives the same pairs on every Python.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from random import Random
from typing import Any, NamedTuple

from tests.event.schema_changes import FIELDS, LOGICAL, NAMES, NAMESPACES, PRIMITIVES, SYMBOLS, change
from tests.event.schema_drafts import Draft, Field, Named, Type, distinct, drop_deep_defaults


class Pair(NamedTuple):
    """Two schemas as JSON has them."""

    writer: dict[str, Any]
    reader: dict[str, Any]


def pairs(count: int, seed: int = 1) -> Iterator[Pair]:
    """Yield pairs of schemas, two or three of five of them compatible by the specification."""
    rng = Random(seed)
    for _ in range(count):
        draft = _Making(rng).draft()
        later = copy.deepcopy(draft)
        for _ in range(rng.choice((0, 1, 1, 2, 2, 3))):
            change(rng, later)
        yield Pair(draft.schema(), later.schema())


class _Making:
    """Draws a schema."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._types: list[Named] = []
        self._open: list[int] = []

    def draft(self) -> Draft:
        self._named("record", 0)
        draft = Draft(self._types)
        drop_deep_defaults(draft)
        return draft

    def _named(self, kind: str, depth: int) -> Type:
        rng = self._rng
        number = len(self._types)
        taken = {each.fullname for each in self._types}
        places = [(s, n) for s in NAMESPACES for n in (*NAMES, f"T{number}") if f"{s}.{n}" not in taken]
        named = Named(kind, *rng.choice(places))
        self._types.append(named)
        if kind == "enum":
            named.symbols = rng.sample(SYMBOLS, rng.randint(1, 4))
            named.default = rng.choice([None, None, named.symbols[0]])
        elif kind == "fixed":
            named.size = rng.randint(1, 4)
        else:
            self._open.append(number)
            for name in rng.sample(FIELDS, rng.randint(1, 4)):
                named.fields.append(Field(name, self.type(depth + 1), rng.random() < 0.3))
            self._open.pop()
        return ("ref", number)

    def type(self, depth: int, *, in_union: bool = False, in_container: bool = False) -> Type:
        rng = self._rng
        kinds = ["primitive"] * 5 + ["logical", "decimal", "enum", "fixed"]
        if depth < 4:
            kinds += ["array", "map", "record", "record", "again"] + ["union"] * (0 if in_union else 4)
        match kind := rng.choice(kinds):
            case "primitive":
                return rng.choice(PRIMITIVES)
            case "logical":
                return ("logical", *rng.choice(LOGICAL))
            case "decimal":
                return ("decimal", rng.randint(4, 6), rng.randint(0, 3))
            case "array" | "map":
                return (kind, self.type(depth + 1, in_container=True))
            case "union":
                return self.union(depth)
            case "again" if in_union or in_container:
                return ("ref", rng.choice(self._open))
            case "again":
                closed = [n for n in range(len(self._types)) if n not in self._open]
                return ("ref", rng.choice(closed)) if closed else "string"
            case _:
                return self._named(kind, depth)

    def union(self, depth: int) -> Type:
        rng = self._rng
        branches = ["null"] if rng.random() < 0.6 else []
        for _ in range(rng.randint(1, 3)):
            branches.append(self.type(depth + 1, in_union=True))
        return ("union", distinct(rng.sample(branches, len(branches))))
