"""L1: publishing by hand. The same records as a publisher's, with nothing checked and no receipts."""

from __future__ import annotations

import json
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from confluent_kafka import Producer
from examples.flights.model import Cancelled, Departed, Flight, Landed
from fastavro import parse_schema, schemaless_writer
from fastavro.schema import fingerprint, to_parsing_canonical_form

from benchmarks.workload import Told

TYPES: Final[dict[type[Flight], str]] = {
    Departed: "flight.departed",
    Landed: "flight.landed",
    Cancelled: "flight.cancelled",
}
SETTINGS: Final = {
    "enable.idempotence": True,
    "acks": "all",
    "partitioner": "murmur2_random",
    "linger.ms": 5,
    "compression.type": "lz4",
}


def schemas(directory: Path) -> dict[str, tuple[Any, bytes]]:
    """Return each event type's schema, and what its values begin with (Avro's single-object encoding)."""
    found = {}
    for file in directory.glob("*/1.avsc"):
        schema = json.loads(file.read_text())
        digest = fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO")
        found[file.parent.name] = parse_schema(schema), b"\xc3\x01" + bytes.fromhex(digest)
    return found


def publish(bootstrap: str, topic: str, source: str, directory: Path, told: Iterable[Told]) -> None:
    """Send events, and wait until the broker has them all."""
    producer = Producer({"bootstrap.servers": bootstrap} | SETTINGS)
    known = schemas(directory)
    encodings = {cls: (name.encode(), *known[name]) for cls, name in TYPES.items()}
    produce, poll, origin = producer.produce, producer.poll, source.encode()
    for number, (entity_id, event, occurred_at) in enumerate(told):
        type_name, schema, prefix = encodings[type(event)]
        key, buffer = entity_id.encode(), BytesIO()
        buffer.write(prefix)
        schemaless_writer(buffer, schema, event.__dict__)
        headers: list[tuple[str, str | bytes | None]] = [
            ("ce_specversion", b"1.0"),
            ("ce_id", str(uuid4()).encode()),
            ("ce_source", origin),
            ("ce_type", type_name),
            ("ce_subject", key),
            ("ce_time", occurred_at.replace(tzinfo=None).isoformat().encode() + b"Z"),
            ("content-type", b"application/avro"),
        ]
        try:
            produce(topic, buffer.getvalue(), key, headers=headers)
        except BufferError:
            poll(0.1)
            produce(topic, buffer.getvalue(), key, headers=headers)
        if number % 256 == 0:
            poll(0)
    if left := producer.flush(60):
        raise RuntimeError(f"{left} records were not taken")
