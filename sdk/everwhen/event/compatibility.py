"""Compatibility: whether one schema can read everything that is written with another.

The rules are those of Avro's schema resolution (specification 1.12, sections "Schema Resolution", "Aliases" and
"Decimal"), seen as a check. With ``strict``, which is what holds for event classes, also what the specification lets
pass is refused where a reader would get something else than was written, or our own reader does not do it; the members
of :class:`Rule` say which rules these are.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from everwhen.event.schema import Node, resolve


class Rule(enum.Enum):
    """What can stand between a writer and a reader. The value is said in messages."""

    TYPE = "the type is another one"
    NAME = "the type has another name"
    SIZE = "the size is another one"
    NULL = "the reader takes no null"
    BRANCH = "no branch of the reader's union takes it"
    SYMBOL = "the reader lacks a symbol, and a default for it"
    FIELD = "the writer lacks the field, and the reader a default for it"
    DECIMAL = "the precision or scale is another one"
    LOGICAL = "the logical type is another one"
    """Strict: the number would mean something else, and no fingerprint of a schema shows its logical types."""
    NAMESPACE = "the type has another namespace"
    """Strict: the specification compares the last part of a name only."""
    ALIAS = "the reader knows it by an alias only"
    """Strict: following aliases is left to readers, and ours does not. An upcaster can rename."""
    TEXT = "bytes need not be UTF-8"
    """Strict: not all bytes are a string."""
    DEFAULT = "the reader takes its default for a symbol that it lacks"
    """Strict: the event said something else than the default."""

    @property
    def is_avros(self) -> bool:
        """Whether it is a rule of the specification; else only of ``strict``."""
        return self not in _STRICT


_STRICT: Final = frozenset({Rule.LOGICAL, Rule.NAMESPACE, Rule.ALIAS, Rule.TEXT, Rule.DEFAULT})

_PROMOTIONS: Final = frozenset(
    {
        ("int", "long"),
        ("int", "float"),
        ("int", "double"),
        ("long", "float"),
        ("long", "double"),
        ("float", "double"),
        ("string", "bytes"),
        ("bytes", "string"),
    }
)


@dataclass(frozen=True, slots=True)
class Incompatibility:
    """One reason why a reader cannot read what a writer wrote.

    :ivar path: the field, dotted from the event on, by the reader's names, with ``[]`` and ``{}`` for the content of
        arrays and maps; empty for the event itself.
    :ivar rule: what was broken.
    :ivar writer: what the writer's schema has there.
    :ivar reader: what the reader's schema has there.
    """

    path: str
    rule: Rule
    writer: str
    reader: str

    def __str__(self) -> str:
        return f"{self.path or 'the event'}: {self.rule.value} (writer: {self.writer}; reader: {self.reader})"


def check(writer: object, reader: object, *, strict: bool = True) -> list[Incompatibility]:
    """Return every reason why ``reader`` cannot read what was written with ``writer``; an empty list if it can.

    Pure, so threads can share it. A type that stands in several places is looked at once.

    :param writer: the writer's schema, as its JSON holds it. It may contain itself.
    :param reader: the reader's schema.
    :param strict: hold it to the rules for event classes, too; else to those of the specification alone.
    :raises ContractError: if one of them is no Avro schema, or past the bounds of
        :func:`~everwhen.event.schema.resolve`.
    """
    return compare(resolve(writer, to_read=False), resolve(reader, to_read=False), strict=strict)


def compare(writer: Node, reader: Node, *, strict: bool = True) -> list[Incompatibility]:
    """Do what :func:`check` does, for schemas that are resolved already."""
    return list(_Comparison(writer, reader, strict).types(writer, reader, ""))


class _Comparison:
    """One walk through two schemas side by side."""

    def __init__(self, writer: Node, reader: Node, strict: bool) -> None:
        self._written = _named(writer)
        self._read = _named(reader)
        self._strict = strict
        self._seen: set[tuple[int, int]] = set()

    def types(self, writer: Node, reader: Node, path: str) -> Iterator[Incompatibility]:
        writer, reader = self._written.get(writer.name, writer), self._read.get(reader.name, reader)
        # A type can be used in many places, in hostile schemas in exponentially many, or contain itself.
        if writer.name and (id(writer), id(reader)) in self._seen:
            return
        self._seen.add((id(writer), id(reader)))
        if writer.kind == "union":
            for branch in writer.children.values():
                yield from self._branch(branch, reader, path)
        elif reader.kind == "union":
            yield from self._branch(writer, reader, path)
        else:
            yield from self._plain(writer, reader, path)

    def _branch(self, writer: Node, reader: Node, path: str) -> Iterator[Incompatibility]:
        """Compare one type that may have been written with the branch that Avro would read it as."""
        branches = [self._read.get(branch.name, branch) for branch in _branches(reader)]
        writer = self._written.get(writer.name, writer)
        sized = [branch for branch in branches if branch.size == writer.size]
        chosen = most_like(writer, sized) or most_like(writer, branches)
        if chosen is not None:
            yield from self.types(writer, chosen, path)
        elif writer.kind == "null":
            yield Incompatibility(path, Rule.NULL, "null", str(reader))
        elif reader.kind == "union":
            yield Incompatibility(path, Rule.BRANCH, str(writer), str(reader))
        else:
            yield from self.types(writer, reader, path)

    def _plain(self, writer: Node, reader: Node, path: str) -> Iterator[Incompatibility]:
        """Compare types of which neither is a union."""
        rule = _mismatch(writer, reader)
        if rule is not None and (self._strict or rule.is_avros):
            sides = (writer.size, reader.size) if rule is Rule.SIZE else (writer, reader)
            yield Incompatibility(path, rule, *map(str, sides))
        elif writer.kind == reader.kind == "record":
            yield from self._fields(writer, reader, path)
        elif writer.kind == reader.kind == "enum":
            yield from self._symbols(writer, reader, path)
        elif writer.kind == reader.kind:
            for step, item in writer.children.items():
                yield from self.types(item, reader.children[step], path + step)

    def _fields(self, writer: Node, reader: Node, path: str) -> Iterator[Incompatibility]:
        for name, field in reader.children.items():
            where = f"{path}.{name}" if path else name
            source = next((n for n in (name, *reader.field_aliases.get(name, ())) if n in writer.children), None)
            if source is None:
                if name not in reader.defaults:
                    yield Incompatibility(where, Rule.FIELD, "nothing", str(field))
            elif source != name and self._strict:
                yield Incompatibility(where, Rule.ALIAS, source, name)
            else:
                yield from self.types(writer.children[source], field, where)

    def _symbols(self, writer: Node, reader: Node, path: str) -> Iterator[Incompatibility]:
        rule = Rule.SYMBOL if reader.default is None else Rule.DEFAULT
        if rule is Rule.DEFAULT and not self._strict:
            return
        for symbol in writer.symbols:
            if symbol not in reader.symbols:
                yield Incompatibility(path, rule, symbol, f"one of {', '.join(reader.symbols)}")


def _mismatch(writer: Node, reader: Node) -> Rule | None:
    """Return what keeps two types apart before one looks inside, Avro's own rules first."""
    if writer.kind != reader.kind and (writer.kind, reader.kind) not in _PROMOTIONS:
        return Rule.TYPE
    if not (_has_name(writer, reader) or _has_alias(writer, reader) or _has_last_name(writer, reader)):
        return Rule.NAME
    if writer.size != reader.size:
        return Rule.SIZE
    if writer.logical != reader.logical:
        decimals = writer.logical[:1] == reader.logical[:1] == ("decimal",)
        return Rule.DECIMAL if decimals else Rule.LOGICAL
    if (writer.kind, reader.kind) == ("bytes", "string"):
        return Rule.TEXT
    if not _has_name(writer, reader):
        return Rule.ALIAS if _has_alias(writer, reader) else Rule.NAMESPACE
    return None


