"""L: the log, read from its beginning by a reader of our own."""

from __future__ import annotations

import sqlite3
import struct
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaError, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient

from tests.checker.anomalies import Anomaly
from tests.checker.records import Raw, Record, Schemas, Unreadable, decode

_SECONDS = 60.0
_AT_ONCE = 1_000
_GLANCE = 0.1


@dataclass
class Log:
    """A topic, whole."""

    topic: str
    cluster_id: str
    topic_id: str
    partitions: int
    ends: dict[int, int]
    """Per partition the offset that comes next."""
    lasts: dict[int, Raw] = field(default_factory=dict)
    """Per partition its last record."""
    records: list[Record] = field(default_factory=list)
    anomalies: list[Anomaly] = field(default_factory=list)


def read(url: str, topic: str, schemas: Path, partition: int | None = None) -> Log:
    """Read a topic, or one partition of it: ``kafka://HOST:PORT`` or ``sqlite:///FILE``."""
    scheme, _, rest = url.partition("://")
    log, raws = _kafka(rest, topic, partition) if scheme == "kafka" else _local(Path(rest[1:]), topic, partition)
    _understand(log, raws, Schemas(schemas))
    return log


def partitions(url: str, topic: str) -> int:
    """Return how many partitions a topic has."""
    scheme, _, rest = url.partition("://")
    if scheme == "kafka":
        admin = AdminClient({"bootstrap.servers": rest})
        return len(admin.describe_topics(TopicCollection([topic]))[topic].result(_SECONDS).partitions)
    with closing(sqlite3.connect(f"file:{rest[1:]}?mode=ro", uri=True)) as connection:
        return int(connection.execute("SELECT partitions FROM topics WHERE name = ?", (topic,)).fetchone()[0])


def _understand(log: Log, raws: Iterable[Raw], schemas: Schemas) -> None:
    recorded: dict[int, int] = {}
    last: dict[int, int] = {}
    for raw in raws:
        place = f"{log.topic}[{raw.partition}]@{raw.offset}"
        if raw.offset == last.get(raw.partition):
            log.anomalies.append(Anomaly("log.two-at-offset", place, "the log gave two records of one position"))
        elif raw.offset < last.get(raw.partition, 0):
            log.anomalies.append(Anomaly("log.unordered", place, f"it came after offset {last[raw.partition]}"))
        last[raw.partition] = raw.offset
        log.lasts[raw.partition] = raw
        recorded[raw.partition] = max(raw.timestamp, recorded.get(raw.partition, raw.timestamp))
        try:
            log.records.append(decode(raw, schemas, recorded[raw.partition]))
        except Unreadable as error:
            log.anomalies.append(Anomaly("log.unreadable", place, str(error)))


def _kafka(bootstrap: str, topic: str, partition: int | None) -> tuple[Log, Iterator[Raw]]:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    described = admin.describe_topics(TopicCollection([topic]))[topic].result(_SECONDS)
    cluster = admin.list_topics(topic, timeout=_SECONDS)
    wanted = range(len(described.partitions)) if partition is None else [partition]
    log = Log(topic, cluster.cluster_id or "", str(described.topic_id), len(described.partitions), {})
    return log, _consumed(bootstrap, log, wanted)


def _consumed(bootstrap: str, log: Log, wanted: Sequence[int]) -> Iterator[Raw]:
    """Yield the records of some partitions, and note where these end."""
    settings = {
        "bootstrap.servers": bootstrap,
        "group.id": "checker",
        "enable.auto.commit": False,
        "isolation.level": "read_committed",
        "auto.offset.reset": "error",
        "enable.partition.eof": True,
    }
    with closing(Consumer(settings)) as consumer:
        consumer.assign([TopicPartition(log.topic, number, 0) for number in wanted])
        heard_at = time.monotonic()
        while len(log.ends) < len(wanted):
            # It waits for so many, or for so long.
            messages: Any = consumer.consume(_AT_ONCE, _GLANCE)
            if messages:
                heard_at = time.monotonic()
            elif time.monotonic() > heard_at + _SECONDS:
                raise TimeoutError(f"the log is silent; ends known so far: {log.ends}")
            for message in messages:
                if message.error() is None:
                    yield _raw(message)
                elif message.error().code() == KafkaError._PARTITION_EOF:
                    log.ends[message.partition()] = message.offset()
                elif not message.error().retriable():
                    raise RuntimeError(message.error().str())


def _raw(message: Any) -> Raw:
    return Raw(
        message.partition(),
        message.offset(),
        message.timestamp()[1] * 1000,
        message.key(),
        message.value(),
        message.headers() or [],
    )


def _local(path: Path, topic: str, partition: int | None) -> tuple[Log, list[Raw]]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        (cluster_id,) = connection.execute("SELECT value FROM meta WHERE name = 'cluster_id'").fetchone()
        number, topic_id, partitions = connection.execute(
            "SELECT number, topic_id, partitions FROM topics WHERE name = ?", (topic,)
        ).fetchone()
        wanted = list(range(partitions)) if partition is None else [partition]
        rows = connection.execute(
            'SELECT partition, "offset", recorded_at, key, value, headers FROM records '
            f'WHERE topic = ? AND partition IN ({", ".join(map(str, wanted))}) ORDER BY partition, "offset"',
            (number,),
        ).fetchall()
    raws = [
        Raw(partition, offset, recorded_at, key, value, list(_headers(packed)))
        for partition, offset, recorded_at, key, value, packed in rows
    ]
    ends = dict.fromkeys(wanted, 0)
    for raw in raws:
        ends[raw.partition] = max(ends[raw.partition], raw.offset + 1)
    return Log(topic, cluster_id, topic_id, partitions, ends), raws


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
