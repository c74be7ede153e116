"""The replay verdict: whether a projection can still read every version of its events that was ever published.

Each contract file gives example data (:mod:`everwhen.event.examples`). They take the way of a record of the log: they
are read with the schema that they were written with, upcast, validated by today's class, and applied by today's
handlers, twice. What fails because of how the code and the contracts are made is a problem. What a *constraint* of the
class or the handler refuses is counted only: the schema of an old version does not say which constraints its events
were published under.

It loads fastavro, so that it is imported where it is used.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import ValidationError

from everwhen.errors import HandlerError, RecordError
from everwhen.event import Event, Topic
from everwhen.event.contracts import Contract
from everwhen.event.examples import example_values
from everwhen.event.versions import Version
from everwhen.projection.fold import CheckingFolder
from everwhen.projection.projection import Projection
from everwhen.projection.rows import Version as Row

_STATES: Final = 8
"""How many different states events are applied to at most."""

_STRUCTURE: Final = frozenset(
    {"missing", "extra_forbidden", "enum", "literal_error", "none_required", "union_tag_invalid", "union_tag_not_found"}
)
"""Pydantic's errors about what a value is made of, apart from those that end in ``_type`` or ``_parsing``; the others
are about constraints."""

_MISTAKES: Final = (AttributeError, TypeError, NameError, LookupError, NotImplementedError, AssertionError)
"""What handlers raise that do not fit an event; with other errors they refuse one that they understand."""


class Outcome(enum.StrEnum):
    """What is known of one version."""

    READABLE = "readable"
    UNPROVEN = "unproven"
    """Constraints refused every example, so that nothing is known."""
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Replayed:
    """The verdict on one version of an event type.

    :ivar type: the event type's name at that version.
    :ivar version: the number of its contract file.
    :ivar examples: how many examples there were.
    :ivar upcasters: the names of the upcasters that they passed.
    :ivar handler: the name of the handler; ``None`` if the projection ignores the type.
    :ivar refused: the examples that a constraint refused, by reason.
    :ivar problems: what is wrong, each once.
    """

    type: str
    version: int
    examples: int
    upcasters: tuple[str, ...]
    handler: str | None
    refused: dict[str, int] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    @property
    def outcome(self) -> Outcome:
        """What is known of the version."""
        if self.problems:
            return Outcome.BROKEN
        return Outcome.UNPROVEN if sum(self.refused.values()) >= self.examples else Outcome.READABLE


def replay(projection: Projection[Any]) -> list[Replayed]:
    """Try to read, and to apply, examples of every version of a projection's events.

    Reads contract files, and opens no connection. A worker's limits on time and number of failures do not apply.

    :returns: one verdict for each contract file, in the order of the topic's classes.
    :raises ContractError: if contract files and classes do not agree.
    :raises DeclarationError: if an event type is neither handled nor ignored.
    """
    projection.check_complete()
    versions = [_read(projection.topic, contract, version) for contract, version in _versions(projection.topic)]
    trial = _Trial(projection)
    trial.gather(versions)
    return [trial.judge(version) for version in versions]


@dataclass(slots=True)
class _Examples:
    """The examples of one version, read."""

    contract: Contract
    version: Version
    count: int = 0
    events: list[tuple[bytes, Event]] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)
    problems: dict[str, None] = field(default_factory=dict)

    def refuse(self, reason: str) -> None:
        self.refused[reason] = self.refused.get(reason, 0) + 1


def _versions(topic: Topic) -> Iterator[tuple[Contract, Version]]:
    for contract in topic.contracts:
        for version in (*contract.former, *contract.versions):
            yield contract, version


def _read(topic: Topic, contract: Contract, version: Version) -> _Examples:
    found = _Examples(contract, version)
    given = {name: info.examples or () for name, info in contract.event.model_fields.items()}
    for value in example_values(version, given):
        found.count += 1
        try:
            event = topic.codec.decode(value)
            if topic.codec.decode(value) != event:
                found.problems["an upcaster gave two different events for the same data; it has to be pure"] = None
        except RecordError as error:
            # The error shows no value, so what pydantic said is not its cause; it was still being handled.
            refusal = error.__context__
            if isinstance(refusal, ValidationError) and not _is_structural(refusal):
                found.refuse(str(error))
            else:
                found.problems[str(error)] = None
        else:
            found.events.append((value, event))
    return found


def _is_structural(error: ValidationError) -> bool:
    kinds = [each["type"] for each in error.errors(include_input=False, include_url=False, include_context=False)]
    return any(kind in _STRUCTURE or kind.endswith(("_type", "_parsing")) for kind in kinds)


class _Trial:
    """Applies example events to a projection's states."""

    def __init__(self, projection: Projection[Any]) -> None:
        self._handlers = projection.handlers
        self._folder = CheckingFolder(projection)
        self._states: dict[str | None, None] = {None: None}

    def gather(self, versions: Sequence[_Examples]) -> None:
        """Find states that events can be applied to, from what handlers make of the first events of each version."""
        for _ in range(2):
            for found in versions:
                for value, event in found.events[:2]:
                    for state in self._states_for(found):
                        self._try(found, state, value, event)

    def judge(self, found: _Examples) -> Replayed:
        """Apply all examples of one version, each to every state."""
        handler = self._handlers.get(found.contract.type)
        refused, problems = dict(found.refused), dict(found.problems)
        for value, event in found.events if handler is not None else ():
            errors = [self._try(found, state, value, event) for state in self._states_for(found)]
            mistakes = [_said(error) for error in errors if error is not None and _is_mistake(error)]
            problems.update(dict.fromkeys(mistakes))
            if not mistakes and all(errors):
                reason = (
                    _said(errors[0]) if errors and errors[0] is not None else "no example gives a state to apply it to"
                )
                refused[reason] = refused.get(reason, 0) + 1
        return Replayed(
            found.version.type,
            found.version.number,
            found.count,
            tuple(step.upcaster.name for step in found.contract.steps(found.version)),
            None if handler is None else handler.name,
            refused,
            tuple(problems),
        )

    def _states_for(self, found: _Examples) -> list[str | None]:
        handler = self._handlers.get(found.contract.type)
        if handler is None:
            return []
        return [state for state in self._states if state is not None or handler.takes_none]

    def _try(self, found: _Examples, state: str | None, value: bytes, event: Event) -> HandlerError | None:
        try:
            after = self._folder.apply(state, _row(found.contract.type, value), event)
        except HandlerError as error:
            return error
        if len(self._states) < _STATES:
            self._states.setdefault(after)
        return None


def _row(event_type: str, value: bytes) -> Row:
    return Row("example", 0, 0, 0, 0, None, None, "example", event_type, None, None, None, value, None)


def _is_mistake(error: HandlerError) -> bool:
    if error.__cause__ is not None:
        return isinstance(error.__cause__, _MISTAKES)
    # A state that a constraint refuses; else it returned something else, or two different states.
    return not isinstance(error.__context__, ValidationError) or _is_structural(error.__context__)


def _said(error: HandlerError) -> str:
    """Return an error without the place in a log, which an example does not have."""
    return str(error).partition(": ")[2]
