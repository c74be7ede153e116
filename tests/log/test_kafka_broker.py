"""What only a real broker can show: transactions, settings of topics, other group protocols, deleted records."""

from __future__ import annotations

import logging
import re
import time
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined] # documented, not marked as exported

from everwhen.errors import ArgumentError, LogUnavailable, OffsetOutOfRange, TopicNotFound
from everwhen.kafka import KafkaLog, admin
from everwhen.testing.log_conformance import (
    PARTITIONS,
    PATIENCE,
    Follower,
    LogConformance,
    poll_until,
    publish,
    read_all,
)
from tests.log.test_kafka_log import QUICK, KafkaKit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from everwhen.ports.log import Chunk, Record
    from everwhen.testing.parts import KafkaAddress


@pytest.fixture
def kit(real_kafka: KafkaAddress) -> KafkaKit:
    """Topics of the run's broker, which is a real one."""
    return KafkaKit(real_kafka)


@pytest.fixture
def log(kit: KafkaKit) -> Iterator[KafkaLog]:
    """The log."""
    log = KafkaLog(kit.settings(**QUICK))
    yield log
    log.close()


@pytest.fixture
def client(kit: KafkaKit) -> AdminClient:
    """Kafka's own administration."""
    return AdminClient(dict(kit.settings()))


@pytest.fixture
def make_topic(kit: KafkaKit, client: AdminClient, kafka_topic_name: str) -> Callable[[Mapping[str, str]], str]:
    """Make a topic as somebody else would."""

    def make(config: Mapping[str, str]) -> str:
        topic: Any = NewTopic(kafka_topic_name, PARTITIONS, 1, config=dict(config))
        client.create_topics([topic])[kafka_topic_name].result()
        deadline = time.monotonic() + PATIENCE
        while kafka_topic_name not in client.list_topics(timeout=PATIENCE).topics:
            assert time.monotonic() < deadline
        return kafka_topic_name

    return make


@pytest.mark.parametrize(
    "settings",
    [{"group.protocol": "consumer", "fetch.wait.max.ms": "50"}, {**QUICK, "partition.assignment.strategy": "range"}],
    ids=["KIP-848", "eager"],
)
def test_other_group_protocols(kit: KafkaKit, settings: dict[str, str]) -> None:
    """The suite's hardest test of groups holds for the broker's own assignor, and where all partitions move at once."""
    log = KafkaLog(kit.settings(**settings))
    LogConformance().test_group_applies_each_record_once(log, kit.topic())
    log.close()


def test_transactions(kit: KafkaKit, log: KafkaLog) -> None:
    """Aborted records are never seen and leave holes; an open transaction is the end for now, and pending."""
    topic = kit.topic()
    producer = Producer(kit.settings(**{"transactional.id": topic}))
    producer.init_transactions(PATIENCE)

    def send(value: bytes) -> None:
        producer.begin_transaction()
        for _ in range(3):
            producer.produce(topic, value, partition=0)
        producer.flush()

    send(b"aborted")
    producer.abort_transaction(PATIENCE)
    send(b"committed")
    producer.commit_transaction(PATIENCE)
    send(b"open")

    consumer = log.consumer(topic, Follower(), group="g", partitions=[0])
    seen: list[Record] = []
    ends: dict[int, int] = {}

    def take(chunk: Chunk) -> None:
        seen.extend(chunk.records)
        ends.update(chunk.ends)

    # Three records and a marker, twice: the open transaction begins at 8.
    poll_until([consumer], lambda: ends == {0: 8}, take)
    assert [(record.offset, record.value) for record in seen] == [
        (4, b"committed"),
        (5, b"committed"),
        (6, b"committed"),
    ]
    assert consumer.ends([0]) == {0: 8}
    assert consumer.ends([0], pending=True) == {0: 11}
    producer.commit_transaction(PATIENCE)
    poll_until([consumer], lambda: ends == {0: 12} == consumer.ends([0]) == consumer.ends([0], pending=True), take)
    assert [record.offset for record in seen] == [4, 5, 6, 8, 9, 10]
    consumer.close()


def test_records_deleted_in_front_of_us(kit: KafkaKit, log: KafkaLog, client: AdminClient) -> None:
    """The partition stops and says which offsets are gone; another one goes on."""
    topic = kit.topic()
    positions = publish(log, topic, ((b"k%d" % n, b"", []) for n in range(100)))
    counts = [sum(place.partition == partition for place in positions) for partition in range(PARTITIONS)]
    gone = TopicPartition(topic, 0, 5)
    client.delete_records([gone])[gone].result()
    consumer = log.consumer(topic, Follower({0: 3}), group="g", partitions=[0, 1])
    seen: list[Record] = []
    with pytest.raises(OffsetOutOfRange, match=rf"partition 0 .*: offset 3 is gone, it holds 5 to {counts[0]}"):
        poll_until([consumer], lambda: False, lambda chunk: seen.extend(chunk.records))
    poll_until([consumer], lambda: len(seen) == counts[1], lambda chunk: seen.extend(chunk.records))
    assert {record.partition for record in seen} == {1}
    consumer.close()
    assert len(read_all(log, topic, {0: 5})) == 95


