"""Every error Everwhen raises, in one tree with one root.

::

    EverwhenError
    ├── UsageError                  the program is wrong; raised where it is written or first used
    │   ├── DeclarationError        an Event, Topic or Projection that cannot be declared so
    │   │   └── ContractError       an event class and the files under schemas/ do not agree
    │   ├── InstantError            a time that is naive, too fine, not a datetime or out of range
    │   ├── ArgumentError           another argument that cannot be meant
    │   ├── ClosedError             used after close, or in a process that was forked off
    │   └── SettingsError           a setting, URL or option that is wrong or breaks a guarantee
    │       └── MissingExtra        an optional part is not installed
    ├── LogError                    the log (Kafka, or the local file) says no
    │   ├── LogUnavailable          it cannot be reached
    │   ├── TopicNotFound
    │   ├── TopicSettingsError      the topic's settings endanger the guarantee
    │   ├── OffsetOutOfRange        the position we need is not in the log any more, or not yet
    │   ├── ContinuityError         the log cannot prove that it goes on where the store stands
    │   │   ├── LogGap              it does not hold the next records any more
    │   │   ├── LogDiverged         it was cut off, or holds other records than were applied
    │   │   ├── TopicRecreated      the topic is another one of the same name
    │   │   ├── ClusterReplaced     so is the whole cluster
    │   │   └── Repartitioned       the topic has more partitions than the store was built from
    │   └── PublishError            an event was not taken by the log
    │       └── EventTooLarge
    ├── StoreError                  the database says no
    │   ├── StoreUnavailable        it cannot be reached, or asks to try again
    │   │   └── StoreConflict       it undid a transaction because of another one at the same time
    │   ├── VersionConflict         the entity in the outbox has had another event since
    │   ├── StoreMismatch           its tables are of another schema version, or not ours
    │   ├── GenerationMismatch      it was built by another version or other code of the projection
    │   ├── ProjectionNotFound      nothing has been projected under that name
    │   │   └── GenerationNotFound  it has no generation of that number
    │   └── Fenced                  another worker has claimed the partition
    ├── RegistryError               the schema registry says no
    │   ├── RegistryUnavailable     it cannot be reached, or its answer makes no sense
    │   ├── RegistryRefused         it does not let us in: user, password, token, or what they may do
    │   ├── SchemaNotRegistered     it does not have the schema that is to be written with
    │   └── SchemaRefused           it does not take a schema
    ├── RecordError                 one record of the log cannot be applied; carries its position
    │   ├── MalformedRecord         bytes, headers or key that cannot be read
    │   ├── UnknownSchema           the writer's schema is not among the contracts
    │   │   ├── SchemaOutOfReach    the registry that has it cannot be reached
    │   │   └── SchemaWithheld      the registry that has it does not let us in
    │   ├── PrunedEvent             it would change history that was pruned
    │   ├── SplitEntity             an entity's records come from two partitions
    │   ├── ProcessDied             the process died again and again while it was applied
    │   ├── QuarantineLimit         too many records of a partition cannot be applied
    │   └── HandlerError            the projection's function raised, or returned something else
    ├── PartsError                  a real part for tests cannot be had; in everwhen.testing.parts
    └── AnswerError                 ``answer.require()``: there is no state, and this says why
        ├── BeforeFirstEvent
        ├── EntityDeleted
        ├── NeverExisted
        ├── HistoryTruncated
        ├── NotYetProjected
        ├── EntityQuarantined
        └── NotStored               an earlier belief that only the projection's code can fold

A message says what happened, where (topic, partition, offset, entity, event type) and what to do. It never
holds a payload or a secret; the exception that caused it is chained as ``__cause__``.
"""

from __future__ import annotations


class EverwhenError(Exception):
    """The root: ``except EverwhenError`` catches everything that this package raises on purpose."""


class UsageError(EverwhenError):
    """The program, its declarations or its settings are wrong; trying again does not help."""


class DeclarationError(UsageError, TypeError):
    """An event class, a topic or a projection cannot be declared like this."""


class ContractError(DeclarationError):
    """An event class does not agree with its contract files, or a change would break readers of old events."""


class InstantError(UsageError, ValueError):
    """A time that is naive, finer than a microsecond, not a ``datetime``, or out of range."""


class ArgumentError(UsageError, ValueError):
    """An argument that cannot be meant, such as an empty entity id."""


class ClosedError(UsageError):
    """The object was closed, or belongs to the process that this one was forked from."""


class SettingsError(UsageError, ValueError):
    """A setting, a URL or an option is wrong, or would break a guarantee."""


class MissingExtra(SettingsError, ImportError):
    """An optional dependency is needed for this URL or call and is not installed."""


class LogError(EverwhenError):
    """The log refused or failed."""


class LogUnavailable(LogError):
    """The log cannot be reached; it may pass."""


class TopicNotFound(LogError):
    """The topic does not exist in this log."""


class TopicSettingsError(LogError):
    """The topic exists, and its settings would lose or reorder history."""


