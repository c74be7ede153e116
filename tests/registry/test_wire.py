"""Bytes that Confluent's own serializers read and write, with the ids of a real registry."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.schema_registry import (
    Schema,
    SchemaReference,
    SchemaRegistryClient,
    dual_schema_id_deserializer,
    prefix_schema_id_serializer,
)
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from sqlalchemy import create_engine

from everwhen import Outbox, Publisher, Reader, Topic, Worker, WorkerSettings
from everwhen.connect import Relay, open_log
from everwhen.errors import SchemaNotRegistered, SchemaOutOfReach, SettingsError, UnknownSchema
from everwhen.event import event_type, headers
from everwhen.event.contracts import Version
from everwhen.event.foreign import Always, Field, Foreign
from everwhen.event.model import event_schema
from everwhen.ports.log import Record
from everwhen.registry import Registry
from everwhen.registry.deploy import register
from everwhen.testing.parts import RegistryAddress
from tests.registry import bank
from tests.registry.bank import FULL, T0, Opened
from tests.worker.disturbed import until

PLAIN = FULL.model_dump() | {"tags": ["a", "b"], "kind": "BUSINESS"}
"""The event as Confluent's classes have it."""


@pytest.fixture
def topic(tmp_path: Path) -> Topic:
    """A topic of its own."""
    return bank.topic(tmp_path / "schemas")


@pytest.fixture
def log(tmp_path: Path) -> str:
    """A log of its own."""
    return f"sqlite:///{tmp_path}/log.db"


def registry_of(address: RegistryAddress, tmp_path: Path, **more: Any) -> Registry:
    """The registry, with a cache of its own."""
    return Registry(address.url, cache=tmp_path / "cache", **more)


def records(topic: Topic, log: str) -> list[Record]:
    """What stands in the log."""
    opened = open_log(log)

    class All:
        def assigned(self, partitions: Any) -> dict[int, int]:
            return dict.fromkeys(partitions, 0)

        def revoked(self, partitions: Any, *, lost: bool) -> None:
            pass

    partitions = range(topic.partitions)
    consumer = opened.consumer(topic.name, All(), group="check", partitions=partitions)
    ends = consumer.ends(partitions)
    found: list[Record] = []
    while sum(ends.values()) > len(found):
        found += consumer.poll(1000, 1.0).records
    consumer.close()
    opened.close()
    return sorted(found)


def context(topic: Topic, named: Any = None) -> SerializationContext:
    """What Confluent's classes want to know."""
    return SerializationContext(topic.name, MessageField.VALUE, named)


@pytest.mark.parametrize("frame", ["prefix", "header"])
def test_what_is_published_is_read_by_confluents_deserializer(
    registry: RegistryAddress, topic: Topic, log: str, tmp_path: Path, frame: Any
) -> None:
    """With the id in front of the value, and with the id in the header."""
    with Publisher(topic, log, registry=registry_of(registry, tmp_path, register=True, frame=frame)) as publisher:
        publisher.publish("a", FULL, occurred_at=T0)
    theirs = AvroDeserializer(
        SchemaRegistryClient({"url": registry.url}),
        conf={"schema.id.deserializer": dual_schema_id_deserializer},
    )
    (record,) = records(topic, log)
    assert theirs(record.value, context(topic, [*record.headers])) == FULL.model_dump() | {
        "tags": ["a", "b"],
        "kind": "BUSINESS",
    }


def test_what_confluents_serializer_writes_is_the_same_bytes(
    registry: RegistryAddress, topic: Topic, log: str, tmp_path: Path
) -> None:
    """Whoever compares payloads, or compresses them away, sees no difference."""
    with Publisher(topic, log, registry=registry_of(registry, tmp_path, register=True)) as publisher:
        publisher.publish("a", FULL, occurred_at=T0)
    (record,) = records(topic, log)
    client = SchemaRegistryClient({"url": registry.url})
    theirs = AvroSerializer(
        client,
        json.dumps(event_schema(Opened)),
        conf={
            "auto.register.schemas": False,
            "subject.name.strategy": lambda _context, name: f"{topic.name}-{name}",
            "schema.id.serializer": prefix_schema_id_serializer,
        },
    )
    assert theirs(PLAIN, context(topic)) == record.value


