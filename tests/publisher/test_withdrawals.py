"""Corrections and retractions as the publisher writes them, and what it refuses."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from everwhen import Event, Publisher, Receipt
from everwhen.errors import ArgumentError, ClosedError, EventTooLarge, InstantError
from everwhen.event import Retracted, headers
from tests.ledger import Noted, Wiped
from tests.publisher.place import Place

T0 = datetime(2026, 3, 1, tzinfo=UTC)
NOW = 1_772_400_000_000_000

Withdraw = Callable[..., Receipt]


class Still:
    """A clock that stands."""

    def now(self) -> int:
        """Return the same instant."""
        return NOW


def correct(publisher: Publisher, event_id: Any = "wrong", **options: Any) -> Receipt:
    """Correct with what is the same in most tests."""
    return publisher.correct(event_id, Noted(text="right"), **{"entity_id": "a", "occurred_at": T0, **options})


def retract(publisher: Publisher, event_id: Any = "wrong", **options: Any) -> Receipt:
    """Retract with what is the same in most tests."""
    return publisher.retract(event_id, **{"entity_id": "a", **options})


either = pytest.mark.parametrize(
    ("withdraw", "own_id"), [(correct, "correction_id"), (retract, "retraction_id")], ids=["correct", "retract"]
)


def test_a_correction_is_an_event_that_names_what_it_withdraws(place: Place, publisher: Publisher) -> None:
    """A whole event of its own type, id and instant, behind its target in one partition, and one header more."""
    wrong = publisher.publish("a", Noted(text="wrong"), occurred_at=T0)
    right = publisher.correct(wrong.event_id, Wiped(), entity_id="a", occurred_at=T0, correction_id="mine")
    publisher.flush()
    _, record = place.records()
    assert (record.partition, record.offset) == (wrong.position.partition, wrong.position.offset + 1)
    assert dict(record.headers)["ce_withdraws"] == wrong.event_id.encode()
    meta = headers.parse(record.headers, record.key)
    assert (meta.id, meta.type, meta.entity_id, meta.withdraws) == ("mine", "ledger.wiped", "a", wrong.event_id)
    assert dict(record.headers)["ce_time"] == b"2026-03-01T00:00:00Z"
    assert place.topic.codec.decode(record.value, record.headers) == Wiped()
    assert right.event_id == "mine"


@pytest.mark.parametrize("reason", [None, "", "sent twice é"])
def test_a_retraction_happens_now_and_says_why(place: Place, reason: str | None) -> None:
    """A record of the type that every topic can hold; its instant is when it was retracted."""
    with Publisher(place.topic, place.log, clock=Still()) as publisher:
        receipt = publisher.retract("wrong", entity_id="a", reason=reason, retraction_id="mine")
    (record,) = place.records()
    meta = headers.parse(record.headers, record.key)
    assert meta == headers.Meta("mine", "everwhen.retracted", "a", NOW, withdraws="wrong")
    assert place.topic.codec.decode(record.value, record.headers) == Retracted(reason=reason)
    assert receipt.event_id == "mine"


@either
def test_the_links_to_other_events_are_carried(
    place: Place, publisher: Publisher, withdraw: Withdraw, own_id: str
) -> None:
    """Correlation, cause and trace stand in the headers as those of any event."""
    withdraw(publisher, correlation_id="c1", causation_id="c2", traceparent="00-t")
    publisher.flush()
    (record,) = place.records()
    meta = headers.parse(record.headers, record.key)
    assert (meta.correlation_id, meta.causation_id) == ("c1", "c2")
    assert dict(record.headers)["traceparent"] == b"00-t"


@either
def test_an_id_that_is_left_out_is_a_random_uuid(publisher: Publisher, withdraw: Withdraw, own_id: str) -> None:
    """Each withdrawal is an event of its own."""
    ids = {withdraw(publisher).event_id for _ in range(20)}
    assert len(ids) == 20
    assert {uuid.UUID(i).version for i in ids} == {4}


@either
def test_an_event_cannot_withdraw_itself(place: Place, publisher: Publisher, withdraw: Withdraw, own_id: str) -> None:
    """Whoever gives both ids alike has mixed them up; nothing is sent."""
    with pytest.raises(ArgumentError, match=f"^{own_id} is the id of the event that is to be withdrawn"):
        withdraw(publisher, "same", **{own_id: "same"})
    publisher.flush()
    assert place.records() == []


@either
@pytest.mark.parametrize("wrong", ["", "x" * 513, "a\0b", "\ud800", 7])
def test_an_id_that_cannot_be_one_is_refused_by_name(
    publisher: Publisher, withdraw: Withdraw, own_id: str, wrong: Any
) -> None:
    """The message has the argument's name: the target, the own id, the entity and the links."""
    with pytest.raises(ArgumentError, match=r"^event_id "):
        withdraw(publisher, wrong)
    for name in (own_id, "entity_id", "correlation_id", "causation_id"):
        with pytest.raises(ArgumentError, match=f"^{name} "):
            withdraw(publisher, **{name: wrong})


