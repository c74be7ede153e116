"""One record of the log, decoded with Apache's Avro and by the CloudEvents binding, from their specifications."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import avro.io
import avro.schema

RETRACTED = "everwhen.retracted"
_RETRACTED_SCHEMA = {
    "type": "record",
    "name": "retracted",
    "namespace": "everwhen",
    "fields": [{"name": "reason", "type": ["null", "string"], "default": None}],
}
_SINGLE_OBJECT = b"\xc3\x01"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Unreadable(Exception):
    """A record that nobody who keeps to the format can have written."""


class Raw(NamedTuple):
    """A record as the log gives it; the time in microseconds."""

    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]


class Record(NamedTuple):
    """A record that was understood; times in microseconds."""

    partition: int
    offset: int
    recorded_at: int
    """The largest timestamp of the partition up to here."""
    entity: str
    event_id: str
    type: str
    valid_at: int
    withdraws: str | None
    correlation_id: str | None
    causation_id: str | None
    value: bytes
    payload: dict[str, Any]


class Schemas:
    """The contract files of a topic, by fingerprint."""

    def __init__(self, directory: Path) -> None:
        files = [json.loads(path.read_text()) for path in sorted(directory.rglob("*.avsc"))]
        parsed = [avro.schema.make_avsc_object(file) for file in [_RETRACTED_SCHEMA, *files]]
        self._readers = {schema.fingerprint("CRC-64-AVRO"): avro.io.DatumReader(schema) for schema in parsed}

    def decode(self, value: bytes | None) -> dict[str, Any]:
        """Decode a value in Avro's single-object encoding; nothing may be left over."""
        if value is None or value[:2] != _SINGLE_OBJECT:
            raise Unreadable("no single-object encoding")
        reader = self._readers.get(value[2:10])
        if reader is None:
            raise Unreadable(f"no schema has the fingerprint {value[2:10].hex()}")
        stream = io.BytesIO(value[10:])
        try:
            datum: Any = reader.read(avro.io.BinaryDecoder(stream))
        except Exception as error:
            raise Unreadable(f"the datum does not fit its schema: {error!r}") from error
        if stream.read(1):
            raise Unreadable("bytes are left over")
        if not isinstance(datum, dict):
            raise Unreadable("the datum is no record")
        return datum


def decode(raw: Raw, schemas: Schemas, recorded_at: int) -> Record:
    """Understand one record.

    :raises Unreadable: saying why it cannot be.
    """
    found = dict(raw.headers)
    text = {name: value.decode() for name, value in found.items() if value}
    try:
        event_id, kind, moment = text["ce_id"], text["ce_type"], text["ce_time"]
        entity = (raw.key or b"").decode()
        valid_at = (datetime.fromisoformat(moment) - _EPOCH) // timedelta(microseconds=1)
    except (KeyError, ValueError) as error:
        raise Unreadable(f"headers: {error!r}") from error
    if text.get("ce_subject") != entity or not entity:
        raise Unreadable("ce_subject is not the key")
    return Record(
        raw.partition,
        raw.offset,
        recorded_at,
        entity,
        event_id,
        kind,
        valid_at,
        text.get("ce_withdraws"),
        text.get("ce_correlationid"),
        text.get("ce_causationid"),
        raw.value or b"",
        schemas.decode(raw.value),
    )


def by_entity(records: Iterable[Record]) -> Mapping[str, list[Record]]:
    """Return each entity's records in the order of the log."""
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(record.entity, []).append(record)
    return found
