"""The publisher: validates events, encodes them by their contract, and sees to it that none is lost unnoticed."""

from __future__ import annotations

import os
import random
import threading
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from everwhen.errors import ArgumentError, EventTooLarge, EverwhenError, PublishError
from everwhen.event import Event, Topic, event_type, headers
from everwhen.instants import to_micros
from everwhen.ports.clock import Clock
from everwhen.ports.log import Log, LogWriter
from everwhen.positions import Position
from everwhen.publisher.receipt import Receipt

_RECORD_OVERHEAD = 100
"""An upper bound of what a record adds to its key, value and headers (record batch v2: lengths, deltas, attributes)."""
_HEADER_OVERHEAD = 10
"""As above, per header."""


class Publisher:
    """Publishes events of one topic.

    :param topic: what may be published.
    :param log: where to.
    :param clock: what ``occurred_at`` is when it is left out.

    Thread-safe. Events of one entity that are published by one thread keep their order. Leaving the ``with`` block
    waits until everything is acknowledged and raises if anything was not. A process that was forked off needs a
    publisher of its own.
    """

    def __init__(self, topic: Topic, log: Log, clock: Clock) -> None:
        self._topic = topic
        self._log = log
        self._clock = clock
        self._encode = topic.codec.encode
        self._types = {event: event_type(event) for event in topic.events}
        self._writer: LogWriter = log.writer(topic.name)
        self._failures: list[tuple[Receipt, EverwhenError]] = []
        self._failed = 0
        self._closed = False
        self._lock = threading.Lock()
        # Ids must be unique, not secret: one draw from the system's entropy, then no system call per event.
        self._random = random.Random(os.urandom(32))  # noqa: S311 - see above

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
            return
        try:
            self.close()
        except EverwhenError as undelivered:
            # The caller's own error is on its way and must not be hidden by ours.
            assert error is not None
            error.add_note(f"while leaving the publisher: {undelivered}")

    def publish(
        self,
        entity_id: str,
        event: Event,
        *,
        occurred_at: datetime | None = None,
        event_id: str | None = None,
        correlation_id: str | None = None,
        causation_id: str | None = None,
        traceparent: str | None = None,
    ) -> Receipt:
        """Send one event; return at once, or when there is room in the local queue.

        :param entity_id: what the event is about: 1 to 512 bytes of UTF-8. It is the record's key.
        :param event: an instance of one of the topic's event classes.
        :param occurred_at: when the fact was true in the world (aware); now if left out.
        :param event_id: an id of your own, so that publishing the same event again changes nothing; a random UUID if
            left out.
        :param correlation_id: the conversation that the event belongs to.
        :param causation_id: the event or command that caused it.
        :param traceparent: W3C Trace Context, passed on as it is.
        :raises ArgumentError: if the event is not of the topic or an id cannot be used.
        :raises InstantError: if ``occurred_at`` is naive or finer than a microsecond.
        :raises EventTooLarge: if the encoded event is over the size limit; nothing was sent.
        :raises ClosedError: after :meth:`close`, or in a forked process.
        """
        name = self._types.get(type(event))
        if name is None:
            raise ArgumentError(
                f"{type(event).__name__} is not an event class of topic {self._topic.name}; it holds "
                f"{', '.join(sorted(cls.__name__ for cls in self._types))}"
            )
        key = _usable("entity_id", entity_id)
        for label, given in (("correlation_id", correlation_id), ("causation_id", causation_id)):
            if given is not None:
                _usable(label, given)
        if event_id is None:
            event_id = _uuid(self._random.getrandbits(128))
        else:
            _usable("event_id", event_id)
        instant = self._clock.now() if occurred_at is None else to_micros(occurred_at, "occurred_at")
        meta = headers.build(
            id=event_id,
            source=self._topic.source,
            type=name,
            entity_id=entity_id,
            occurred_at=instant,
            correlation_id=correlation_id,
            causation_id=causation_id,
            traceparent=traceparent,
        )
        value = self._encode(event)
        self._check_size(key, value, meta, name)
        receipt = Receipt(event_id, entity_id, self._writer)
        self._writer.send(key, value, meta, _Settle(self, receipt))
        return receipt

    def flush(self) -> None:
        """Wait until the log has answered for everything that was published so far.

        :raises PublishError: if it did not take something since the last flush, naming how many and the first.
        """
        self._writer.flush()
        with self._lock:
            failures, failed = self._failures, self._failed
            self._failures, self._failed = [], 0
        if failures:
            receipt, error = failures[0]
            raise PublishError(
                f"{failed} event(s) were not taken by topic {self._topic.name}; the first is {receipt.event_id} of "
                f"entity {receipt.entity_id!r}: {error}"
            ) from error

    def close(self) -> None:
        """Flush and free everything. Idempotent.

        :raises PublishError: as :meth:`flush`.
        """
        if self._closed:
            return
        self._closed = True
        try:
            self.flush()
        finally:
            self._writer.close()
            self._log.close()

    def failed(self, receipt: Receipt, error: EverwhenError) -> None:
        """Remember an event that the log refused, for the next :meth:`flush`."""
        with self._lock:
            self._failed += 1
            if not self._failures:
                self._failures.append((receipt, error))

    def _check_size(self, key: bytes, value: bytes, meta: list[tuple[str, bytes]], name: str) -> None:
        size = _RECORD_OVERHEAD + len(key) + len(value)
        for header, content in meta:
            size += _HEADER_OVERHEAD + len(header) + len(content)
        if size > self._writer.size_limit:
            raise EventTooLarge(
                f"{name} is about {size} bytes with its headers; the limit is {self._writer.size_limit} bytes. Publish "
                "a reference to large content, or raise message.max.bytes here and max.message.bytes of the topic"
            )


class _Settle:
    """The callback of one record."""

    __slots__ = ("_publisher", "_receipt")

    def __init__(self, publisher: Publisher, receipt: Receipt) -> None:
        self._publisher = publisher
        self._receipt = receipt

    def __call__(self, position: Position | None, error: EverwhenError | None) -> None:
        self._receipt.settle(position, error)
        if error is not None:
            self._publisher.failed(self._receipt, error)


def _usable(name: str, value: Any) -> bytes:
    """Return an id as bytes."""
    if not isinstance(value, str) or not value:
        raise ArgumentError(f"{name} must be a non-empty str")
    try:
        data = value.encode()
    except UnicodeEncodeError:
        raise ArgumentError(f"{name} holds a lone surrogate, which is not text") from None
    if len(data) > headers.ID_LIMIT:
        raise ArgumentError(f"{name} is {len(data)} bytes long; the limit is {headers.ID_LIMIT}")
    if b"\0" in data:
        raise ArgumentError(f"{name} holds a NUL character, which no database text can hold")
    return data


def _uuid(bits: int) -> str:
    """Write 128 random bits as a UUID of version 4 (RFC 9562, section 5.4)."""
    digits = f"{bits & ~_FIXED_BITS | _VERSION_4:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


_FIXED_BITS = 0xF << 76 | 0x3 << 62
_VERSION_4 = 0x4 << 76 | 0x2 << 62
