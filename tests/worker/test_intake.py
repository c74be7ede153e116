"""What the worker refuses to take from the log, with where and why in the message and never the payload."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from everwhen.errors import MalformedRecord, RecordError, UnknownSchema
from everwhen.event import Retracted, contracts
from everwhen.ports.log import Record
from everwhen.worker.intake import Intake
from tests import ledger
from tests.ledger import Noted, Writer


@pytest.fixture
def intake(tmp_path: Path) -> Intake:
    """The intake of the ledger's projection."""
    return Intake(ledger.projection(ledger.topic(tmp_path / "schemas")))


@pytest.fixture
def record(tmp_path: Path) -> Record:
    """A record that is fine."""
    return Writer(ledger.topic(tmp_path / "schemas"), 1).record(7, "entity", Noted(text="a secret"), occurred_at=5)


def without(record: Record, name: str) -> Record:
    """The record without one of its headers."""
    return record._replace(headers=[header for header in record.headers if header[0] != name])


def with_header(record: Record, name: str, value: bytes) -> Record:
    """The record with one header set."""
    return record._replace(headers=[*without(record, name).headers, (name, value)])


def test_a_good_record_is_taken_with_its_time_from_the_log(intake: Intake, record: Record) -> None:
    """Entity, instant, position, recorded time and bytes are those of the record."""
    row, contributes, event = intake.read(record, 9)
    assert contributes
    assert event == Noted(text="a secret")
    assert (row.entity_id, row.valid_from, row.partition, row.offset, row.recorded_at) == ("entity", 5, 1, 7, 9)
    assert (row.event, row.event_type, row.state) == (record.value, "ledger.noted", None)


@pytest.mark.parametrize(
    ("change", "error", "reason"),
    [
        (lambda r: r._replace(key=None), MalformedRecord, "key"),
        (lambda r: r._replace(key=b"\xff"), MalformedRecord, "key"),
        (lambda r: with_header(r._replace(key=b"e" * 513), "ce_subject", b"e" * 513), MalformedRecord, "512 bytes"),
        (lambda r: with_header(r._replace(key=b"a\0b"), "ce_subject", b"a\0b"), MalformedRecord, "NUL"),
        (lambda r: with_header(r, "ce_id", b"x" * 513), MalformedRecord, "ce_id is longer"),
        (lambda r: with_header(r, "ce_withdraws", b"x" * 513), MalformedRecord, "ce_withdraws is longer"),
        (lambda r: with_header(r, "ce_correlationid", b"\0"), MalformedRecord, "NUL"),
        (lambda r: without(r, "ce_id"), MalformedRecord, "ce_id"),
        (lambda r: without(r, "ce_type"), MalformedRecord, "ce_type"),
        (lambda r: without(r, "ce_time"), MalformedRecord, "ce_time"),
        (lambda r: without(r, "ce_specversion"), MalformedRecord, "ce_specversion"),
        (lambda r: with_header(r, "ce_time", b"2026-03-01T00:00:00"), MalformedRecord, "ce_time"),
        (lambda r: with_header(r, "ce_time", b"2026-03-01T00:00:00.1234567Z"), MalformedRecord, "microsecond"),
        (lambda r: with_header(r, "ce_subject", b"another"), MalformedRecord, "ce_subject"),
        (lambda r: with_header(r, "ce_type", b"ledger.unheard"), MalformedRecord, "ledger.unheard is not one of"),
        (lambda r: with_header(r, "ce_type", b"ledger.wiped"), MalformedRecord, "header ce_type says ledger.wiped"),
        (lambda r: r._replace(value=None), MalformedRecord, "null"),
        (lambda r: r._replace(value=b""), MalformedRecord, "value"),
        (lambda r: r._replace(value=r.value[:-1]), MalformedRecord, "truncated"),
        (lambda r: r._replace(value=r.value + b"\0"), MalformedRecord, "left over"),
        (lambda r: r._replace(value=b"{}"), MalformedRecord, "neither"),
        (lambda r: r._replace(value=b"\xc3\x01" + bytes(8)), UnknownSchema, "fingerprint"),
        (lambda r: r._replace(value=b"\0\0\0\0\x07"), UnknownSchema, "registry"),
    ],
)
def test_a_record_that_cannot_be_read_is_refused_with_its_place(
    intake: Intake, record: Record, change: Any, error: type[RecordError], reason: str
) -> None:
    """Position, entity and reason; never what the record says."""
    with pytest.raises(error) as raised:
        intake.read(change(record), 9)
    assert "ledger[1]@7" in str(raised.value)
    assert reason in str(raised.value)
    assert "secret" not in str(raised.value)


