"""Appends records to one topic of Kafka."""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from everwhen.errors import ClosedError, EventTooLarge
from everwhen.guard import Guard
from everwhen.kafka.errors import WRONG_CREDENTIALS, error_of, hiding_secrets, translate_delivery, translate_settings
from everwhen.kafka.logs import ClientLog, logger
from everwhen.positions import Position

if TYPE_CHECKING:
    from collections.abc import Sequence

    from everwhen.kafka.admin import Admin
    from everwhen.kafka.settings import KafkaSettings
    from everwhen.ports.log import Acknowledged, Header, TopicDescription

_new = tuple.__new__  # what a NamedTuple's own __new__ calls, in half the time
_WAIT_FOR_ROOM = 0.1
_LONGEST_WAIT = 1.0
_SERVE_SECONDS = 0.001
"""How long answers may lie while records are sent: asking for them takes as long as a tenth of a record."""


class KafkaWriter:
    """A :class:`~everwhen.ports.log.LogWriter` on librdkafka's idempotent producer. Thread-safe.

    ``acknowledged`` is called in the thread that is inside :meth:`send`, :meth:`poll`, :meth:`flush` or :meth:`close`:
    do not hold a lock around ``send`` that ``acknowledged`` takes. ``send`` blocks while librdkafka's queue is full
    (``queue.buffering.max.messages`` and ``.kbytes``).

    A record is refused for good after ``message.timeout.ms`` (5 minutes by default) without an acknowledgement.
    """

    def __init__(self, settings: KafkaSettings, admin: Admin, topic: TopicDescription) -> None:
        self._guard = Guard(f"the writer of topic {topic.name!r}")
        self._admin = admin
        self._described = topic
        self._topic = topic.name
        self._size_limit = settings.size_limit
        self._fatal: KafkaError | None = None
        self._served = 0.0
        try:
            self._producer: Producer | None = Producer(
                {
                    **settings.producer(),
                    "error_cb": hiding_secrets(settings, _log_error),
                    "logger": ClientLog(settings.hide_secrets),
                }
            )
        except KafkaException as exception:
            raise translate_settings(error_of(exception), settings) from None

    @property
    def described(self) -> TopicDescription:
        """The topic, as it was when the writer was opened."""
        return self._described

    @property
    def size_limit(self) -> int:
        """The largest record that is sent, in bytes of key, value and headers together."""
        return self._size_limit

    def send(self, key: bytes, value: bytes | None, headers: Sequence[Header], acknowledged: Acknowledged) -> None:
        """Queue one record; block while the queue is full.

        :raises EventTooLarge: over :attr:`size_limit`.
        :raises PublishError: if the producer can send nothing any more; close it and open a new one.
        :raises ClosedError: after close, and in a forked child.
        """
        size = _size(key, value, headers)
        if size > self._size_limit:
            raise self._too_large(size)
        report = partial(self._report, acknowledged)
        given: Any = headers if type(headers) is list else list(headers)
        while True:
            producer = self._open()
            try:
                producer.produce(self._topic, value, key, headers=given, on_delivery=report)
            except BufferError:
                self._serve(producer, _WAIT_FOR_ROOM)
                continue
            except KafkaException as exception:
                error = error_of(exception)
                if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
                    raise self._too_large(size) from exception
                raise translate_delivery(self._fatal or error, self._topic) from exception
            # Answers are handed out as we go: nobody else may ask for them for a long time.
            if time.monotonic() - self._served >= _SERVE_SECONDS:
                self._serve(producer, 0)
            return

    def poll(self, timeout: float) -> None:
        """Wait up to ``timeout`` seconds for acknowledgements and hand them out; return at once if none is due.

        :raises ClosedError: after close, and in a forked child.
        """
        producer = self._open()
        self._admin.drain()
        self._serve(producer, timeout if len(producer) else 0)

    def flush(self, timeout: float | None = None) -> int:
        """Wait until all records are acknowledged or refused; return how many still are not after ``timeout``.

        :raises ClosedError: after close, and in a forked child.
        """
        return self._flush(self._open(), timeout)

    def close(self) -> None:
        """Flush and free everything. Idempotent; does nothing in a forked child."""
        producer = self._producer
        if self._guard.close() and producer is not None:
            self._flush(producer, None)
            self._producer = None

    def _flush(self, producer: Producer, timeout: float | None) -> int:
        # Not Producer.flush: after a fatal error it calls us back with that error's exception still pending, which
        # breaks the callback and loses a record's answer. Producer.poll stops there, and the next one goes on.
        deadline = None if timeout is None else time.monotonic() + timeout
        while waiting := len(producer):
            left = _LONGEST_WAIT if deadline is None else deadline - time.monotonic()
            self._serve(producer, max(0, min(left, _LONGEST_WAIT)))
            if left <= 0:
                return waiting
        return 0

    def _serve(self, producer: Producer, timeout: float) -> None:
        try:
            producer.poll(timeout)
            self._served = time.monotonic()
        except KafkaException as exception:
            # It is raised once, to whoever polls, and before each record that waits is refused by a call of its own.
            self._fatal = error_of(exception)
            text = "writer.failed topic %r: the client cannot go on: %s"
            logger.error(text, self._topic, self._fatal.str(), extra={"topic": self._topic})

    def _open(self) -> Producer:
        self._guard.check()
        if self._producer is None:
            raise ClosedError(f"the writer of topic {self._topic!r} is closed; open a new one")
        return self._producer

    def _report(self, acknowledged: Acknowledged, error: KafkaError | None, message: Message) -> None:
        try:
            if error is not None:
                acknowledged(None, translate_delivery(self._fatal or error, self._topic))
            else:
                partition: Any = message.partition()
                offset: Any = message.offset()
                acknowledged(_new(Position, (self._topic, partition, offset)), None)
        except Exception:  # noqa: BLE001 - librdkafka would go on without a word
            text = "callback.failed of a published record; the record itself is not affected"
            logger.exception(text, extra={"topic": self._topic})

    def _too_large(self, size: int) -> EventTooLarge:
        return EventTooLarge(
            f"topic {self._topic!r}: a record of {size} bytes is over the limit of {self._size_limit}; make the event "
            "smaller, or raise message.max.bytes here and max.message.bytes of the topic"
        )


def _size(key: bytes, value: bytes | None, headers: Sequence[Header]) -> int:
    size = len(key) + len(value or b"")
    for name, content in headers:  # a loop takes less than sum() with a generator
        size += len(name.encode()) + len(content or b"")
    return size


def _log_error(error: KafkaError) -> None:
    serious = error.fatal() or error.code() in WRONG_CREDENTIALS
    logger.log(logging.ERROR if serious else logging.DEBUG, "kafka.trouble %s", error.str())