def test_an_outbox_keeps_the_bytes_that_a_publisher_sends(
    registry: RegistryAddress, topic: Topic, log: str, tmp_path: Path
) -> None:
    """With the registry's id in front; an id in a header has no place there, and is refused."""
    named, engine = registry_of(registry, tmp_path, register=True), create_engine(f"sqlite:///{tmp_path}/service.db")
    with Publisher(topic, log, registry=named) as publisher:
        publisher.publish("e", FULL, occurred_at=T0)
    outbox = Outbox(topic, engine, registry=named)
    outbox.create_tables()
    with engine.begin() as connection:
        outbox.publish(connection, "e", FULL, occurred_at=T0)
    with Relay(topic, engine, log) as relay:
        relay.run(until="end")
    published, relayed = records(topic, log)
    assert published.value is not None
    assert published.value[:1] == b"\0"
    assert published.value == relayed.value
    with pytest.raises(SettingsError, match="frame='prefix'"):
        Outbox(topic, engine, registry=registry_of(registry, tmp_path, frame="header"))
    engine.dispose()


def test_a_worker_reads_both_forms_of_the_id_and_stores_neither(
    registry: RegistryAddress, topic: Topic, log: str, tmp_path: Path
) -> None:
    """Stored bytes are in our own frame, so that a late event folds, and a rebuild gives the same rows."""
    for frame, entity in (("prefix", "a"), ("header", "b")):
        with Publisher(topic, log, registry=registry_of(registry, tmp_path, register=True, frame=frame)) as publisher:
            publisher.publish(entity, FULL, occurred_at=T0)
    with Publisher(topic, log) as publisher:
        publisher.publish("c", FULL, occurred_at=T0)
    projection = bank.projection(topic)
    stored = []
    for name in ("one", "two"):
        store = f"sqlite:///{tmp_path}/{name}.db"
        with Worker(projection, log, store, registry=registry_of(registry, tmp_path)) as worker:
            worker.run(until="end")
        stored.append(rows(tmp_path / f"{name}.db"))
    assert stored[0] == stored[1]
    assert {value for _, value in stored[0]} == {topic.codec.encode(FULL)}
    with Reader(projection, store) as reader:
        assert {reader.get(entity).require().limit for entity in "abc"} == {FULL.limit}


def test_a_schema_that_no_contract_file_has_is_written_anew(
    registry: RegistryAddress, topic: Topic, log: str, tmp_path: Path
) -> None:
    """A newer writer's event is stored as it was read, so that the store can be read without the registry."""
    schema = event_schema(Opened)
    newer = schema | {"fields": [*schema["fields"], {"name": "branch", "type": "string", "default": ""}]}
    client = SchemaRegistryClient({"url": registry.url})
    subject = f"{topic.name}-newer"
    client.register_schema(subject, Schema(json.dumps(newer), "AVRO"))
    theirs = AvroSerializer(
        client,
        json.dumps(newer),
        conf={"auto.register.schemas": False, "subject.name.strategy": lambda _context, _name: subject},
    )
    value = theirs(PLAIN | {"branch": "x"}, context(topic))
    put(topic, log, "a", value)
    with Worker(bank.projection(topic), log, f"sqlite:///{tmp_path}/s.db", registry=registry.url) as worker:
        worker.run(until="end")
    assert [event for _, event in rows(tmp_path / "s.db")] == [topic.codec.encode(FULL)]


def test_a_schema_with_references_is_read(registry: RegistryAddress, topic: Topic, log: str, tmp_path: Path) -> None:
    """Each name stands for what its subject holds, also in front of the type that needs it."""
    client = SchemaRegistryClient({"url": registry.url})
    fields = event_schema(Opened)["fields"]
    kind = next(field["type"] for field in fields if field["name"] == "kind")
    name = f"{kind['namespace']}.{kind['name']}"
    part = f"{topic.name}-part"
    client.register_schema(part, Schema(json.dumps(kind), "AVRO"))
    whole = event_schema(Opened) | {
        "fields": [field | {"type": name} if field["name"] == "kind" else field for field in fields]
    }
    reference = SchemaReference(name, part, 1)
    number = client.register_schema(f"{topic.name}-whole", Schema(json.dumps(whole), "AVRO", [reference]))
    with closing(registry_of(registry, tmp_path).ids(topic.name)) as ids:

        def is_answered() -> bool:
            with suppress(SchemaOutOfReach):  # it is slow, and asked again
                return ids.schema_for(number) is not None
            return False

        until(is_answered)
        found = ids.schema_for(number)
    assert found is not None
    assert Version.of(0, found).fingerprint == Version.of(0, event_schema(Opened)).fingerprint


