"""Evolution: what a topic says about its own past, which no schema can say.

A schema tells how old bytes are read. What they *meant* is told by upcasters: pure functions from the data of one
version to those of the next one. That an event type had another name, or is published no more, is told by the topic.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeAlias, TypeVar

from everwhen.errors import DeclarationError
from everwhen.event.model import Event, event_type
from everwhen.event.schema import is_fullname

Upcast: TypeAlias = Callable[[dict[str, Any]], Mapping[str, Any]]
"""Takes the fields of an event as one version has them, and returns them as the next version has them."""

F = TypeVar("F", bound=Upcast)


@dataclass(frozen=True, slots=True)
class Upcaster:
    """A function that bridges two versions.

    :ivar type: the event type's name, as it was at the version.
    :ivar version: the version whose data it takes; it gives those of the one after it.
    """

    type: str
    version: int
    function: Upcast

    @property
    def name(self) -> str:
        """The function's qualified name, for messages."""
        return getattr(self.function, "__qualname__", repr(self.function))


@dataclass(frozen=True, slots=True)
class Evolution:
    """A topic's past.

    :ivar renamed: event types as they were named once, and the classes that read them today. Data of the newest version
        under such a name go on as version 1 of the class.
    :ivar retired: event classes that are read and handled, and published no more.
    :ivar upcasters: by event type and version.
    """

    renamed: Mapping[str, type[Event]] = field(default_factory=dict)
    retired: frozenset[type[Event]] = frozenset()
    upcasters: dict[tuple[str, int], Upcaster] = field(default_factory=dict)

    @classmethod
    def declare(
        cls,
        topic: str,
        events: tuple[type[Event], ...],
        renamed: Mapping[str, type[Event]],
        retired: Iterable[type[Event]],
    ) -> Evolution:
        """Check what a topic declares.

        :raises DeclarationError: if it cannot be meant.
        """
        taken, gone = {event_type(event) for event in events}, tuple(retired)
        for old, event in renamed.items():
            if not isinstance(old, str) or not is_fullname(old) or old in taken:
                raise DeclarationError(
                    f"topic {topic}: renamed={{{old!r}: ...}} is not the name that an event type had once; write it as "
                    "it stood in type=, and only if no class of the topic has it now"
                )
            _check_class(topic, events, event, f"renamed={{{old!r}: ...}}")
        for event in gone:
            _check_class(topic, events, event, "retired=[...]")
        return cls(MappingProxyType(dict(renamed)), frozenset(gone))

    def renamed_to(self, event: type[Event]) -> list[str]:
        """Return the names that a class's event type had once."""
        return [old for old, now in self.renamed.items() if now is event]

    def upcasters_of(self, event: type[Event]) -> dict[tuple[str, int], Upcaster]:
        """Return the upcasters of one class, those under its former names with them."""
        names = {event_type(event), *self.renamed_to(event)}
        return {key: each for key, each in self.upcasters.items() if key[0] in names}

    def add(self, topic: str, events: Iterable[type[Event]], name: str, version: int, function: F) -> F:
        """Register an upcaster, and return its function.

        :raises DeclarationError: if there is no such event type, it has one for the version, or the function is none.
        """
        where = f"topic {topic}: the upcaster of {name} version {version}"
        if name not in self.renamed and all(event_type(event) != name for event in events):
            raise DeclarationError(
                f"{where}: the topic has no such event type; a name that one had once belongs into Topic(renamed=...)"
            )
        if (name, version) in self.upcasters:
            raise DeclarationError(f"{where} is declared already: {self.upcasters[name, version].name}")
        _check_function(function, where)
        self.upcasters[name, version] = Upcaster(name, version, function)
        return function


def _check_class(topic: str, events: tuple[type[Event], ...], event: object, where: str) -> None:
    if event not in events:
        shown = getattr(event, "__name__", repr(event))
        raise DeclarationError(f"topic {topic}: {where} names {shown}, which is not among events=[...]; add it there")


def _check_function(function: object, where: str) -> None:
    if not callable(function) or inspect.iscoroutinefunction(function):
        raise DeclarationError(f"{where} must be a plain function; it is called for every old event that is read")
    try:
        signature = inspect.signature(function)
    except ValueError:  # a built-in such as dict, on some versions of Python
        return
    parameters = [p for p in signature.parameters.values() if p.default is p.empty]
    if len(parameters) != 1 or parameters[0].kind not in (parameters[0].POSITIONAL_ONLY, _EITHER):
        raise DeclarationError(f"{where} must take one argument, the fields of the old event as a dict")


_EITHER = inspect.Parameter.POSITIONAL_OR_KEYWORD