def _has_name(writer: Node, reader: Node) -> bool:
    return writer.name == reader.name


def _has_alias(writer: Node, reader: Node) -> bool:
    return writer.name in reader.aliases


def _has_last_name(writer: Node, reader: Node) -> bool:
    return writer.name.rpartition(".")[2] == reader.name.rpartition(".")[2]


def _promotes(writer: Node, branch: Node) -> bool:
    return (writer.kind, branch.kind) in _PROMOTIONS


# The specification has a reader take the first branch that matches. Where several do, readers prefer the one that is
# the same; this order is theirs.
_LIKENESS: Final = (
    lambda writer, branch: writer.kind == branch.kind and _has_name(writer, branch),
    lambda writer, branch: writer.kind == branch.kind and _has_alias(writer, branch),
    lambda writer, branch: writer.kind == branch.kind and _has_last_name(writer, branch),
    _promotes,
)


def most_like(writer: Node, branches: list[Node]) -> Node | None:
    """Return the branch of a reader's union that a type is read as; ``None`` if there is none."""
    return next((branch for likeness in _LIKENESS for branch in branches if likeness(writer, branch)), None)


def _branches(reader: Node) -> list[Node]:
    return list(reader.children.values()) if reader.kind == "union" else [reader]


def _named(root: Node) -> dict[str, Node]:
    """Return a schema's named types by their names, so that a reference within a type finds it."""
    found: dict[str, Node] = {}
    waiting, seen = [root], {id(root)}
    while waiting:
        node = waiting.pop()
        if node.name and node.kind != "reference":
            found[node.name] = node
        below = [child for child in node.children.values() if id(child) not in seen]
        seen.update(map(id, below))
        waiting += below
    return found
