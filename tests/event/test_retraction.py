"""Retractions: their contract, which is built in, and where they can and cannot be declared."""

from __future__ import annotations

import io
import json
import re
import uuid
from pathlib import Path
from typing import Any

import avro.io
import avro.schema
import pytest

from everwhen import Projection
from everwhen.errors import DeclarationError, MalformedRecord
from everwhen.event import Event, Retracted, Topic, contracts, event_type
from everwhen.event.codec import Codec, ConstantIds
from everwhen.event.contracts import Contracts, Version
from everwhen.event.model import event_schema
from tests import ledger
from tests.ledger import Ledger

SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "retracted",
    "namespace": "everwhen",
    "fields": [{"name": "reason", "type": ["null", "string"], "default": None}],
}
"""Version 1. It is published: if a change is ever needed, it is a second version beside this one."""

FRAME = bytes.fromhex("c301679a7c9533e233a0")
GUID = uuid.UUID("12345678-1234-5678-1234-567812345678")
GIVEN = Retracted(reason="sent twice")
DATUM = b"\x02\x14sent twice"


def codec(*, ids: Any = None) -> Codec:
    """A codec of a topic that holds nothing else."""
    return Codec(Contracts([]), None if ids is None else ConstantIds(ids))


def test_the_schema_stays_what_it_was_published_as() -> None:
    """Others decode retractions with it, and the frame in every log has its fingerprint."""
    assert event_schema(Retracted) == SCHEMA
    assert codec().encode(GIVEN) == FRAME + DATUM
    assert codec().encode(Retracted()) == FRAME + b"\x00"
    assert FRAME[2:] == Version.of(1, SCHEMA).fingerprint


def test_the_docs_show_the_schema() -> None:
    """Whoever has no file of it finds it there, and a client of others reads a retraction with what stands there."""
    page = (Path(__file__).parents[2] / "docs" / "contracts.md").read_text()
    (block,) = re.findall(r"^```json\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert json.loads(block) == SCHEMA
    value = codec().encode(GIVEN)
    decoder = avro.io.BinaryDecoder(io.BytesIO(value[10:]))
    assert avro.io.DatumReader(avro.schema.parse(block)).read(decoder) == {"reason": "sent twice"}


def test_every_codec_reads_it_in_all_three_frames() -> None:
    """Single-object encoding, a registry's id before the value, and the id or GUID in a header."""
    known = codec(ids={7: SCHEMA, GUID: SCHEMA})
    assert known.encode(GIVEN) == b"\x00\x00\x00\x00\x07" + DATUM
    for value, headers in (
        (FRAME + DATUM, None),
        (b"\x00\x00\x00\x00\x07" + DATUM, None),
        (DATUM, [("__value_schema_id", b"\x00\x00\x00\x00\x07")]),
        (DATUM, [("__value_schema_id", b"\x01" + GUID.bytes)]),
    ):
        assert known.decode(value, headers) == GIVEN


@pytest.mark.parametrize("value", [FRAME, FRAME + DATUM[:-1], FRAME + DATUM + b"x", FRAME + b"\x04", DATUM])
def test_bytes_that_are_no_retraction_are_malformed(value: bytes) -> None:
    """As for every event."""
    with pytest.raises(MalformedRecord):
        codec().decode(value)


def test_no_topic_has_a_contract_file_of_it(tmp_path: Path) -> None:
    """Neither written nor asked for; a topic's contracts are those of its own events."""
    source = ledger.topic(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {event_type(event) for event in ledger.EVENTS}
    assert [contract.event for contract in source.contracts] == list(ledger.EVENTS)
    contracts.check(tmp_path, ledger.EVENTS)
    assert source.codec.decode(source.codec.encode(GIVEN)) == GIVEN


def test_a_topic_does_not_declare_it(tmp_path: Path) -> None:
    """It would ask every projection for a handler that is never called."""
    with pytest.raises(DeclarationError, match="leave Retracted out; every topic can hold it without declaring it"):
        Topic("ledger", events=[*ledger.EVENTS, Retracted], schemas=tmp_path)


def test_a_projection_neither_needs_nor_takes_a_word_on_it(tmp_path: Path) -> None:
    """It is never folded: there is nothing to handle and nothing to ignore."""
    source = ledger.topic(tmp_path)
    complete = ledger.projection(source)
    complete.check_complete()
    with pytest.raises(DeclarationError, match="Retracted is not an event class of topic ledger"):
        complete.on(Retracted)
    with pytest.raises(DeclarationError, match="Retracted is not an event class of topic ledger"):
        Projection("other", version=1, topic=source, state=Ledger, ignore=[Retracted])


def test_a_class_of_ones_own_that_looks_like_it_is_another_event() -> None:
    """Deriving from it gives an event of the user's, which withdraws nothing by itself."""

    class Cancelled(Retracted, type="shop.cancelled"):
        by: str

    assert issubclass(Cancelled, Event)
    assert event_type(Cancelled) == "shop.cancelled"