@either
def test_the_target_must_be_named(publisher: Publisher, withdraw: Withdraw, own_id: str) -> None:
    """There is no id that stands for none."""
    with pytest.raises(ArgumentError, match=r"^event_id "):
        withdraw(publisher, None)


@pytest.mark.parametrize("moment", [None, datetime(2026, 3, 1), "2026-03-01"])  # noqa: DTZ001
def test_a_correction_needs_an_instant(place: Place, publisher: Publisher, moment: Any) -> None:
    """It is never taken for now: the withdrawn event was at another time, which is not known here."""
    with pytest.raises(InstantError, match="occurred_at"):
        correct(publisher, occurred_at=moment)
    with pytest.raises(TypeError, match="occurred_at"):
        publisher.correct("wrong", Noted(text="right"), entity_id="a")  # type: ignore[call-arg]
    publisher.flush()
    assert place.records() == []


def test_a_correction_with_an_event_of_another_topic_is_refused(publisher: Publisher) -> None:
    """It could not be read back."""

    class Elsewhere(Event, type="elsewhere"):
        pass

    with pytest.raises(ArgumentError, match="Elsewhere is not an event class of topic ledger; it holds Noted"):
        publisher.correct("wrong", Elsewhere(), entity_id="a", occurred_at=T0)


def test_a_retraction_is_published_by_retract_alone(place: Place, publisher: Publisher) -> None:
    """Otherwise it would lack the id of its target, and stop every worker."""
    with pytest.raises(ArgumentError, match=r"publish it with retract\(\)"):
        publisher.publish("a", Retracted())
    with pytest.raises(ArgumentError, match=r"publish it with retract\(\)"):
        publisher.correct("wrong", Retracted(), entity_id="a", occurred_at=T0)
    publisher.flush()
    assert place.records() == []


@pytest.mark.parametrize(
    ("reason", "message"),
    [(["a secret"], r"^reason must be a str or None$"), ("a secret \ud800", "the field reason holds a lone surrogate")],
)
def test_a_reason_that_is_no_text_is_refused_without_showing_it(
    publisher: Publisher, reason: Any, message: str
) -> None:
    """Neither the message nor an error that is chained to it has the value."""
    with pytest.raises(ArgumentError, match=message) as raised:
        retract(publisher, reason=reason)
    assert "secret" not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__


def test_a_reason_over_the_size_limit_is_refused_before_it_is_sent(place: Place, publisher: Publisher) -> None:
    """As any event that is too large."""
    with pytest.raises(EventTooLarge, match=r"^everwhen\.retracted is about"):
        retract(publisher, reason="x" * 2_000_000)
    publisher.flush()
    assert place.records() == []


@either
def test_after_close_nothing_is_withdrawn(place: Place, withdraw: Withdraw, own_id: str) -> None:
    """It says so, as publishing does."""
    publisher = Publisher(place.topic, place.log)
    publisher.close()
    with pytest.raises(ClosedError):
        withdraw(publisher)