class OffsetOutOfRange(LogError):
    """The log does not hold the position that comes next for us; a worker makes LogGap or LogDiverged of it.

    :ivar partition: where; ``None`` if the log did not say.
    """

    def __init__(self, message: str, *, partition: int | None = None) -> None:
        super().__init__(message)
        self.partition = partition


class ContinuityError(LogError):
    """The log cannot prove that it goes on where the store stands; the partition stops, and nothing is skipped.

    :ivar from_offset: the offset that came next in the store.
    :ivar to_offset: the one at which the log begins or ends instead; ``None`` where that means nothing.
    """

    def __init__(self, message: str, *, from_offset: int | None = None, to_offset: int | None = None) -> None:
        super().__init__(message)
        self.from_offset = from_offset
        self.to_offset = to_offset


class LogGap(ContinuityError):
    """The records that come next were removed from the log, by its retention or by hand."""


class LogDiverged(ContinuityError):
    """The log was cut off, and may have gone on since: it does not hold the records that were applied."""


class TopicRecreated(ContinuityError):
    """The topic was deleted and made again: its offsets mean other records."""


class ClusterReplaced(ContinuityError):
    """The topic is in another cluster than the one that the store was built from."""


class Repartitioned(ContinuityError):
    """The topic has more partitions than when the store was built, so an entity may have its records in two."""


class PublishError(LogError):
    """An event was not acknowledged by the log."""


class EventTooLarge(PublishError, ValueError):
    """The encoded event is over the size limit; nothing was sent."""


class StoreError(EverwhenError):
    """The database refused or failed."""


class StoreUnavailable(StoreError):
    """The database cannot be reached, or asks to try again; it may pass."""


class StoreConflict(StoreUnavailable):
    """The database undid a transaction that met another one (a deadlock); trying again at once is likely to help."""


class VersionConflict(StoreError):
    """An entity has had another event than its publisher knew of; read it again and decide again.

    :ivar entity_id: which one.
    :ivar expected: the version that the publisher gave.
    :ivar actual: the version that it has; ``None`` where the transaction cannot see it.
    """

    def __init__(
        self, message: str, *, entity_id: str | None = None, expected: int | None = None, actual: int | None = None
    ) -> None:
        super().__init__(message)
        self.entity_id = entity_id
        self.expected = expected
        self.actual = actual


class StoreMismatch(StoreError):
    """The store's tables are of another schema version than this package."""


class GenerationMismatch(StoreError):
    """What the store holds was built by another version, or by other code, of the projection."""


class ProjectionNotFound(StoreError):
    """The store holds nothing under this projection's name."""


class GenerationNotFound(ProjectionNotFound):
    """The store holds no generation of this number: it was never built, or it was dropped."""


class Fenced(StoreError):
    """Another worker has claimed the partition; nothing of this batch was written."""


class RegistryError(EverwhenError):
    """The schema registry refused, or failed."""


class RegistryUnavailable(RegistryError):
    """The schema registry cannot be reached, or what answers is none; it may pass."""


class RegistryRefused(RegistryError):
    """The schema registry does not take our credentials, or they may not do this; trying again does not help."""


class SchemaNotRegistered(RegistryError):
    """The registry does not have, under its subject, the schema that an event is to be written with."""


class SchemaRefused(RegistryError):
    """The registry does not take a schema, as its rule of compatibility or its parser has it."""


class RecordError(EverwhenError):
    """One record of the log cannot be applied. It is kept aside, and parks its entity."""


class MalformedRecord(RecordError):
    """The record's key, headers or bytes cannot be read."""


class PrunedEvent(RecordError):
    """The record would change what was true of its entity before an instant up to which its history was pruned."""


class UnknownSchema(RecordError):
    """The schema that the record was written with is not among the contracts. Its partition stops in front of it."""


class SchemaOutOfReach(UnknownSchema):
    """The record names a schema of a registry that cannot be reached. Its partition waits for as long as that lasts."""


class SchemaWithheld(UnknownSchema):
    """The record names a schema of a registry that refuses our credentials. Its partition stops in front of it."""


class SplitEntity(RecordError):
    """An entity has records in two partitions, whose offsets have no order between them."""


class ProcessDied(RecordError):
    """The process died, time after time, while exactly this record was applied. It is not decoded any more."""


class QuarantineLimit(RecordError):
    """So many records of a partition cannot be applied that it stopped: rather the program is wrong than they are."""


class HandlerError(RecordError):
    """A handler of the projection raised, or returned something that is not its state."""


class AnswerError(EverwhenError, LookupError):
    """An answer without a state was required to have one."""


class BeforeFirstEvent(AnswerError):
    """The instant asked for lies before the entity's first event."""


class EntityDeleted(AnswerError):
    """The entity is deleted at the instant asked for."""


class NeverExisted(AnswerError):
    """No event of this entity has been projected."""


class HistoryTruncated(AnswerError):
    """The history before this instant was pruned."""


class NotYetProjected(AnswerError, TimeoutError):
    """The projection has not yet read the log up to the point asked for."""


class EntityQuarantined(AnswerError):
    """The entity is parked in front of an event that cannot be applied."""


class NotStored(AnswerError):
    """An earlier belief that is not stored as a row; only a reader with the projection's code can fold it."""
