"""Drafts: events as the records that they will be, wherever these go first."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pydantic import ValidationError

from everwhen.errors import ArgumentError, EventTooLarge
from everwhen.event import Event, Retracted, Topic, event_type, headers
from everwhen.instants import Micros
from everwhen.publisher.ids import check_id

if TYPE_CHECKING:
    from everwhen.event.codec import Codec

RETRACTED = event_type(Retracted)
_new = tuple.__new__  # what a NamedTuple's own __new__ calls, in half the time
_RECORD_OVERHEAD = 100
"""An upper bound of what a record adds to its key, value and headers (record batch v2: lengths, deltas, attributes)."""
_HEADER_OVERHEAD = 10
"""As above, per header."""
_HEADERS_ROOM = 16_384
"""Far more than the key and the headers take, but for a trace of the caller's own; a log checks the whole again."""


class Draft(NamedTuple):
    """A record before it has a position."""

    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]


class Drafts:
    """Makes the records of one topic's events: those that a publisher sends, and those that an outbox keeps.

    :param topic: what may be published.
    :param codec: writes the values; the topic's own, which knows no registry, if left out.

    Thread-safe.
    """

    def __init__(self, topic: Topic, codec: Codec | None = None) -> None:
        self._topic = topic
        codec = codec or topic.codec
        self._encode = codec.encode
        self._schema_header = codec.schema_header if codec.in_header else None
        self._types = {event: event_type(event) for event in topic.events}
        self._headers = headers.Builder(topic.source)

    def type_of(self, event: Event) -> str:
        """Return the event type's name.

        :raises ArgumentError: if the event is of no class of the topic.
        """
        name = self._types.get(type(event))
        if name is None:
            raise self._not_of_the_topic(type(event))
        return name

    def make(
        self,
        event: Event,
        name: str,
        entity_id: str,
        instant: Micros,
        event_id: str,
        limit: int,
        *,
        withdraws: str | None = None,
        correlation_id: str | None = None,
        causation_id: str | None = None,
        traceparent: str | None = None,
        tracestate: str | None = None,
    ) -> Draft:
        """Return the record of an event.

        :param name: its type's, as :meth:`type_of` has it.
        :param limit: the largest record that may be sent, in bytes.
        :raises ArgumentError: if an id cannot be used.
        :raises EventTooLarge: if it is larger.
        """
        key = check_id("entity_id", entity_id)
        if correlation_id is not None:
            check_id("correlation_id", correlation_id)
        if causation_id is not None:
            check_id("causation_id", causation_id)
        meta = self._headers.build(
            id=event_id,
            type=name,
            subject=key,
            occurred_at=instant,
            correlation_id=correlation_id,
            causation_id=causation_id,
            traceparent=traceparent,
            tracestate=tracestate,
            withdraws=withdraws,
        )
        draft = _new(Draft, (key, self._encode(event), meta))
        if self._schema_header is not None:
            meta.append(self._schema_header(type(event)))
        if len(draft.value) > limit - _HEADERS_ROOM:
            _check_size(draft, name, limit)
        return draft

    def _not_of_the_topic(self, event: type[Event]) -> ArgumentError:
        if event is Retracted:
            return ArgumentError("Retracted needs the id of the event that it withdraws; publish it with retract()")
        return ArgumentError(
            f"{event.__name__} is not an event class of topic {self._topic.name}; it holds "
            f"{', '.join(sorted(cls.__name__ for cls in self._types))}"
        )


def check_withdrawal(event_id: str, argument: str, own_id: str | None) -> None:
    """Check the id of the event to withdraw, and the id that its withdrawal is to have.

    :param argument: what the latter was given as, for the message.
    :raises ArgumentError: if one cannot be used, or both are the same.
    """
    check_id("event_id", event_id)
    if own_id is None:
        return
    check_id(argument, own_id)
    if own_id == event_id:
        raise ArgumentError(
            f"{argument} is the id of the event that is to be withdrawn, and an event cannot withdraw itself; "
            "give it another one, or leave it out"
        )


def retraction(reason: str | None) -> Retracted:
    """Return the event that says that another one should not have been published.

    :raises ArgumentError: if the reason is no text.
    """
    try:
        return Retracted(reason=reason)
    except ValidationError:
        # Not chained: its text shows the reason.
        raise ArgumentError("reason must be a str or None") from None


def _check_size(draft: Draft, name: str, limit: int) -> None:
    size = _RECORD_OVERHEAD + len(draft.key) + len(draft.value)
    for header, content in draft.headers:
        size += _HEADER_OVERHEAD + len(header) + len(content)
    if size > limit:
        raise EventTooLarge(
            f"{name} is about {size} bytes with its headers; the limit is {limit} bytes. Publish "
            "a reference to large content, or raise message.max.bytes here and max.message.bytes of the topic"
        )