def test_a_publisher_does_not_open_before_its_schemas_are_registered(
    registry: RegistryAddress, topic: Topic, log: str, tmp_path: Path
) -> None:
    """No registration at run time unless it is asked for; the pipeline's command does it."""
    named = registry_of(registry, tmp_path)
    with pytest.raises(SchemaNotRegistered, match=r"bank\.account\.opened; run `everwhen schema register"):
        Publisher(topic, log, registry=named)
    done = register(named, topic)
    assert [(each.subject, each.version) for each in done] == [
        (f"{topic.name}-bank.account.opened", 1),
        (f"{topic.name}-bank.account.closed", 1),
        (f"{topic.name}-everwhen.retracted", 1),
    ]
    assert [each.id for each in register(named, topic)] == [each.id for each in done]
    with Publisher(topic, log, registry=named) as publisher:
        publisher.publish("a", FULL)
        publisher.retract("x", entity_id="a")
    assert {record.value[:1] for record in records(topic, log) if record.value} == {b"\0"}


def test_without_a_registry_a_worker_stops_in_front_of_an_id(
    registry: RegistryAddress, topic: Topic, log: str, tmp_path: Path
) -> None:
    """Never a skip: nothing behind it is applied either."""
    with Publisher(topic, log, registry=registry_of(registry, tmp_path, register=True)) as publisher:
        publisher.publish("a", FULL)
    settings = WorkerSettings(schema_patience_seconds=0)
    with (
        Worker(bank.projection(topic), log, f"sqlite:///{tmp_path}/s.db", settings=settings) as worker,
        pytest.raises(UnknownSchema, match="no registry is configured"),
    ):
        worker.run(until="end")


def put(topic: Topic, log: str, entity: str, value: bytes | None, named: Any = None) -> None:
    """Write a record with somebody else's value, and with our headers unless others are given."""
    if named is None:
        named = headers.build(id="1", source="/x", type=event_type(Opened), entity_id=entity, occurred_at=0)
    opened = open_log(log)
    opened.create_topic(topic.name, topic.partitions)
    writer = opened.writer(topic.name)
    assert value is not None
    writer.send(entity.encode(), value, named, lambda position, error: None)
    writer.flush()
    writer.close()
    opened.close()


def rows(path: Path) -> list[tuple[str, bytes]]:
    """Entity and event of each version, in order."""
    with closing(sqlite3.connect(path)) as connection:
        (table,) = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE '%\\_versions' ESCAPE '\\'"
        ).fetchone()
        return connection.execute(f'SELECT entity_id, event FROM "{table}" ORDER BY entity_id').fetchall()


def test_avro_of_a_foreign_schema_becomes_an_event_by_the_topics_rule(
    registry: RegistryAddress, log: str, tmp_path: Path
) -> None:
    """Instants, dates and decimals by their logical types, whatever the record's schema is called."""
    rule = Foreign(
        type=Always("bank.account.opened"),
        entity_id=Field("number"),
        occurred_at=Field("opened_at"),
        data=Field("account"),
        value="avro",
    )
    topic = bank.topic(tmp_path / "schemas", foreign=rule)
    opened = event_schema(Opened)
    whole = {
        "type": "record",
        "name": "com.acme.AccountOpened",
        "fields": [
            {"name": "number", "type": "long"},
            {"name": "opened_at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
            {"name": "account", "type": opened | {"name": "com.acme.Account"}},
        ],
    }
    client = SchemaRegistryClient({"url": registry.url})
    theirs = AvroSerializer(client, json.dumps(whole))
    account = PLAIN | {"kind": "PRIVATE"}  # an enum's symbol: the name of its member, whose value is another text
    value = theirs({"number": 17, "opened_at": T0, "account": account}, context(topic))
    put(topic, log, "elsewhere", value, [])
    with Worker(bank.projection(topic), log, f"sqlite:///{tmp_path}/s.db", registry=registry.url) as worker:
        worker.run(until="end")
    assert [entity for entity, _ in rows(tmp_path / "s.db")] == ["17"]
    with Reader("account", f"sqlite:///{tmp_path}/s.db") as reader:
        version = reader.get("17", valid_at=T0)
        assert (version.state["limit"], version.valid_from) == (str(FULL.limit), T0)  # type: ignore[index]
