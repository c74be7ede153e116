"""L2, the loop: consume, fold, one transaction a batch."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from confluent_kafka import Consumer, TopicPartition

from benchmarks.limits.fold import Batch, Fold

BATCH: Final = 10_000
"""Records of a transaction; a worker's default as well."""


class Claim(NamedTuple):
    """What a checkpoint is guarded by."""

    owner: str
    epoch: int
    next_offset: int


class Sink(Protocol):
    """A database that rows are written to."""

    def load(self, entity_ids: Sequence[str]) -> Iterable[tuple[str, str]]:
        """Return the stored states, as JSON."""
        ...

    def commit(self, batch: Batch, expected: Mapping[int, int]) -> None:
        """Move the checkpoints from where they are expected, then write the rows; one transaction."""
        ...


def project(bootstrap: str, topic: str, sink: Sink, fold: Fold, claims: Mapping[int, Claim], total: int) -> float:
    """Project so many records; return the seconds from the start of fetching to the last commit."""
    settings: dict[str, Any] = {
        "bootstrap.servers": bootstrap,
        "group.id": "limit",
        "enable.auto.commit": False,
        "isolation.level": "read_committed",
        "auto.offset.reset": "error",
    }
    consumer = Consumer(settings)
    expected = {partition: claim.next_offset for partition, claim in claims.items()}
    left = total
    began = time.perf_counter()
    consumer.assign([TopicPartition(topic, partition, offset) for partition, offset in expected.items()])
    while left:
        messages = consumer.consume(min(left, BATCH), 1.0)
        if failed := next((each.error() for each in messages if each.error()), None):
            raise RuntimeError(str(failed))
        batch = fold.batch(messages)
        sink.commit(batch, expected)
        expected |= {partition: reached for partition, (reached, _) in batch.reached.items()}
        left -= len(messages)
    seconds = time.perf_counter() - began
    consumer.close()
    return seconds
