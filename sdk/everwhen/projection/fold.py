"""Applying one event to a state, with the user's function in the middle."""

from __future__ import annotations

from typing import Generic, TypeVar

from pydantic import BaseModel, ValidationError

from everwhen.errors import HandlerError
from everwhen.event import Envelope, Event
from everwhen.instants import from_micros
from everwhen.positions import Position
from everwhen.projection.projection import Projection
from everwhen.projection.rows import Version

S = TypeVar("S", bound=BaseModel)


class Folder(Generic[S]):
    """Calls a projection's handlers on states kept as JSON.

    A handler never sees a Python object of an earlier call: what it gets was read from JSON. So it may change its
    argument, and the result is the same whether the state came from memory or from the store.

    :param projection: whose handlers to call.

    Thread-safe if the handlers are.
    """

    def __init__(self, projection: Projection[S]) -> None:
        self._projection = projection
        self._handlers = dict(projection.handlers)
        self._topic = projection.topic.name
        self._decode = projection.topic.codec.decode
        self._state = projection.state
        self._read = projection.state.__pydantic_validator__.validate_json
        self._write = projection.state.__pydantic_serializer__.to_json

    def fold(self, state: str | None, row: Version) -> str | None:
        """Apply the stored event of ``row`` to the state before it.

        :return: the state after it as JSON, ``None`` if the entity is deleted.
        :raises HandlerError: if the handler raises or returns something else than its state model or ``None``.
        """
        return self.apply(state, row, self._decode(row.event, ()))

    def apply(self, state: str | None, row: Version, event: Event) -> str | None:
        """Like :meth:`fold`, with the event decoded already."""
        handler = self._handlers[row.event_type]
        if state is None and not handler.takes_none:
            raise HandlerError(
                f"{self._where(row)}: the entity has no state here, and {handler.name}() does not take None for it; "
                "an earlier event is missing, or the handler should declare `state: ... | None`"
            )
        try:
            before = None if state is None else self._read(state, by_alias=False, by_name=True)
            if handler.takes_envelope:
                after = handler.function(before, event, envelope(self._topic, row, event))
            else:
                after = handler.function(before, event)
            if after is None:
                return None
            if isinstance(after, self._state):
                # A warning of pydantic's would show the values that are not of their type.
                return self._write(after, by_alias=False, round_trip=True, warnings=False).decode()
        except ValidationError as error:
            # Its text shows the values; a message of ours never does.
            raise HandlerError(f"{self._where(row)}: {handler.name}() met {_summary(error)}") from None
        except Exception as error:
            raise HandlerError(
                f"{self._where(row)}: {handler.name}() of projection {self._projection.name} raised "
                f"{type(error).__name__}; mend the handler and retry the record"
            ) from error
        raise HandlerError(
            f"{self._where(row)}: {handler.name}() returned {type(after).__name__}; "
            f"it must return {self._state.__name__} or None"
        )

    def _where(self, row: Version) -> str:
        position = Position(self._topic, row.partition, row.offset)
        return f"{position}, entity {row.entity_id!r}, event {row.event_type}"


class CheckingFolder(Folder[S]):
    """Applies every event twice, so that a handler which depends on more than state and event is found out."""

    def apply(self, state: str | None, row: Version, event: Event) -> str | None:
        """Like :meth:`Folder.apply`.

        :raises HandlerError: also if the two states differ.
        """
        first = super().apply(state, row, event)
        if super().apply(state, row, event) == first:
            return first
        raise HandlerError(
            f"{self._where(row)}: {self._handlers[row.event_type].name}() gave two different states for the same event "
            "and the same state before it. A rebuild would not give these rows again: a handler must not look at the "
            "clock, draw at random, ask others, or depend on the order of a set"
        )


def envelope(topic: str, row: Version, event: Event) -> Envelope[Event]:
    """Put an event back into its envelope."""
    return Envelope(
        event=event,
        id=row.event_id,
        type=row.event_type,
        entity_id=row.entity_id,
        occurred_at=from_micros(row.valid_from),
        recorded_at=from_micros(row.recorded_at),
        position=Position(topic, row.partition, row.offset),
        correlation_id=row.correlation_id,
        causation_id=row.causation_id,
    )


def _summary(error: ValidationError) -> str:
    details = error.errors(include_input=False, include_url=False, include_context=False)
    shown = ", ".join(f"{'.'.join(map(str, d['loc'])) or 'state'} ({d['type']})" for d in details[:3])
    return f"an invalid {error.title}: {shown}"
