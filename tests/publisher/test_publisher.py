"""The publisher: what it refuses before anything is sent, and that nothing is lost unnoticed."""

from __future__ import annotations

import os
import threading
import uuid
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from everwhen import Event, Publisher, Topic
from everwhen.connect import open_log
from everwhen.errors import (
    ArgumentError,
    ClosedError,
    ContractError,
    EventTooLarge,
    InstantError,
    PublishError,
    SettingsError,
)
from everwhen.event import headers
from everwhen.positions import Position
from tests import ledger
from tests.ledger import Noted, Wiped
from tests.publisher.place import Place

T0 = datetime(2026, 3, 1, tzinfo=UTC)


def test_a_receipt_knows_where_the_event_stands(place: Place, publisher: Publisher) -> None:
    """Positions of one entity are one partition's, in order; the record there is the event."""
    positions = [publisher.publish("a", Noted(text=str(i)), occurred_at=T0).position for i in range(5)]
    assert len({position.partition for position in positions}) == 1
    assert [position.offset for position in positions] == [0, 1, 2, 3, 4]
    publisher.flush()
    assert [Position("ledger", r.partition, r.offset) for r in place.records()] == positions


def test_a_record_carries_the_cloudevents_attributes(place: Place, publisher: Publisher) -> None:
    """Any client can read who, what and when from the headers; the value is the contract's."""
    receipt = publisher.publish(
        "entity é",
        Noted(text="x"),
        occurred_at=T0,
        event_id="mine",
        correlation_id="c1",
        causation_id="c2",
        traceparent="00-t",
    )
    publisher.flush()
    (record,) = place.records()
    found = dict(record.headers)
    assert record.key == "entity é".encode()
    assert found["ce_specversion"] == b"1.0"
    assert found["ce_id"] == b"mine"
    assert found["ce_type"] == b"ledger.noted"
    assert found["ce_subject"] == record.key
    assert found["ce_time"] == b"2026-03-01T00:00:00Z"
    assert found["content-type"] == b"application/avro"
    assert found["traceparent"] == b"00-t"
    meta = headers.parse(record.headers, record.key)
    assert (meta.correlation_id, meta.causation_id) == ("c1", "c2")
    assert place.topic.codec.decode(record.value, record.headers) == Noted(text="x")
    assert receipt.event_id == "mine"


def test_ids_that_are_left_out_are_random_uuids(publisher: Publisher) -> None:
    """RFC 9562, version 4, all different."""
    ids = {publisher.publish("a", Noted(text="x")).event_id for _ in range(200)}
    assert len(ids) == 200
    assert all(uuid.UUID(i).version == 4 and str(uuid.UUID(i)) == i for i in ids)


def test_what_is_left_out_happened_now(place: Place, publisher: Publisher) -> None:
    """``occurred_at`` defaults to the clock."""
    before = datetime.now(UTC)
    publisher.publish("a", Noted(text="x"))
    publisher.flush()
    (record,) = place.records()
    meta = headers.parse(record.headers, record.key)
    assert abs(meta.occurred_at - before.timestamp() * 1e6) < 60e6


@pytest.mark.parametrize(
    ("moment", "reason"),
    [(datetime(2026, 3, 1), "naive"), (date(2026, 3, 1), "aware datetime"), ("2026-03-01", "aware datetime")],  # noqa: DTZ001
)
def test_a_time_that_is_no_instant_is_refused(place: Place, publisher: Publisher, moment: Any, reason: str) -> None:
    """Naming the argument; nothing is sent."""
    with pytest.raises(InstantError, match=f"occurred_at.*{reason}"):
        publisher.publish("a", Noted(text="x"), occurred_at=moment)
    publisher.flush()
    assert place.records() == []


@pytest.mark.parametrize("entity_id", ["", "x" * 513, "é" * 257, "a\0b", "\ud800", None, 7, b"a"])
def test_an_entity_id_that_cannot_be_a_key_is_refused(publisher: Publisher, entity_id: Any) -> None:
    """Empty, over 512 bytes of UTF-8, with NUL or a lone surrogate, or no text."""
    with pytest.raises(ArgumentError, match="entity_id"):
        publisher.publish(entity_id, Noted(text="x"))


@pytest.mark.parametrize("entity_id", ["x" * 512, "é" * 256, "a b\t/\"'%;--", "\U0001f6eb"])
def test_an_odd_entity_id_is_fine(place: Place, publisher: Publisher, entity_id: str) -> None:
    """Whatever is text within the limit comes out as it went in."""
    publisher.publish(entity_id, Noted(text="x"))
    publisher.flush()
    assert place.records()[0].key == entity_id.encode()


