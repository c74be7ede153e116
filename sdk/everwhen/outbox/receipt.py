"""What publishing to an outbox returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from everwhen.tokens import EventToken

NEW: Final = 0
"""The version of an entity that has had no event: what ``expected`` is where an entity must be new."""


@dataclass(frozen=True, slots=True)
class OutboxReceipt:
    """An event that will stand in the log once the caller's transaction is committed. Where, nobody knows yet.

    :ivar entity_id: the entity it is about.
    :ivar event_id: the id of the event; of a correction or a retraction, its own.
    :ivar version: which of its entity's events in this outbox it is: 1, 2, 3, ...; what ``expected`` is next time.
    :ivar topic: the topic's name.
    """

    entity_id: str
    event_id: str
    version: int
    topic: str

    @property
    def token(self) -> str:
        """The event as a short text for an HTTP header or a cookie, for :meth:`everwhen.Reader.get` and ``wait_for``.

        A projection has reached it once the relay has sent the event and a worker has taken it; where the projection
        ignores the event's type, never.
        """
        return str(EventToken(self.topic, self.entity_id, self.event_id))
