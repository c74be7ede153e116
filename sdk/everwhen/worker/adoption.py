"""Records that no publisher of ours wrote, in the form that ours write: what the worker reads, folds and stores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from everwhen.errors import ArgumentError, ContractError, MalformedRecord, UnknownSchema
from everwhen.event import cloudevents, foreign, headers
from everwhen.event.codec import is_own, referred
from everwhen.event.contracts import Version
from everwhen.event.datum import reader
from everwhen.event.foreign import Foreign, Raw, needed
from everwhen.event.model import event_shape
from everwhen.event.plain import event_of, plain, read_json, with_members
from everwhen.event.primitives import Deviation
from everwhen.event.stored import StoredValues
from everwhen.instants import Micros
from everwhen.ports.log import Record

if TYPE_CHECKING:
    from collections.abc import Callable

    from everwhen.event import Topic
    from everwhen.event.codec import SchemaIds, SchemaRef


class Adoption:
    """Gives a record the headers and the value that a publisher of ours would have given it.

    :param topic: whose contracts and rule for foreign records apply.
    :param ids: a schema registry.

    Used by one thread. What it gives depends on the record, its recorded time and the topic alone.
    """

    def __init__(self, topic: Topic, ids: SchemaIds | None = None) -> None:
        self._topic = topic
        self._rule = topic.foreign
        self._ids = ids
        self._values = StoredValues(topic, ids)
        self._foreign_avro: dict[SchemaRef, Callable[[bytes, int], Any]] = {}

    def adopt(self, record: Record, recorded_at: Micros) -> Record:
        """Return the record with our headers; one that has them as it is, unless its value is JSON.

        :raises MalformedRecord: if it cannot be read.
        :raises UnknownSchema: if the schema that it was written with is not known.
        """
        value, named = record.value, record.headers or ()
        if value is None:
            return record
        is_ours = any(name == "ce_specversion" for name, _ in named)
        media_type = "" if is_own(value) else cloudevents.content_type(named)
        if media_type == cloudevents.STRUCTURED:
            return self._loose(record, cloudevents.structured(value, record.key))
        if is_ours and cloudevents.is_json(media_type):
            return self._loose(record, cloudevents.binary(value, named, record.key))
        if not is_ours and self._rule is not None:
            return self._by_rule(self._rule, record, recorded_at)
        return record

    def stored(self, record: Record) -> bytes:
        """Return the value of a record with our headers as it is stored.

        :raises MalformedRecord: if it is in no frame.
        :raises UnknownSchema: if the schema that it was written with is not known.
        """
        if record.value is None:
            raise MalformedRecord("the value is null (a tombstone); an event has a value")
        return self._values.of(record.value, record.headers)

    def entity_of(self, record: Record, recorded_at: Micros) -> bytes | None:
        """Return the key of the entity that a record is of, which cannot be adopted; ``None`` if nothing can say."""
        if self._rule is None or isinstance(self._rule.entity_id, foreign.Key):
            return record.key
        if any(name == "ce_specversion" for name, _ in record.headers or ()):
            return record.key
        try:
            return needed(self._rule.entity_id, self._raw(self._rule, record, recorded_at), "the entity's id").encode()
        except (MalformedRecord, UnknownSchema):
            return None

    # -- CloudEvents of other clients ------------------------------------------------------------------------------

    def _loose(self, record: Record, event: cloudevents.Loose) -> Record:
        value = self._written(event.type, event.data) if event.is_json else event.data
        return record._replace(key=event.key, value=value, headers=event.headers)

    def _written(self, name: str, data: Any) -> bytes:
        cls = self._topic.event_class(name)
        if cls is None:
            raise MalformedRecord(f"event type {name[: headers.ID_LIMIT]} is not one of topic {self._topic.name}")
        return self._values.written(event_of(cls, data))

    # -- by the topic's rule -----------------------------------------------------------------------------------------

    def _by_rule(self, rule: Foreign, record: Record, recorded_at: Micros) -> Record:
        raw = self._raw(rule, record, recorded_at)
        name = needed(rule.type, raw, "the event's type")
        entity_id = needed(rule.entity_id, raw, "the entity's id")
        try:
            built = headers.build(
                id=needed(rule.id, raw, "the event's id"),
                source=self._topic.source,
                type=name,
                entity_id=entity_id,
                occurred_at=rule.occurred_at.instant(raw),
                correlation_id=rule.correlation_id.text(raw) or None if rule.correlation_id else None,
                causation_id=rule.causation_id.text(raw) or None if rule.causation_id else None,
            )
            key = entity_id.encode()
        except (ArgumentError, UnicodeEncodeError):
            raise MalformedRecord("an id that the topic's rule takes is no text that has UTF-8") from None
        data = raw.document if rule.data is None else rule.data.value(raw)
        cls = self._topic.event_class(name)
        if cls is not None and rule.value == "avro":
            data = with_members(event_shape(cls), data)
        return record._replace(key=key, value=self._written(name, data), headers=built)

    def _raw(self, rule: Foreign, record: Record, recorded_at: Micros) -> Raw:
        named, value = record.headers or (), record.value or b""
        document = self._json(value) if rule.value == "json" else self._avro(value, named)
        position = f"{self._topic.name}/{record.partition}/{record.offset}"
        return foreign.raw_of(record.key, named, document, recorded_at, position)

    def _json(self, value: bytes) -> Any:
        document = read_json(value, "the value")
        # Kafka Connect's JSON converter writes a column of JSON as a text that holds it.
        return read_json(document.encode("utf-8", "replace"), "the value") if isinstance(document, str) else document

    def _avro(self, value: bytes, named: headers.Headers) -> Any:
        reference = referred(value, named)
        if reference is None:
            raise MalformedRecord("the value has no schema id, neither in front of it nor in __value_schema_id")
        ref, start = reference
        if ref not in self._foreign_avro:
            self._foreign_avro[ref] = self._reader(ref)
        return self._foreign_avro[ref](value, start)

    def _reader(self, ref: SchemaRef) -> Callable[[bytes, int], Any]:
        if self._ids is None:
            raise UnknownSchema(f"the value refers to the schema {ref} of a registry, and no registry is configured")
        schema = self._ids.schema_for(ref)
        if schema is None:
            raise UnknownSchema(f"the registry does not know the schema {ref}")
        try:
            node = Version.of(0, schema).node
        except ContractError as error:
            raise UnknownSchema(f"the registry's schema {ref} cannot be used: {error}") from error
        read, convert = reader(node), plain(node)

        def whole(value: bytes, start: int) -> Any:
            try:
                return convert(read(value, start))
            except Deviation as error:
                raise MalformedRecord(f"the value {error} (schema {ref})") from None
            except (ValueError, ArithmeticError):
                raise MalformedRecord(f"the value does not follow a logical type of its schema {ref}") from None

        return whole
