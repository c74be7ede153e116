"""The limits do the same work: the records of a publisher, and the rows of a worker."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from benchmarks.limits import project as loop
from benchmarks.limits.publish import publish as publish_by_hand
from benchmarks.projecting import by_hand, claim
from benchmarks.workload import Told, beginning, publish
from confluent_kafka import Consumer, Message, TopicPartition
from examples.flights.model import SCHEMAS, Aircraft, Cancelled, Departed, Landed, cancelled, departed, landed
from sqlalchemy import create_engine, select

from benchmarks import limits
from everwhen import Projection, Publisher, Topic, Worker
from everwhen.connect import open_log
from everwhen.sql.tables import tables_of
from everwhen.testing.parts import KafkaAddress

EVENTS = 1_000


@pytest.fixture(scope="module")
def told() -> list[Told]:
    """The beginning of the beginning."""
    return beginning(EVENTS)


def topic_named(name: str) -> Topic:
    """The topic of the flights under another name."""
    return Topic(name, events=[Departed, Landed, Cancelled], schemas=SCHEMAS, partitions=4)


def records(bootstrap: str, topic: str, number: int) -> list[Message]:
    """Read so many records, in the order of their partitions."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "test", "auto.offset.reset": "earliest"})
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(4)])
    found: list[Message] = []
    while len(found) < number:
        found += consumer.consume(number - len(found), 10)
    consumer.close()
    return sorted(found, key=lambda each: (each.partition(), each.offset()))


def shown(message: Message) -> tuple[Any, ...]:
    """What two records must have in common; their ids are random."""
    headers: list[Any] = [header for header in message.headers() or () if header[0] != "ce_id"]
    return message.partition(), message.offset(), message.key(), message.value(), headers


def test_publishing_by_hand_sends_the_records_of_a_publisher(
    real_kafka: KafkaAddress, kafka_topic_name: str, told: list[Told]
) -> None:
    """The same keys, bytes and headers in the same partitions, in the same order."""
    topics = [topic_named(f"{kafka_topic_name}-{side}") for side in ("a", "b")]
    with closing(open_log(real_kafka.url)) as log:
        for topic in topics:
            log.create_topic(topic.name, topic.partitions)
    ours, theirs = topics
    with Publisher(ours, real_kafka.url) as publisher:
        for entity_id, event, occurred_at in told:
            publisher.publish(entity_id, event, occurred_at=occurred_at)
    publish_by_hand(real_kafka.bootstrap, theirs.name, ours.source, SCHEMAS, told)
    one, other = (list(map(shown, records(real_kafka.bootstrap, topic.name, EVENTS))) for topic in topics)
    assert one == other


@pytest.mark.parametrize("kind", ["postgresql", "sqlite", "latest"])
def test_projecting_by_hand_writes_the_rows_of_a_worker(
    kind: str,
    real_kafka: KafkaAddress,
    kafka_topic_name: str,
    told: list[Told],
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same versions and entities, over several batches; without history, the same latest states."""
    monkeypatch.setattr(loop, "BATCH", 300)
    projection = Projection("aircraft", version=1, topic=topic_named(kafka_topic_name), state=Aircraft)
    projection.on(Departed)(departed)
    projection.on(Landed)(landed)
    projection.on(Cancelled)(cancelled)
    publish(real_kafka.url, projection.topic, told)
    if kind == "sqlite":
        stores = [f"sqlite:///{tmp_path / name}.db" for name in ("worker", "limit")]
    else:
        postgres = request.getfixturevalue("postgres")
        stores = [postgres.database(), postgres.database()]
        request.addfinalizer(lambda: [postgres.drop(store) for store in stores])
    with Worker(projection, real_kafka.url, stores[0], partitions=range(4)) as worker:
        worker.run(until="end")
    claims = claim(projection, real_kafka.url, stores[1])
    by_hand(kind, kafka_topic_name, real_kafka.url, stores[1], claims, EVENTS)
    (versions, entities), (rows, heads) = map(written, stores)
    assert len(versions) == EVENTS
    assert rows == ([] if kind == "latest" else versions)
    assert heads == entities


def written(store: str) -> tuple[list[Any], list[Any]]:
    """All rows of versions and of entities, in the order of their keys."""
    engine = create_engine(store)
    tables = tables_of(engine.dialect.name, "aircraft", 1)
    with engine.connect() as connection:
        found = [
            list(connection.execute(select(table).order_by(*table.primary_key.columns)))
            for table in (tables.versions, tables.entities)
        ]
    engine.dispose()
    return found[0], found[1]


def test_a_limit_is_short() -> None:
    """Under 100 lines: it is what a careful programmer would write, and it can be read at once."""
    files = list(Path(limits.__file__).parent.glob("*.py"))
    assert len(files) > 5
    assert {file.name: lines for file in files if (lines := len(file.read_text().splitlines())) >= 100} == {}