def test_an_event_of_another_topic_is_refused_naming_what_the_topic_holds(publisher: Publisher) -> None:
    """Also a subclass of one of its classes, which has another contract."""

    class Elsewhere(Event, type="elsewhere"):
        pass

    class Sub(Noted, type="ledger.sub"):
        pass

    for event in (Elsewhere(), Sub(text="x")):
        with pytest.raises(ArgumentError, match="Noted"):
            publisher.publish("a", event)


def test_an_event_over_the_size_limit_is_refused_before_it_is_sent(place: Place, publisher: Publisher) -> None:
    """The message has size and limit; what comes before and after is delivered."""
    publisher.publish("a", Noted(text="small"))
    with pytest.raises(EventTooLarge, match="limit is"):
        publisher.publish("a", Noted(text="x" * 2_000_000))
    publisher.publish("a", Noted(text="small"))
    publisher.flush()
    assert len(place.records()) == 2


def test_after_close_it_says_so(place: Place) -> None:
    """Closing twice is fine, publishing is not."""
    publisher = Publisher(place.topic, place.log)
    publisher.close()
    publisher.close()
    with pytest.raises(ClosedError):
        publisher.publish("a", Noted(text="x"))


def test_a_forked_child_is_told_to_make_its_own(place: Place) -> None:
    """The queue and its thread do not exist in the child."""
    with Publisher(place.topic, place.log) as publisher:
        publisher.publish("a", Noted(text="x"))
        child = os.fork()
        if child == 0:
            try:
                publisher.publish("a", Noted(text="y"))
            except ClosedError as error:
                os._exit(0 if "fork" in str(error) else 1)
            finally:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(place.records()) == 1


def test_flush_raises_for_what_was_not_taken_and_so_does_the_receipt(place: Place) -> None:
    """A topic that disappears under the publisher: every event that it cost is accounted for."""
    publisher = Publisher(place.topic, place.log)
    publisher.publish("a", Noted(text="1"))
    publisher.flush()
    log: Any = open_log(place.log)
    log.delete_topic("ledger")
    log.close()
    lost = [publisher.publish("a", Noted(text="2")), publisher.publish("b", Wiped())]
    with pytest.raises(PublishError, match=r"2 event\(s\)"):
        publisher.flush()
    for receipt in lost:
        with pytest.raises(PublishError, match=receipt.event_id):
            receipt.position  # noqa: B018 - asking is what raises
    publisher.flush()
    publisher.close()


def test_leaving_the_block_with_an_error_keeps_that_error_and_notes_what_was_lost(place: Place) -> None:
    """The caller's exception is not replaced by ours."""
    with pytest.raises(KeyError) as raised, Publisher(place.topic, place.log) as publisher:  # noqa: PT012 - the block is the test
        log: Any = open_log(place.log)
        log.delete_topic("ledger")
        log.close()
        publisher.publish("a", Noted(text="x"))
        raise KeyError("mine")
    assert any("not taken" in note for note in raised.value.__notes__)


def test_many_threads_publish_through_one_publisher(place: Place, publisher: Publisher) -> None:
    """Each thread's events of its entity keep their order, and none is lost."""

    def publish(entity: str) -> None:
        for i in range(200):
            publisher.publish(entity, Noted(text=str(i)), occurred_at=T0)

    threads = [threading.Thread(target=publish, args=(f"e{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    publisher.flush()
    by_entity: dict[bytes | None, list[str]] = {}
    for record in place.records():
        event: Any = place.topic.codec.decode(record.value, record.headers)
        by_entity.setdefault(record.key, []).append(event.text)
    assert by_entity == {f"e{i}".encode(): [str(n) for n in range(200)] for i in range(4)}


def test_a_contract_that_is_missing_is_found_before_a_log_is_opened(place: Place, tmp_path: Path) -> None:
    """No file is left behind by a publisher that could not have published."""
    topic = Topic("ledger", events=ledger.EVENTS, schemas=tmp_path / "nowhere")
    with pytest.raises(ContractError, match="schema write"):
        Publisher(topic, f"sqlite:///{tmp_path}/unwanted.db")
    assert not (tmp_path / "unwanted.db").exists()


@pytest.mark.parametrize("log", ["", "redis://x:secret@y", "sqlite://", "sqlite:///:memory:", 7])
def test_a_log_of_no_known_kind_is_refused_without_showing_a_password(place: Place, log: Any) -> None:
    """With what it could be."""
    with pytest.raises(SettingsError) as raised:
        Publisher(place.topic, log)
    assert "secret" not in str(raised.value)


def test_the_log_can_come_from_the_environment(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """``EVERWHEN_LOG``, and a clear word if there is nothing at all."""
    monkeypatch.delenv("EVERWHEN_LOG", raising=False)
    with pytest.raises(SettingsError, match="EVERWHEN_LOG"):
        Publisher(place.topic)
    monkeypatch.setenv("EVERWHEN_LOG", place.log)
    with Publisher(place.topic) as publisher:
        publisher.publish("a", Noted(text="x"))
    assert len(place.records()) == 1
