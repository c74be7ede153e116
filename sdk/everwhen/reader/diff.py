"""What differs between two points of both axes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from everwhen.reader.answer import Answer
from everwhen.reader.explanation import Fact

S = TypeVar("S")


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldChange:
    """A field of the state that differs.

    :ivar path: the field's name, with those of the objects that it is in before it; empty where one side has no state.
    :ivar before: its value as JSON has it; ``None`` where it is not there.
    :ivar after: as ``before``.
    """

    path: tuple[str, ...]
    before: Any = field(repr=False)
    after: Any = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff(Generic[S]):
    """What differs between two answers about one entity, and which events make the difference.

    :ivar before: the answer at the first point.
    :ivar after: the answer at the second point.
    :ivar changes: the fields of the state that differ.
    :ivar added: events that are folded into the second answer only, in the order of folding.
    :ivar removed: events that are folded into the first answer only.

    If one of the answers is ``TRUNCATED``, nothing can be compared, and the last three are empty.
    """

    before: Answer[S]
    after: Answer[S]
    changes: tuple[FieldChange, ...]
    added: tuple[Fact, ...]
    removed: tuple[Fact, ...]


def field_changes(before: Any, after: Any, path: tuple[str, ...] = ()) -> Iterator[FieldChange]:
    """Yield where two JSON documents differ. Objects are compared by field, anything else as a whole."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in {**before, **after}:
            yield from field_changes(before.get(name), after.get(name), (*path, name))
    elif before != after or isinstance(before, bool) is not isinstance(after, bool):
        yield FieldChange(path=path, before=before, after=after)
