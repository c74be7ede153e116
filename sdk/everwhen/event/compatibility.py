"""Compatibility: whether the new schema can read everything that was written with the old one.

That is Avro's schema resolution (specification 1.12, section of that name) seen as a check, and Kafka's ``BACKWARD``.
It is stricter than the specification where a reader would get something else than was written:

- A change of logical type or of a decimal's precision or scale is refused. Fingerprints do not cover them, so nobody
  could tell which of the two a value was written with.
- Named types match by their full name, not by its last part.
- ``bytes`` cannot become ``string``: not all bytes are UTF-8. The other way is fine.
- A default of an enum does not excuse a removed symbol: the event said something else than the default.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from everwhen.event.schema import Node, resolve

_PROMOTIONS = frozenset(
    {
        ("int", "long"),
        ("int", "float"),
        ("int", "double"),
        ("long", "float"),
        ("long", "double"),
        ("float", "double"),
        ("string", "bytes"),
    }
)


@dataclass(frozen=True, slots=True)
class Incompatibility:
    """One reason why the new schema cannot read what the old one wrote.

    :ivar path: the field, dotted from the event on, with ``[]`` and ``{}`` for the content of arrays and maps; empty
        for the event itself.
    :ivar rule: what was broken, in words.
    :ivar old: what the old schema has there.
    :ivar new: what the new schema has there.
    """

    path: str
    rule: str
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.path or 'the event'}: {self.rule} (was {self.old}, is {self.new})"


def check(old: object, new: object) -> list[Incompatibility]:
    """Return every reason why ``new`` cannot read what was written with ``old``; an empty list if it can.

    :param old: the writer's schema, as its JSON holds it.
    :param new: the reader's schema.
    :raises ContractError: if one of them is not a schema that can be read safely.
    """
    return compare(resolve(old), resolve(new))


def compare(old: Node, new: Node) -> list[Incompatibility]:
    """Do what :func:`check` does, for schemas that are resolved already."""
    return list(_compare(old, new, "", set()))


def _compare(old: Node, new: Node, path: str, seen: set[tuple[int, int]]) -> Iterator[Incompatibility]:
    # A type can be used in many places, and in hostile schemas in exponentially many paths; once is enough.
    if (id(old), id(new)) in seen and old.name:
        return
    seen.add((id(old), id(new)))
    if old.kind == "union":
        for branch in old.children.values():
            yield from _branch(branch, new, path, seen)
    elif new.kind == "union":
        yield from _branch(old, new, path, seen)
    elif old.logical != new.logical:
        yield Incompatibility(path, "the logical type has changed", str(old), str(new))
    elif old.kind != new.kind:
        if (old.kind, new.kind) not in _PROMOTIONS:
            yield Incompatibility(path, "the type has changed", str(old), str(new))
    elif old.name != new.name:
        yield Incompatibility(path, "the type has another name", str(old), str(new))
    else:
        yield from _same_kind(old, new, path, seen)


def _same_kind(old: Node, new: Node, path: str, seen: set[tuple[int, int]]) -> Iterator[Incompatibility]:
    match old.kind:
        case "record":
            yield from _fields(old, new, path, seen)
        case "array" | "map":
            for step, item in old.children.items():
                yield from _compare(item, new.children[step], path + step, seen)
        case "enum":
            for symbol in old.symbols:
                if symbol not in new.symbols:
                    yield Incompatibility(path, "a symbol was removed", symbol, f"one of {', '.join(new.symbols)}")
        case "fixed" if old.size != new.size:
            yield Incompatibility(path, "the size has changed", str(old.size), str(new.size))


def _fields(old: Node, new: Node, path: str, seen: set[tuple[int, int]]) -> Iterator[Incompatibility]:
    for name, field in new.children.items():
        where = f"{path}.{name}" if path else name
        if name in old.children:
            yield from _compare(old.children[name], field, where, seen)
        elif name not in new.defaults:
            yield Incompatibility(where, "the field was added without a default", "nothing", str(field))


def _branch(old: Node, new: Node, path: str, seen: set[tuple[int, int]]) -> Iterator[Incompatibility]:
    """Compare one type that may have been written with the branch that Avro would read it as."""
    branches = list(new.children.values()) if new.kind == "union" else [new]
    same = [branch for branch in branches if (branch.name or branch.kind) == (old.name or old.kind)]
    promoted = [branch for branch in branches if (old.kind, branch.kind) in _PROMOTIONS]
    if old.kind == "null" and not same:
        yield Incompatibility(path, "it can be None no more", f"None or {new}", str(new))
    elif same or promoted:
        yield from _compare(old, (same or promoted)[0], path, seen)
    elif new.kind == "union":
        yield Incompatibility(path, "a member of the union was removed", str(old), str(new))
    else:
        yield from _compare(old, new, path, seen)
