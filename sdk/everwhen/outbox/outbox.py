"""The outbox: publishes events in the transaction in which a service changes its own tables."""

from __future__ import annotations

from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from everwhen.errors import ArgumentError
from everwhen.event import Event, Topic
from everwhen.instants import Micros, to_micros
from everwhen.outbox.receipt import OutboxReceipt
from everwhen.ports.clock import Clock
from everwhen.ports.outbox import Entry, OutboxWriter
from everwhen.publisher.drafts import RETRACTED, Drafts, check_withdrawal, retraction
from everwhen.publisher.ids import RandomIds, check_id
from everwhen.tracing import PublishTracing

if TYPE_CHECKING:
    from everwhen.event.codec import Codec
    from everwhen.sql.outbox import AsyncTransaction, Transaction

SIZE_LIMIT: Final = 999_488
"""Bytes of a record: what a producer of Kafka's takes by default. Where a topic takes less, its relay stops."""


class _Told(NamedTuple):
    """What a caller says of an event besides the event itself."""

    entity_id: str
    instant: Micros
    event_id: str | None
    withdraws: str | None
    correlation_id: str | None
    causation_id: str | None
    traceparent: str | None


class Outbox:
    """Publishes events of one topic into a table of the service's database, in the caller's own transaction.

    What the caller rolls back was never published; what it commits ``everwhen relay`` takes to the log, each entity's
    events in the order of their versions. Key, value and headers are those that :class:`everwhen.Publisher` sends.

    :param topic: what may be published.
    :param writer: where to.
    :param clock: what ``occurred_at`` is when it is left out, and when an event was queued.
    :param size_limit: the largest record that is taken, in bytes of key, value and headers together.

    Thread-safe; a transaction is not, and is used by its own thread. Nothing is held between calls, so a process that
    was forked off can go on with it.
    """

    def __init__(
        self,
        topic: Topic,
        writer: OutboxWriter,
        clock: Clock,
        size_limit: int = SIZE_LIMIT,
        codec: Codec | None = None,
    ) -> None:
        self.topic = topic
        self._writer = writer
        self._clock = clock
        self._limit = size_limit
        self._drafts = Drafts(topic, codec)
        self._random_id = RandomIds().next
        self._tracing = PublishTracing("outbox://", topic.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def publish(
        self,
        transaction: Transaction,
        entity_id: str,
        event: Event,
        *,
        occurred_at: datetime | None = None,
        expected: int | None = None,
        event_id: str | None = None,
        correlation_id: str | None = None,
        causation_id: str | None = None,
        traceparent: str | None = None,
    ) -> OutboxReceipt:
        """Add one event to the transaction. Waits while another transaction publishes for the same entity.

        :param transaction: a ``Connection`` or ``Session`` of SQLAlchemy's, in a transaction of its database.
        :param entity_id: what the event is about: 1 to 512 bytes of UTF-8. It is the record's key.
        :param event: an instance of one of the topic's event classes.
        :param occurred_at: when the fact was true in the world (aware); now if left out.
        :param expected: the version of the entity that the event was decided on, :data:`everwhen.NEW` if there must be
            none yet; any if left out.
        :param event_id: an id of your own; a random UUID if left out. A projection applies an id once.
        :param correlation_id: the conversation that the event belongs to.
        :param causation_id: the event or command that caused it.
        :param traceparent: W3C Trace Context, passed on as it is; if left out, of a span of its own where the program
            uses OpenTelemetry.
        :return: with the version that the event is.
        :raises VersionConflict: if the entity has had another event since ``expected``. Roll back, read again, decide
            again. Under READ COMMITTED and on SQLite the transaction could go on, too.
        :raises StoreConflict: if the database undid the transaction because of another one: under REPEATABLE READ and
            SERIALIZABLE, and at deadlocks. Roll back and try again. Your own commit may meet the same, as an error of
            SQLAlchemy's with SQLSTATE 40001.
        :raises StoreError: if the database failed or has no tables of an outbox; roll back.
        :raises ArgumentError: if the event is not of the topic, an id cannot be used, or the connection commits each
            statement by itself.
        :raises InstantError: if ``occurred_at`` is naive or finer than a microsecond.
        :raises EventTooLarge: if the encoded event is over the size limit.
        """
        if event_id is not None:
            check_id("event_id", event_id)
        name = self._drafts.type_of(event)
        now = self._clock.now()
        instant = now if occurred_at is None else to_micros(occurred_at, "occurred_at")
        told = _Told(entity_id, instant, event_id, None, correlation_id, causation_id, traceparent)
        return self._add(transaction, event, name, told, now, expected)

    async def publish_async(
        self,
        transaction: AsyncTransaction,
        entity_id: str,
        event: Event,
        *,
        occurred_at: datetime | None = None,
        expected: int | None = None,
        event_id: str | None = None,
        correlation_id: str | None = None,
        causation_id: str | None = None,
        traceparent: str | None = None,
    ) -> OutboxReceipt:
        """Add one event to the transaction of an ``AsyncConnection`` or ``AsyncSession``, without blocking the loop.

        The rest is as for :meth:`publish`. For anything else, ``await session.run_sync(outbox.retract, ...)`` does.
        """
        return await transaction.run_sync(
            self.publish,
            entity_id,
            event,
            occurred_at=occurred_at,
            expected=expected,
            event_id=event_id,
            correlation_id=correlation_id,
            causation_id=causation_id,
            traceparent=traceparent,
        )

    def correct(
        self,
        transaction: Transaction,
        event_id: str,
        event: Event,
        *,
        entity_id: str,
        occurred_at: datetime,
        expected: int | None = None,
        correction_id: str | None = None,
        correlation_id: str | None = None,
        causation_id: str | None = None,
        traceparent: str | None = None,
    ) -> OutboxReceipt:
        """Add an event that takes the place of an earlier one of the same entity.

        Parameters and errors are those of :meth:`publish` and :meth:`everwhen.Publisher.correct`. It is a version of
        its entity as any other event.
        """
        check_withdrawal(event_id, "correction_id", correction_id)
        instant = to_micros(occurred_at, "occurred_at")
        name = self._drafts.type_of(event)
        told = _Told(entity_id, instant, correction_id, event_id, correlation_id, causation_id, traceparent)
        return self._add(transaction, event, name, told, self._clock.now(), expected)

    def retract(
        self,
        transaction: Transaction,
        event_id: str,
        *,
        entity_id: str,
        reason: str | None = None,
        expected: int | None = None,
        retraction_id: str | None = None,
        correlation_id: str | None = None,
        causation_id: str | None = None,
        traceparent: str | None = None,
    ) -> OutboxReceipt:
        """Add word that an event should not have been published.

        Parameters and errors are those of :meth:`publish` and :meth:`everwhen.Publisher.retract`. It is a version of
        its entity as any other event.
        """
        check_withdrawal(event_id, "retraction_id", retraction_id)
        now = self._clock.now()
        told = _Told(entity_id, now, retraction_id, event_id, correlation_id, causation_id, traceparent)
        return self._add(transaction, retraction(reason), RETRACTED, told, now, expected)

    def version(self, transaction: Transaction, entity_id: str) -> int:
        """Return how many events the entity has had in this outbox; :data:`everwhen.NEW` if none.

        :raises StoreError: if the database failed.
        """
        return self._writer.version(transaction, self.topic.name, entity_id)

    def close(self) -> None:
        """Free everything; an engine that was given stays open. Idempotent."""
        self._writer.close()

    def _add(
        self, transaction: Transaction, event: Event, name: str, told: _Told, now: Micros, expected: int | None
    ) -> OutboxReceipt:
        _check_expected(expected)
        event_id = self._random_id() if told.event_id is None else told.event_id
        sending = self._tracing.begin(event_id) if told.traceparent is None else None
        try:
            draft = self._drafts.make(
                event,
                name,
                told.entity_id,
                told.instant,
                event_id,
                self._limit,
                withdraws=told.withdraws,
                correlation_id=told.correlation_id,
                causation_id=told.causation_id,
                traceparent=told.traceparent if sending is None else sending.traceparent,
                tracestate=None if sending is None else sending.tracestate,
            )
            entry = Entry(self.topic.name, told.entity_id, event_id, name, draft.value, draft.headers, now)
            version = self._writer.add(transaction, entry, expected)
        except BaseException as error:
            if sending is not None:
                sending.settle(None, error)
            raise
        if sending is not None:
            sending.settle(None, None)
        return OutboxReceipt(told.entity_id, event_id, version, self.topic.name)


def _check_expected(expected: object) -> None:
    if expected is not None and (not isinstance(expected, int) or isinstance(expected, bool) or expected < 0):
        raise ArgumentError("expected must be the version of an entity, a whole number from 0 on, or None for any")
