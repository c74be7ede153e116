"""A worker that keeps the latest state of each entity and nothing else: what most people would write first.

It reads, folds and commits as the limit on PostgreSQL does, and writes no history: the state becomes JSON once a batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

from confluent_kafka import Message
from examples.flights.model import Aircraft
from fastavro import schemaless_reader

from benchmarks.limits.fold import Batch, Fold, instant
from benchmarks.limits.postgres import PostgresSink


class LatestFold(Fold):
    """Folds records to the latest state of each entity."""

    def batch(self, messages: Sequence[Message]) -> Batch:
        """Turn records into entities; there are no rows."""
        batch, states, recorded = Batch(), self._states, self._recorded
        self._see({key.decode() for message in messages if (key := message.key())})
        heads, to_json = batch.heads, Aircraft.__pydantic_serializer__.to_json
        for message in messages:
            value: Any = message.value()
            found: Any = dict(message.headers() or ())
            schema, validate, handle = self._readers[value[:10]]
            entity_id = found["ce_subject"].decode()
            event = validate(schemaless_reader(BytesIO(value[10:]), schema, None))
            states[entity_id] = handle(states[entity_id], event)
            at = instant(found["ce_time"])
            partition, offset = self.place(message)
            now = recorded[partition] = max(recorded.get(partition, 0), message.timestamp()[1] * 1000)
            if (head := heads.get(entity_id)) is None:
                heads[entity_id] = [entity_id, partition, None, at, at, offset, 1, 0]
            else:
                head[4:7] = at, offset, head[6] + 1
            batch.reached[partition] = offset + 1, now
        for entity_id, head in heads.items():
            head[2] = to_json(states[entity_id]).decode()
        return batch


class LatestSink(PostgresSink):
    """Writes entities and checkpoints, and no history."""

    def commit(self, batch: Batch, expected: Mapping[int, int]) -> None:
        """Move the checkpoints, then write the entities."""
        self._write(batch, expected, rows=False)
