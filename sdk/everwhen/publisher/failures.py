"""What the log refused, until somebody is told."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from everwhen.errors import EverwhenError, PublishError

if TYPE_CHECKING:
    from everwhen.publisher.receipt import Receipt


class Failures:
    """Counts the events of one publisher that its log did not take, and keeps the first. Thread-safe.

    :param topic: where they were to stand, for the message.
    """

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._lock = threading.Lock()
        self._first: tuple[Receipt, EverwhenError] | None = None
        self._count = 0

    def add(self, receipt: Receipt, error: EverwhenError) -> None:
        """Remember one more."""
        with self._lock:
            self._count += 1
            if self._first is None:
                self._first = receipt, error

    def check(self) -> None:
        """Do nothing if there was none since the last time.

        :raises PublishError: otherwise, naming how many and the first.
        """
        with self._lock:
            first, count = self._first, self._count
            self._first, self._count = None, 0
        if first is not None:
            receipt, error = first
            raise PublishError(
                f"{count} event(s) were not taken by topic {self._topic}; the first is {receipt.event_id} of "
                f"entity {receipt.entity_id!r}: {error}"
            ) from error
