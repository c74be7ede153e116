"""The publisher: validates events, encodes them by their contract, and sees to it that none is lost unnoticed."""

from __future__ import annotations

from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Self

from everwhen.errors import EverwhenError
from everwhen.event import Event, Topic
from everwhen.instants import Micros, to_micros
from everwhen.ports.clock import Clock
from everwhen.ports.log import Log, LogWriter
from everwhen.positions import Position
from everwhen.publisher.drafts import RETRACTED, Drafts, check_withdrawal, retraction
from everwhen.publisher.failures import Failures
from everwhen.publisher.ids import RandomIds, check_id
from everwhen.publisher.receipt import Receipt
from everwhen.tracing import PublishTracing

if TYPE_CHECKING:
    from everwhen.event.codec import Codec
    from everwhen.tracing.spans import Sending


class Publisher:
    """Publishes events of one topic, and corrections and retractions of them.

    :param topic: what may be published.
    :param log: where to.
    :param clock: what ``occurred_at`` is when it is left out, and the time of a retraction.
    :param codec: writes the values; the topic's own, which knows no registry, if left out.

    Thread-safe. Events of one entity that are published by one thread keep their order. Leaving the ``with`` block
    waits until everything is acknowledged and raises if anything was not. A process that was forked off needs a
    publisher of its own.
    """

    def __init__(self, topic: Topic, log: Log, clock: Clock, codec: Codec | None = None) -> None:
        self._topic = topic
        self._log = log
        self._clock = clock
        self._drafts = Drafts(topic, codec)
        self._writer: LogWriter = log.writer(topic.name)
        self._failures = Failures(topic.name)
        self._closed = False
        self._random_id = RandomIds().next
        self._tracing = PublishTracing(log.address, topic.name)

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
        :param traceparent: W3C Trace Context, passed on as it is; if left out, of a span of its own where the program
            uses OpenTelemetry.
        :raises ArgumentError: if the event is not of the topic or an id cannot be used.
        :raises InstantError: if ``occurred_at`` is naive or finer than a microsecond.
        :raises EventTooLarge: if the encoded event is over the size limit; nothing was sent.
        :raises ClosedError: after :meth:`close`, or in a forked process.
        """
        if event_id is not None:
            check_id("event_id", event_id)
        instant = self._clock.now() if occurred_at is None else to_micros(occurred_at, "occurred_at")
        name = self._drafts.type_of(event)
        return self._send(event, name, entity_id, instant, event_id, None, correlation_id, causation_id, traceparent)

    def correct(
        self,
        event_id: str,
        event: Event,
        *,
        entity_id: str,
        occurred_at: datetime,
        correction_id: str | None = None,
        correlation_id: str | None = None,
        causation_id: str | None = None,
        traceparent: str | None = None,
    ) -> Receipt:
        """Send an event that takes the place of an earlier one of the same entity.

        Returns at once, or when there is room in the local queue, as :meth:`publish` does. Once it is projected, the
        answers are as if the earlier event had never been and this one had; what was believed before stays answerable.
        A correction may come before its target. It may correct another correction, which does not bring back what that
        one withdrew. An id that the entity does not have withdraws nothing, and ``event`` counts all the same.

        :param event_id: the event to withdraw, as its receipt has it.
        :param event: what takes its place: an instance of any of the topic's event classes.
        :param entity_id: the entity of both. It is the record's key, so the correction comes after its target in one
            partition; an event of another entity is not withdrawn.
        :param occurred_at: when the fact was true in the world (aware). Required, also where it stays as it was: the
            publisher cannot know when the withdrawn event was, as that is in the log alone.
        :param correction_id: an id of your own for the correction, so that publishing it again changes nothing; a
            random UUID if left out. The receipt has it as ``event_id``.
        :param correlation_id: the conversation that the correction belongs to.
        :param causation_id: the event or command that caused it.
        :param traceparent: W3C Trace Context, passed on as it is; if left out, of a span of its own where the program
            uses OpenTelemetry.
        :raises ArgumentError: if the event is not of the topic, an id cannot be used, or both ids are the same.
        :raises InstantError: if ``occurred_at`` is no datetime, naive or finer than a microsecond.
        :raises EventTooLarge: if the encoded event is over the size limit; nothing was sent.
        :raises ClosedError: after :meth:`close`, or in a forked process.
        """
        check_withdrawal(event_id, "correction_id", correction_id)
        instant = to_micros(occurred_at, "occurred_at")
        name = self._drafts.type_of(event)
        return self._send(
            event, name, entity_id, instant, correction_id, event_id, correlation_id, causation_id, traceparent
        )

    def retract(
        self,
        event_id: str,
        *,
        entity_id: str,
        reason: str | None = None,
        retraction_id: str | None = None,
        correlation_id: str | None = None,
        causation_id: str | None = None,
        traceparent: str | None = None,
    ) -> Receipt:
        """Send word that an event should not have been published.

        Returns at once, or when there is room in the local queue, as :meth:`publish` does. Once it is projected, the
        answers are as if that event had never been; what was believed before stays answerable. A retraction may come
        before its target. An id that the entity does not have withdraws nothing. A retraction is final: to bring the
        event back, publish it again under another id.

        :param event_id: the event to withdraw, as its receipt has it.
        :param entity_id: the entity of that event. It is the record's key, so the retraction comes after its target in
            one partition; an event of another entity is not withdrawn.
        :param reason: why; :meth:`everwhen.Reader.explain` shows it.
        :param retraction_id: an id of your own for the retraction, so that publishing it again changes nothing; a
            random UUID if left out. The receipt has it as ``event_id``.
        :param correlation_id: the conversation that the retraction belongs to.
        :param causation_id: the event or command that caused it.
        :param traceparent: W3C Trace Context, passed on as it is; if left out, of a span of its own where the program
            uses OpenTelemetry.
        :raises ArgumentError: if an id cannot be used, both ids are the same, or the reason is no text.
        :raises EventTooLarge: if the reason is over the size limit; nothing was sent.
        :raises ClosedError: after :meth:`close`, or in a forked process.
        """
        check_withdrawal(event_id, "retraction_id", retraction_id)
        event, instant = retraction(reason), self._clock.now()
        return self._send(
            event, RETRACTED, entity_id, instant, retraction_id, event_id, correlation_id, causation_id, traceparent
        )

    def poll(self, timeout: float = 0.0) -> None:
        """Hand out the log's answers, so that receipts are settled.

        :param timeout: how many seconds to wait for the next one; 0 only hands out what is there.
        :raises ClosedError: after :meth:`close`, or in a forked process.
        """
        self._writer.poll(timeout)

    def flush(self) -> None:
        """Wait until the log has answered for everything that was published so far.

        :raises PublishError: if it did not take something since the last flush, naming how many and the first.
        """
        self._writer.flush()
        self._failures.check()

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

    def _send(
        self,
        event: Event,
        name: str,
        entity_id: str,
        instant: Micros,
        event_id: str | None,
        withdraws: str | None,
        correlation_id: str | None,
        causation_id: str | None,
        traceparent: str | None,
    ) -> Receipt:
        if event_id is None:
            event_id = self._random_id()
        sending = self._tracing.begin(event_id) if traceparent is None else None
        try:
            key, value, meta = self._drafts.make(
                event,
                name,
                entity_id,
                instant,
                event_id,
                self._writer.size_limit,
                withdraws=withdraws,
                correlation_id=correlation_id,
                causation_id=causation_id,
                traceparent=traceparent if sending is None else sending.traceparent,
                tracestate=None if sending is None else sending.tracestate,
            )
            receipt = Receipt(event_id, entity_id, self._writer, self._failures)
            settle = receipt.settle if sending is None else _Traced(receipt, sending)
            self._writer.send(key, value, meta, settle)
        except BaseException as error:
            if sending is not None:
                sending.settle(None, error)
            raise
        return receipt


class _Traced:
    """Settles a receipt, and ends the span of its record."""

    __slots__ = ("_receipt", "_sending")

    def __init__(self, receipt: Receipt, sending: Sending) -> None:
        self._receipt = receipt
        self._sending = sending

    def __call__(self, position: Position | None, error: EverwhenError | None) -> None:
        self._receipt.settle(position, error)
        self._sending.settle(position, error)
