"""Receipts: the promise that an event will stand in the log."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from everwhen.errors import EverwhenError, PublishError
from everwhen.ports.log import LogWriter
from everwhen.positions import Position
from everwhen.tokens import PositionToken

if TYPE_CHECKING:
    from everwhen.publisher.failures import Failures

_LOOK_SECONDS = 0.05
"""How long one look at the acknowledgements lasts: another thread may have been handed ours in the meantime."""
_telling = threading.Lock()


class Receipt:
    """What publishing returns, at once. Thread-safe.

    :ivar event_id: the id of the event; of a correction or a retraction, its own.
    :ivar entity_id: the entity it is about.
    """

    __slots__ = ("_error", "_failures", "_position", "_told", "_writer", "entity_id", "event_id")

    def __init__(self, event_id: str, entity_id: str, writer: LogWriter, failures: Failures) -> None:
        self.event_id = event_id
        self.entity_id = entity_id
        self._writer = writer
        self._failures = failures
        self._position: Position | None = None
        self._error: EverwhenError | None = None
        self._told: list[Callable[[Receipt], None]] | None = None

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

    def when_settled(self, told: Callable[[Receipt], None]) -> None:
        """Have a function called once the log has answered; at once if it has.

        It is called with this receipt, in the thread that takes the answer, which is one inside a method of the
        publisher or one of the log: it must not block or raise. Answers are taken while somebody publishes, waits for a
        position or calls :meth:`everwhen.Publisher.poll`.
        """
        with _telling:
            if self._told is None:
                self._told = []
            self._told.append(told)
        if self.done:
            self._tell(self._told)

    def settle(self, position: Position | None, error: EverwhenError | None) -> None:
        """Take the log's answer. Called once, by the log's writer."""
        self._error = error
        self._position = position
        if error is not None:
            self._failures.add(self, error)
        if self._told is not None:
            self._tell(self._told)

    def _tell(self, told: list[Callable[[Receipt], None]]) -> None:
        # Both who asks and who settles may come here; each function is taken out once.
        while True:
            try:
                each = told.pop(0)
            except IndexError:
                return
            each(self)
