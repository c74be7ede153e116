"""L: the log, read from its beginning by a reader of our own."""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaError, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient

from tests.checker.anomalies import Anomaly
from tests.checker.records import Raw, Record, Schemas, Unreadable, decode

_SECONDS = 60.0


@dataclass
class Log:
    """A topic, whole."""

    topic: str
    cluster_id: str
    topic_id: str
    ends: dict[int, int]
    """Per partition the offset that comes next."""
    records: list[Record] = field(default_factory=list)
    anomalies: list[Anomaly] = field(default_factory=list)


def read(url: str, topic: str, schemas: Path) -> Log:
    """Read a topic: ``kafka://HOST:PORT`` or ``sqlite:///FILE``."""
    scheme, _, rest = url.partition("://")
    log, raws = _kafka(rest, topic) if scheme == "kafka" else _local(Path(rest[1:]), topic)
    _understand(log, raws, Schemas(schemas))
    return log


def _understand(log: Log, raws: Iterable[Raw], schemas: Schemas) -> None:
    recorded: dict[int, int] = {}
    last: dict[int, int] = {}
    for raw in sorted(raws, key=lambda raw: (raw.partition, raw.offset)):
        place = f"{log.topic}[{raw.partition}]@{raw.offset}"
        if raw.offset == last.get(raw.partition):
            log.anomalies.append(Anomaly("log.two-at-offset", place, "the log gave two records of one position"))
        last[raw.partition] = raw.offset
        recorded[raw.partition] = max(raw.timestamp, recorded.get(raw.partition, raw.timestamp))
        try:
            log.records.append(decode(raw, schemas, recorded[raw.partition]))
        except Unreadable as error:
            log.anomalies.append(Anomaly("log.unreadable", place, str(error)))


def _kafka(bootstrap: str, topic: str) -> tuple[Log, list[Raw]]:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    described = admin.describe_topics(TopicCollection([topic]))[topic].result(_SECONDS)
    cluster = admin.list_topics(topic, timeout=_SECONDS)
    settings = {
        "bootstrap.servers": bootstrap,
        "group.id": "checker",
        "enable.auto.commit": False,
        "isolation.level": "read_committed",
        "auto.offset.reset": "error",
        "enable.partition.eof": True,
    }
    with closing(Consumer(settings)) as consumer:
        consumer.assign([TopicPartition(topic, number, 0) for number in range(len(described.partitions))])
        ends: dict[int, int] = {}
        raws: list[Raw] = []
        while len(ends) < len(described.partitions):
            message: Any = consumer.poll(_SECONDS)
            if message is None:
                raise TimeoutError(f"the log is silent; ends known so far: {ends}")
            if message.error() is None:
                raws.append(_raw(message))
            elif message.error().code() == KafkaError._PARTITION_EOF:
                ends[message.partition()] = message.offset()
            elif not message.error().retriable():
                raise RuntimeError(message.error().str())
    return Log(topic, cluster.cluster_id or "", str(described.topic_id), ends), raws


def _raw(message: Any) -> Raw:
    return Raw(
        message.partition(),
        message.offset(),
        message.timestamp()[1] * 1000,
        message.key(),
        message.value(),
        message.headers() or [],
    )


def _local(path: Path, topic: str) -> tuple[Log, list[Raw]]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        (cluster_id,) = connection.execute("SELECT value FROM meta WHERE name = 'cluster_id'").fetchone()
        number, topic_id, partitions = connection.execute(
            "SELECT number, topic_id, partitions FROM topics WHERE name = ?", (topic,)
        ).fetchone()
        rows = connection.execute(
            'SELECT partition, "offset", recorded_at, key, value, headers FROM records WHERE topic = ?', (number,)
        ).fetchall()
    raws = [
        Raw(partition, offset, recorded_at, key, value, list(_headers(packed)))
        for partition, offset, recorded_at, key, value, packed in rows
    ]
    ends = dict.fromkeys(range(partitions), 0)
    for raw in raws:
        ends[raw.partition] = max(ends[raw.partition], raw.offset + 1)
    return Log(topic, cluster_id, topic_id, ends), raws


def _headers(packed: bytes) -> Iterator[tuple[str, bytes | None]]:
    """Unpack the local log's headers: size of the shape; the names, each after its length; lengths; values."""
    if not packed:
        return
    (size,) = struct.unpack_from("<I", packed)
    names, at, value_at = [], 4, 4 + size
    while (length := struct.unpack_from("<H", packed, at)[0]) != 0xFFFF:
        names.append(packed[at + 2 : at + 2 + length].decode())
        at += 2 + length
    for index, name in enumerate(names):
        (length,) = struct.unpack_from("<i", packed, at + 2 + 4 * index)
        yield name, None if length < 0 else packed[value_at : value_at + length]
        value_at += max(length, 0)
