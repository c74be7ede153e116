"""From a record of the log to an arrival of the timeline: headers read, value decoded, instants checked."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from everwhen.errors import MalformedRecord, RecordError
from everwhen.event import Event, Retracted, event_type, headers
from everwhen.instants import Micros
from everwhen.ports.log import Record
from everwhen.positions import Position
from everwhen.projection import Projection
from everwhen.projection.rows import Version
from everwhen.worker.quarantine import entity_of

if TYPE_CHECKING:
    from everwhen.event.codec import SchemaIds
    from everwhen.worker.adoption import Adoption

_RETRACTED = event_type(Retracted)
_new = tuple.__new__  # what a NamedTuple's own __new__ calls, in half the time
_OWN = b"\xc3\x01"
"""How a value begins that is stored as it is."""
_SHORT: Final = headers.ID_LIMIT // 4
"""So many characters never have more bytes than an id may have."""

Read: TypeAlias = tuple[Version, bool, Event]
"""The fields of an :class:`~everwhen.projection.Arrival`, and its event decoded."""


class Intake:
    """Reads the records of one projection's topic, and the retractions that every topic can hold.

    :param projection: whose topic, contracts and ignored types apply.
    :param ids: a schema registry.

    Not thread-safe.
    """

    def __init__(self, projection: Projection[Any], ids: SchemaIds | None = None) -> None:
        self._declared = projection.topic
        self._ids = ids
        self._foreign = projection.topic.foreign is not None
        self._topic = projection.topic.name
        self._unfolded = projection.ignored | {_RETRACTED}
        known = self._unfolded | projection.handlers.keys()
        # An event type that was renamed bears today's name from here on; its bytes stay as they are.
        renamed = {old: event_type(event) for old, event in projection.topic.evolution.renamed.items()}
        self._names = {old: name for old, name in renamed.items() if name in known} | {name: name for name in known}
        self._decode = projection.topic.codec.decode

    def read(self, record: Record, recorded_at: Micros) -> Read:
        """Read one record.

        :param record: as the log gave it.
        :param recorded_at: its time, made monotonic per partition.
        :return: the version that it begins, whether it is folded, and its event decoded.
        :raises RecordError: naming position, entity, event type and reason.
        """
        try:
            is_ours = not self._foreign and (record.value or b"")[:2] == _OWN
            if not is_ours:
                record = self._adoption.adopt(record, recorded_at)
            partition, offset, _, key, value, given, _ = record
            meta = headers.parse(given, key)
            event_id, kind, entity_id, occurred_at, correlation_id, causation_id, withdraws = meta
            is_alone = correlation_id is causation_id is withdraws is None
            if not is_alone or len(entity_id) + len(event_id) > _SHORT or "\0" in entity_id + event_id:
                _check_ids(meta)
            name = self._names.get(kind)
            if name is None:
                raise MalformedRecord(
                    f"event type {kind[: headers.ID_LIMIT]} is not one of topic {self._topic}; a publisher is "
                    "ahead of this program, or writes to the wrong topic"
                )
            if name == _RETRACTED and withdraws is None:
                raise MalformedRecord(
                    "a retraction has no header ce_withdraws, the id of the event that it withdraws; "
                    "publish it with Publisher.retract()"
                )
            if not is_ours or value is None:
                value = self._adoption.stored(record)
            event = self._decode(value)
            if type(event).__event_type__ != name:
                raise MalformedRecord(f"header ce_type says {name}, the value is a {event_type(type(event))}")
        except RecordError as error:
            raise type(error)(f"{self.where(record)}: {error}") from error
        # fmt: off
        row = _new(Version, (
            entity_id, occurred_at, offset, partition, recorded_at, None, None,
            event_id, name, correlation_id, causation_id, withdraws, value, None,
        ))
        # fmt: on
        return row, name not in self._unfolded, event

    def entity_of(self, record: Record, recorded_at: Micros) -> str | None:
        """Return the entity that a record belongs to which cannot be read; ``None`` if nothing in it can say."""
        return entity_of(self._adoption.entity_of(record, recorded_at) if self._foreign else record.key)

    @cached_property
    def _adoption(self) -> Adoption:
        from everwhen.worker.adoption import Adoption  # not at the top: it loads fastavro, as Topic says

        return Adoption(self._declared, self._ids)

    def entities_of(self, records: Iterable[Record]) -> set[str]:
        """Return the entities that records belong to, as far as that is known before they are read."""
        if self._foreign:
            keys = {self._adoption.entity_of(record, record.timestamp) for record in records}
        else:
            keys = {record.key for record in records}
        return {entity_id for entity_id in map(entity_of, keys) if entity_id is not None}

    def where(self, record: Record) -> str:
        """Say where a record stands and which entity it is about."""
        position = Position(self._topic, record.partition, record.offset)
        return f"{position}, entity {(record.key or b'')[: headers.ID_LIMIT].decode(errors='replace')!r}"


def _check_ids(meta: headers.Meta) -> None:
    if any("\0" in (each or "") for each in (meta.id, meta.entity_id, *meta[4:])):
        raise MalformedRecord("an id holds a NUL character, which no database text can hold")
    indexed = ("the key", meta.entity_id), ("the header ce_id", meta.id), ("the header ce_withdraws", meta.withdraws)
    for name, value in indexed:
        if value is not None and len(value.encode()) > headers.ID_LIMIT:
            raise MalformedRecord(f"{name} is longer than {headers.ID_LIMIT} bytes")
