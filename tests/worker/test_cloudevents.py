"""CloudEvents and the SDK of others for them: what we publish they read, and what they make we read."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cloudevents.core.bindings import kafka
from cloudevents.core.bindings.kafka import KafkaMessage
from cloudevents.core.v1.event import CloudEvent

from everwhen.errors import MalformedRecord
from everwhen.event import Retracted, headers
from everwhen.ports.log import Record
from everwhen.worker.intake import Intake
from tests import ledger
from tests.ledger import Noted, Wiped, Writer

AT = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
MICROS = int(AT.timestamp()) * 1_000_000 + 250_000


@pytest.fixture
def topic(tmp_path: Path) -> Any:
    """The ledger's topic."""
    return ledger.topic(tmp_path / "schemas")


def event_of(data: Any, **attributes: Any) -> CloudEvent:
    """Make an event as a program does that has never heard of us."""
    given = {"type": "ledger.noted", "source": "/theirs", "id": "e-1", "time": AT, "subject": "entity"}
    return CloudEvent(attributes={**given, **attributes}, data=data)


def record_of(message: KafkaMessage, key: bytes | None = b"entity") -> Record:
    """Put a message into the log."""
    return Record(0, 7, MICROS, key, message.value, list(message.headers.items()))


def test_what_we_publish_is_read_by_the_sdk(topic: Any) -> None:
    """Attributes, extensions, the entity's id as subject and key, and the bytes as they are."""
    value = topic.codec.encode(Noted(text="x"))
    built = headers.build(
        id="e-1",
        source="/ours",
        type="ledger.noted",
        entity_id="entity",
        occurred_at=MICROS,
        correlation_id="c",
        causation_id="d",
        withdraws="w",
    )
    event = kafka.from_binary_event(KafkaMessage(dict(built), b"entity", value))
    assert (event.get_type(), event.get_source(), event.get_id()) == ("ledger.noted", "/ours", "e-1")
    assert (event.get_subject(), event.get_time(), event.get_specversion()) == ("entity", AT, "1.0")
    assert (event.get_datacontenttype(), event.get_data()) == ("application/avro", value)
    extensions = ("correlationid", "causationid", "withdraws", "partitionkey")
    assert [event.get_extension(name) for name in extensions] == ["c", "d", "w", "entity"]


def binary_avro(topic: Any) -> KafkaMessage:
    """Avro behind headers, the form that we write."""
    return kafka.to_binary_event(event_of(topic.codec.encode(Noted(text="x")), datacontenttype="application/avro"))


def binary_json(topic: Any) -> KafkaMessage:
    """JSON behind headers, what the SDK makes unless told otherwise."""
    return kafka.to_binary_event(event_of({"text": "x"}, datacontenttype="application/json"))


def structured_json(topic: Any) -> KafkaMessage:
    """All in one JSON object."""
    return kafka.to_structured_event(event_of({"text": "x"}))


def structured_avro(topic: Any) -> KafkaMessage:
    """Avro in base64 within a JSON object."""
    return kafka.to_structured_event(event_of(topic.codec.encode(Noted(text="x")), datacontenttype="application/avro"))


FORMS = pytest.mark.parametrize("form", [binary_avro, binary_json, structured_json, structured_avro])


@FORMS
@pytest.mark.parametrize("key", [b"entity", None])
def test_what_the_sdk_makes_is_read_and_stored_in_our_form(topic: Any, form: Any, key: bytes | None) -> None:
    """In each of its forms; the subject stands in for a key that is not there, in all but our own form."""
    if key is None and form is binary_avro:
        pytest.skip("a record in our own form has a key")
    row, _, event = Intake(ledger.projection(topic)).read(record_of(form(topic), key), MICROS)
    assert event == Noted(text="x")
    assert (row.entity_id, row.event_id, row.event_type, row.valid_from) == ("entity", "e-1", "ledger.noted", MICROS)
    assert row.event == topic.codec.encode(event)


def test_extensions_of_a_structured_event_are_ours(topic: Any) -> None:
    """What it was caused by, and what it withdraws."""
    made = event_of({"text": "x"}, correlationid="c", causationid="d", withdraws="w")
    row, *_ = Intake(ledger.projection(topic)).read(record_of(kafka.to_structured_event(made)), MICROS)
    assert (row.correlation_id, row.causation_id, row.withdraws) == ("c", "d", "w")


def test_a_retraction_can_be_structured(topic: Any) -> None:
    """Its value is Avro of the package's own schema."""
    value = Writer(topic).record(1, "entity", Retracted(reason=None), occurred_at=0).value
    made = event_of(value, type="everwhen.retracted", withdraws="w", datacontenttype="application/avro")
    row, contributes, event = Intake(ledger.projection(topic)).read(record_of(kafka.to_structured_event(made)), 0)
    assert (row.withdraws, contributes, event) == ("w", False, Retracted(reason=None))


def structured(value: bytes) -> Record:
    """Make a record of the structured mode."""
    return Record(0, 7, MICROS, b"entity", value, [("content-type", b"application/cloudevents+json; charset=utf-8")])


HEAD = b'{"specversion": "1.0", "id": "e", "source": "/s", "time": "2026-03-01T12:00:00Z", "type": "ledger.noted"'


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"secret", "is not JSON"),
        (b"[]", "no JSON object"),
        (b"{}", "ledger"),
        (HEAD + b', "data": "secret"}', "no object with fields"),
        (HEAD + b', "data": {"text": 7}}', "text: string_type"),
        (HEAD + b"}", "no object with fields"),
        (HEAD + b', "data_base64": "!secret!"}', "not base64"),
        (HEAD + b', "data_base64": "c2VjcmV0"}', "neither"),
        (HEAD + b', "subject": "another", "data": {"text": "x"}}', "ce_subject differs"),
        (HEAD.replace(b'"1.0"', b'"2.0"') + b', "data": {"text": "x"}}', "ce_specversion is not 1.x"),
        (HEAD.replace(b'"time"', b'"thyme"') + b', "data": {"text": "x"}}', "ce_time is missing"),
        (HEAD.replace(b"noted", b"unheard") + b', "data": {}}', "ledger.unheard is not one of"),
    ],
)
def test_an_event_that_cannot_be_read_is_refused_with_its_place(topic: Any, value: bytes, reason: str) -> None:
    """Position and reason, and never what it says."""
    with pytest.raises(MalformedRecord) as raised:
        Intake(ledger.projection(topic)).read(structured(value), MICROS)
    assert "ledger[0]@7" in str(raised.value)
    assert reason in str(raised.value)
    assert "secret" not in str(raised.value)


def test_json_under_another_media_type_is_not_guessed(topic: Any) -> None:
    """Only what says that it is JSON is read so."""
    message = kafka.to_binary_event(event_of({"text": "x"}, datacontenttype="application/json"))
    given = record_of(message)
    given = given._replace(headers=[header for header in given.headers if header[0] != "content-type"])
    with pytest.raises(MalformedRecord, match="neither"):
        Intake(ledger.projection(topic)).read(given, MICROS)


def test_an_event_without_fields_can_be_json(topic: Any) -> None:
    """An empty object is one."""
    made = event_of({}, type="ledger.wiped")
    *_, event = Intake(ledger.projection(topic)).read(record_of(kafka.to_structured_event(made)), MICROS)
    assert event == Wiped()
