"""The envelope: one event with everything that is known about it apart from its payload."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from everwhen.event.model import Event
from everwhen.positions import Position

E = TypeVar("E", bound=Event, covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope(Generic[E]):
    """An event of the log. Handlers that declare a third parameter get it.

    :ivar event: the event itself, resolved to the newest contract.
    :ivar id: the event id (CloudEvents ``id``), unique per entity.
    :ivar type: the event type's stable name, such as ``bank.account.opened``.
    :ivar entity_id: what the event is about; the key of the record.
    :ivar occurred_at: when the fact was true in the world (valid time), UTC.
    :ivar recorded_at: when the log took it, UTC, never going back within a partition.
    :ivar position: where it stands in the log.
    :ivar correlation_id: the id of the conversation it belongs to, if the publisher gave one.
    :ivar causation_id: the id of the event or command that caused it, if the publisher gave one.
    """

    event: E = field(repr=False)
    id: str
    type: str
    entity_id: str
    occurred_at: datetime
    recorded_at: datetime
    position: Position
    correlation_id: str | None = None
    causation_id: str | None = None