def test_a_writer_that_is_a_version_ahead_is_an_unknown_schema(tmp_path: Path, intake: Intake, record: Record) -> None:
    """The remedy is in the message: the contract file that it was written with."""
    assert contracts.write(tmp_path / "schemas", ledger.EVENTS) == []
    assert record.value is not None
    ahead = record._replace(value=record.value[:2] + bytes(reversed(record.value[2:10])) + record.value[10:])
    with pytest.raises(UnknownSchema, match="contract"):
        intake.read(ahead, 9)


@pytest.fixture
def retraction(tmp_path: Path) -> Record:
    """A retraction that is fine."""
    writer = Writer(ledger.topic(tmp_path / "schemas"), 1)
    return writer.record(7, "entity", Retracted(reason="a secret"), occurred_at=5, event_id="own", withdraws="target")


def test_a_retraction_is_taken_whatever_the_projection_declares(intake: Intake, retraction: Record) -> None:
    """It withdraws and is never folded, so no projection has to say what becomes of it."""
    row, contributes, event = intake.read(retraction, 9)
    assert not contributes
    assert event == Retracted(reason="a secret")
    assert (row.event_id, row.event_type, row.withdraws) == ("own", "everwhen.retracted", "target")


def test_a_correction_is_taken_and_folded(intake: Intake, record: Record) -> None:
    """It withdraws another event and counts itself."""
    row, contributes, _ = intake.read(with_header(record, "ce_withdraws", b"target"), 9)
    assert contributes
    assert row.withdraws == "target"


@pytest.mark.parametrize(
    ("change", "error", "reason"),
    [
        (lambda r: without(r, "ce_withdraws"), MalformedRecord, "no header ce_withdraws, the id of the event that it"),
        (lambda r: with_header(r, "ce_withdraws", b""), MalformedRecord, "no header ce_withdraws"),
        (lambda r: with_header(r, "ce_withdraws", b"\xff"), MalformedRecord, "ce_withdraws is not UTF-8"),
        (lambda r: with_header(r, "ce_withdraws", b"a\0b"), MalformedRecord, "NUL"),
        (lambda r: with_header(r, "ce_type", b"ledger.noted"), MalformedRecord, "the value is a everwhen.retracted"),
        (lambda r: r._replace(value=None), MalformedRecord, "null"),
        (lambda r: r._replace(value=b"\x02\x02x"), MalformedRecord, "neither"),
        (lambda r: r._replace(value=r.value[:-1]), MalformedRecord, "truncated (everwhen.retracted version 1)"),
        (lambda r: r._replace(value=r.value + b"\0"), MalformedRecord, "left over"),
        (lambda r: r._replace(value=r.value[:10] + b"\x04\x00"), MalformedRecord, "does not follow its schema"),
    ],
)
def test_a_retraction_that_cannot_be_read_is_refused_with_its_place(
    intake: Intake, retraction: Record, change: Any, error: type[RecordError], reason: str
) -> None:
    """Skipping it would leave an event standing that was taken back."""
    with pytest.raises(error) as raised:
        intake.read(change(retraction), 9)
    assert "ledger[1]@7" in str(raised.value)
    assert reason in str(raised.value)
    assert "secret" not in str(raised.value)


def test_an_event_in_the_clothes_of_a_retraction_is_refused(intake: Intake, record: Record) -> None:
    """The header alone does not make one."""
    disguised = with_header(with_header(record, "ce_type", b"everwhen.retracted"), "ce_withdraws", b"target")
    with pytest.raises(MalformedRecord, match=r"header ce_type says everwhen\.retracted, the value is a ledger\.noted"):
        intake.read(disguised, 9)
