"""Receipts: the promise that an event will stand in the log."""

from __future__ import annotations

from everwhen.errors import EverwhenError, PublishError
from everwhen.ports.log import LogWriter
from everwhen.positions import Position
from everwhen.tokens import PositionToken

_LOOK_SECONDS = 0.05
"""How long one look at the acknowledgements lasts: another thread may have been handed ours in the meantime."""


class Receipt:
    """What publishing returns, at once. Thread-safe.

    :ivar event_id: the id of the event; of a correction or a retraction, its own.
    :ivar entity_id: the entity it is about.
    """

    __slots__ = ("_error", "_position", "_writer", "entity_id", "event_id")

    def __init__(self, event_id: str, entity_id: str, writer: LogWriter) -> None:
        self.event_id = event_id
        self.entity_id = entity_id
        self._writer = writer
        self._position: Position | None = None
        self._error: EverwhenError | None = None

    def __repr__(self) -> str:
        return f"<Receipt {self.event_id} {self._position or ('failed' if self._error else 'pending')}>"

    @property
    def done(self) -> bool:
        """Whether the log has answered. Does not block."""
        return self._position is not None or self._error is not None

    @property
    def position(self) -> Position:
        """Where the event stands in the log.

        Blocks until the log has acknowledged or refused it; how long it tries is a setting of the log
        (``delivery.timeout.ms`` with Kafka).

        :raises PublishError: if the log did not take it.
        """
        while not self.done:
            self._writer.poll(_LOOK_SECONDS)
        if self._position is None:
            assert self._error is not None
            # One exception object must not be raised by several threads: they would share its traceback.
            raise PublishError(
                f"event {self.event_id} of entity {self.entity_id!r} was not taken: {self._error}"
            ) from (self._error)
        return self._position

    @property
    def token(self) -> str:
        """What a reader must have seen to know of this event, as a short text for a URL, a header or a cookie.

        Give it to the client, and its next question to :meth:`everwhen.Reader.get` as ``at_least``. Blocks as
        :attr:`position` does. It holds the topic's name and the position, unsigned.

        :raises PublishError: if the log did not take it.
        """
        return str(PositionToken.of(self.position, self._writer.described))

    def settle(self, position: Position | None, error: EverwhenError | None) -> None:
        """Take the log's answer. Called once, by the publisher."""
        self._error = error
        self._position = position