def test_topic_made_anew_while_it_is_read(kit: KafkaKit, log: KafkaLog) -> None:
    """librdkafka goes on at the old offset; not one record of the new topic may come out."""
    topic = kit.topic()
    place = publish(log, topic, [(b"k", b"old", [])])[0]
    seen: list[Record] = []
    consumer = log.consumer(topic, Follower(), group="g", partitions=[place.partition])
    poll_until([consumer], lambda: len(seen) == 1, lambda chunk: seen.extend(chunk.records))
    kit.drop(topic)
    log.create_topic(topic, PARTITIONS)
    publish(log, topic, ((b"k", b"new", []) for _ in range(10)))
    with pytest.raises(TopicNotFound, match="deleted and made anew"):
        poll_until([consumer], lambda: False, lambda chunk: seen.extend(chunk.records))
    with pytest.raises(TopicNotFound, match="deleted and made anew"):
        consumer.poll(1, 0)
    consumer.close()
    assert [record.value for record in seen] == [b"old"]


@pytest.mark.parametrize("partitions", [None, [1]], ids=["group", "explicit"])
def test_hint_is_a_commit(kit: KafkaKit, log: KafkaLog, partitions: list[int] | None) -> None:
    """Lag dashboards see it, from a group and from explicit partitions."""
    topic = kit.topic()
    follower = Follower()
    consumer = log.consumer(topic, follower, group=topic, partitions=partitions)
    poll_until([consumer], lambda: bool(follower.held), lambda _: None)
    consumer.hint({1: 7})
    dashboard = Consumer({**kit.settings(), "group.id": topic})
    place = TopicPartition(topic, 1)
    poll_until([consumer], lambda: dashboard.committed([place], timeout=PATIENCE)[0].offset == 7, lambda _: None)
    dashboard.close()
    consumer.close()


def test_a_record_carries_the_term_of_its_leader(kit: KafkaKit, log: KafkaLog) -> None:
    """Without it nothing would tell a log that was cut off and filled again by another leader."""
    topic = kit.topic()
    publish(log, topic, [(b"k", b"v", []) for _ in range(3)])
    terms = {record.leader_epoch for record in read_all(log, topic)}
    assert terms == {0}  # of a broker that has led the partition since it was made


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"cleanup.policy": "compact"}, r"cleanup.policy=compact .* set cleanup.policy=delete"),
        ({"cleanup.policy": "compact,delete", "retention.ms": "-1"}, "cleanup.policy=compact,delete"),
        ({}, r"retention.ms=604800000 .* set retention.ms=-1"),
        ({"retention.ms": "-1", "retention.bytes": "1000000"}, "retention.bytes=1000000"),
        ({"message.timestamp.type": "CreateTime"}, "message.timestamp.type=CreateTime"),
        ({"max.message.bytes": "1000"}, r"max.message.bytes=1000 .*1000000"),
        (
            {"unclean.leader.election.enable": "true"},
            r"election.enable=true .* set unclean\S+=false",
        ),
        ({"min.insync.replicas": "2"}, r"min.insync.replicas=2 is more than the 1 .* set min.insync.replicas=1"),
    ],
)
def test_topic_problems(
    log: KafkaLog, make_topic: Callable[[Mapping[str, str]], str], config: dict[str, str], says: str
) -> None:
    """Each is named with its remedy."""
    topic = make_topic(config)
    assert any(re.search(says, str(problem)) for problem in log.topic_problems(topic))


def test_created_topic(kit: KafkaKit, log: KafkaLog, caplog: pytest.LogCaptureFixture) -> None:
    """It is kept for ever, in the log's time; one replica on one broker is nothing to warn of."""
    topic = kit.topic()
    with caplog.at_level(logging.WARNING, logger="everwhen.kafka"):
        assert log.topic_problems(topic) == []
    assert not [record for record in caplog.records if "replica" in record.message]


def test_a_topic_is_created_when_its_leaders_know_it(
    log: KafkaLog, kafka_topic_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks a leader that has not heard of it yet would be told that there is no such topic."""
    offsets, ignorant = admin._offsets, [2]

    def question(*arguments: Any, **options: Any) -> Callable[[AdminClient], dict[int, int]]:
        if ignorant[0]:
            ignorant[0] -= 1
            return unknown
        return offsets(*arguments, **options)

    def unknown(_: AdminClient) -> dict[int, int]:
        raise KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART))  # as such a leader answers

    monkeypatch.setattr(admin, "_offsets", question)
    assert log.create_topic(kafka_topic_name, PARTITIONS)
    assert ignorant == [0]


@pytest.mark.parametrize("arguments", [{"partitions": 0}, {"partitions": 1, "replication": 9}], ids=str)
def test_topic_that_cannot_be(log: KafkaLog, kafka_topic_name: str, arguments: dict[str, int]) -> None:
    """Wrong numbers are an argument error with the broker's reason."""
    with pytest.raises(ArgumentError, match="cannot be created"):
        log.create_topic(kafka_topic_name, **arguments)
    with pytest.raises(ArgumentError, match="cannot be created"):
        log.create_topic("no spaces", 1)


def test_nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that cannot be reached is named, after a bounded time."""
    monkeypatch.setattr(admin, "ANSWER_SECONDS", 1.0)
    log = KafkaLog("kafka://127.0.0.1:1")
    before = time.monotonic()
    for use in (lambda: log.describe("t"), lambda: log.writer("t"), lambda: log.topic_problems("t")):
        with pytest.raises(LogUnavailable, match=r"kafka://127.0.0.1:1.*refused"):
            use()
    assert time.monotonic() - before < PATIENCE
    log.close()
