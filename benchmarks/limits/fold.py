"""L2, the part that knows no database: records to rows, as a careful programmer would write it for these events alone.

Headers, fastavro, pydantic, the projection's own handlers, JSON. What a worker does and this does not: find duplicates,
late events and corrections, keep aside what cannot be read, survive a lost partition, and tell how far it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any, Final, TypeAlias

from confluent_kafka import Message
from examples.flights.model import Aircraft, Cancelled, Departed, Landed, cancelled, departed, landed
from fastavro import schemaless_reader

from benchmarks.limits.publish import TYPES, schemas

Row: TypeAlias = tuple[Any, ...]
"""A row of ``versions``: its columns in their order, instants in microseconds."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_HANDLERS: Final[dict[Any, Any]] = {Departed: departed, Landed: landed, Cancelled: cancelled}


def instant(header: bytes) -> int:
    """Read a header with an instant, in microseconds since the epoch."""
    return (datetime.fromisoformat(header.decode()) - _EPOCH) // _MICROSECOND


class Batch:
    """Rows, what became of each entity, and how far each partition is."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.heads: dict[str, list[Any]] = {}
        """``entity_id, partition, state, first_valid, last_valid, last_offset``, how many rows, and their lead."""
        self.reached: dict[int, tuple[int, int]] = {}
        """Per partition the next offset and the latest recorded time."""


class Fold:
    """Folds records, and keeps the state of every entity that it has seen.

    :param schemas_directory: the contracts.
    :param load: gives the stored states, as JSON, of entities that were not seen yet.
    """

    def __init__(self, schemas_directory: Path, load: Callable[[Sequence[str]], Iterable[tuple[str, str]]]) -> None:
        known = schemas(schemas_directory)
        self._readers = {
            known[name][1]: (known[name][0], cls.__pydantic_validator__.validate_python, _HANDLERS[cls])
            for cls, name in TYPES.items()
        }
        self._load = load
        self._states: dict[str, Aircraft | None] = {}
        self._recorded: dict[int, int] = {}

    def batch(self, messages: Sequence[Message]) -> Batch:
        """Turn records into rows."""
        batch, states, recorded = Batch(), self._states, self._recorded
        self._see({key.decode() for message in messages if (key := message.key())})
        add, heads, to_json = batch.rows.append, batch.heads, Aircraft.__pydantic_serializer__.to_json
        for message in messages:
            value: Any = message.value()
            found: Any = dict(message.headers() or ())
            schema, validate, handle = self._readers[value[:10]]
            entity_id = found["ce_subject"].decode()
            event = validate(schemaless_reader(BytesIO(value[10:]), schema, None))
            states[entity_id] = state = handle(states[entity_id], event)
            text = to_json(state).decode()
            at = instant(found["ce_time"])
            partition, offset = self.place(message)
            now = recorded[partition] = max(recorded.get(partition, 0), message.timestamp()[1] * 1000)
            event_id, name = found["ce_id"].decode(), found["ce_type"].decode()
            add((entity_id, at, offset, partition, now, None, None, event_id, name, None, None, None, value, text))
            lead = max(0, at - now)
            if (head := heads.get(entity_id)) is None:
                heads[entity_id] = [entity_id, partition, text, at, at, offset, 1, lead]
            else:
                head[2:] = text, head[3], at, offset, head[6] + 1, max(head[7], lead)
            batch.reached[partition] = offset + 1, now
        return batch

    @staticmethod
    def place(message: Message) -> tuple[int, int]:
        """Return partition and offset, which a record that was read always has."""
        partition, offset = message.partition(), message.offset()
        assert partition is not None
        assert offset is not None
        return partition, offset

    def _see(self, entity_ids: set[str]) -> None:
        if new := sorted(entity_ids - self._states.keys()):
            self._states |= dict.fromkeys(new)
            self._states |= {each: Aircraft.model_validate_json(state) for each, state in self._load(new)}
