"""The reader on the embedded store: what it asks for, refuses, shows and waits for."""

from __future__ import annotations

import sqlite3
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from everwhen import Basis, Projection, Publisher, Reader, Status, Topic, Worker, WorkerSettings
from everwhen.errors import (
    AnswerError,
    ArgumentError,
    BeforeFirstEvent,
    ClosedError,
    EntityDeleted,
    GenerationMismatch,
    InstantError,
    NeverExisted,
    NotStored,
    NotYetProjected,
    ProjectionNotFound,
    SettingsError,
)
from everwhen.positions import Mark, Position
from tests import ledger
from tests.ledger import Ledger, Noted, Wiped

T0 = datetime(2026, 3, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


class Place:
    """A log, a store and a projection in one directory."""

    def __init__(self, directory: Path) -> None:
        self.topic: Topic = ledger.topic(directory / "schemas")
        self.projection: Projection[Ledger] = ledger.projection(self.topic)
        self.log = f"sqlite:///{directory}/log.db"
        self.store = f"sqlite:///{directory}/store.db"

    def tell(self, *events: tuple[str, Any, datetime], **settings: Any) -> list[Position]:
        """Publish and project."""
        with Publisher(self.topic, self.log) as publisher:
            receipts = [publisher.publish(entity, event, occurred_at=at) for entity, event, at in events]
            positions = [receipt.position for receipt in receipts]
        with Worker(self.projection, self.log, self.store, settings=WorkerSettings(**settings)) as worker:
            worker.run(until="end")
        return positions


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A fresh one."""
    return Place(tmp_path)


def test_require_raises_the_error_of_the_status(place: Place) -> None:
    """One class each, one root, with the entity in the message."""
    place.tell(("a", Noted(text="1"), T0), ("a", Wiped(), T0 + MINUTE))
    with Reader(place.projection, place.store) as reader:
        assert reader.get("a", valid_at=T0).require() == Ledger(notes=["1"])
        for moment, error in ((T0 - MINUTE, BeforeFirstEvent), (T0 + MINUTE, EntityDeleted)):
            with pytest.raises(error, match="'a'"):
                reader.get("a", valid_at=moment).require()
        with pytest.raises(NeverExisted):
            reader.get("nobody").require()
        with pytest.raises(NotYetProjected):
            reader.get("a", known_at=datetime.now(UTC) + timedelta(days=1)).require()
        with pytest.raises(AnswerError):
            reader.get("nobody").require()


def test_a_bound_is_inclusive_at_the_events_instant(place: Place) -> None:
    """One microsecond before is before."""
    place.tell(("a", Noted(text="1"), T0))
    with Reader(place.projection, place.store) as reader:
        assert reader.get("a", valid_at=T0).status is Status.FOUND
        assert reader.get("a", valid_at=T0 - timedelta(microseconds=1)).status is Status.BEFORE_FIRST


def test_two_events_at_one_instant_are_both_folded_and_one_version_is_visible(place: Place) -> None:
    """In the order of their offsets."""
    place.tell(("a", Noted(text="1"), T0), ("a", Noted(text="2"), T0), ("a", Noted(text="3"), T0 + MINUTE))
    with Reader(place.projection, place.store) as reader:
        history = reader.history("a")
        assert [version.state.notes for version in history if version.state] == [["1", "2"], ["1", "2", "3"]]
        assert [(version.valid_from, version.valid_to) for version in history] == [
            (T0, T0 + MINUTE),
            (T0 + MINUTE, None),
        ]


def test_a_new_life_inherits_nothing_and_history_shows_the_gap(place: Place) -> None:
    """Delete, then rebirth."""
    place.tell(("a", Noted(text="1"), T0), ("a", Wiped(), T0 + MINUTE), ("a", Noted(text="2"), T0 + 2 * MINUTE))
    with Reader(place.projection, place.store) as reader:
        states = [None if version.state is None else version.state.notes for version in reader.history("a")]
        assert states == [["1"], None, ["2"]]


def test_a_future_event_becomes_the_answer_without_any_write(place: Place) -> None:
    """The clock alone moves on."""

    class Hand:
        moment = T0

        def now(self) -> int:
            return int(self.moment.timestamp() * 1_000_000)

    place.tell(("a", Noted(text="1"), T0), ("a", Noted(text="2"), T0 + 10 * MINUTE))
    clock = Hand()
    with Reader(place.projection, place.store, clock=clock) as reader:
        before = reader.get("a")
        assert before.require().notes == ["1"]
        assert before.valid_to == T0 + 10 * MINUTE
        clock.moment = T0 + 10 * MINUTE
        assert reader.get("a").require().notes == ["1", "2"]


def test_without_the_code_states_are_plain_dicts(place: Place) -> None:
    """And deletions still have their status."""
    place.tell(("a", Noted(text="1"), T0))
    with Reader("ledger", place.store) as reader:
        assert reader.get("a").require() == {"notes": ["1"]}


def test_a_belief_that_is_not_kept_is_folded_by_a_reader_with_the_code_only(place: Place) -> None:
    """Exactly; the answer says so. Without the code it is an error of its own, for that question only."""
    place.tell(("a", Noted(text="1"), T0), ("a", Noted(text="3"), T0 + 2 * MINUTE))
    with Reader(place.projection, place.store) as reader:
        before = reader.get("a")
        place.tell(("a", Noted(text="2"), T0 + MINUTE), depth=0)
        again = reader.get("a", valid_at=before.valid_at, basis=before.basis)
        assert again.require().notes == ["1", "3"]
        assert again.folded
        assert not reader.get("a").folded
        assert [v.state.notes for v in reader.history("a", basis=before.basis) if v.state] == [["1"], ["1", "3"]]
    with Reader("ledger", place.store) as plain:
        assert plain.get("a").require() == {"notes": ["1", "2", "3"]}
        with pytest.raises(NotStored, match="Reader\\(projection"):
            plain.get("a", basis=before.basis)


def test_a_snapshot_is_in_the_order_of_ids_and_leaves_deleted_ones_out(place: Place) -> None:
    """Unless they are asked for; it is used once, and holds one basis."""
    place.tell(
        ("b", Noted(text="1"), T0), ("a", Noted(text="2"), T0), ("c", Noted(text="3"), T0), ("c", Wiped(), T0 + MINUTE)
    )
    with Reader(place.projection, place.store) as reader:
        snapshot = reader.snapshot(valid_at=T0 + MINUTE)
        assert [answer.entity_id for answer in snapshot] == ["a", "b"]
        with pytest.raises(ClosedError):
            list(snapshot)
        with reader.snapshot(valid_at=T0 + MINUTE, deleted=True) as more:
            answers = list(more)
            assert [(answer.entity_id, answer.status.value) for answer in answers] == [
                ("a", "found"),
                ("b", "found"),
                ("c", "deleted"),
            ]
            assert {answer.basis for answer in answers} == {more.basis}


@pytest.mark.parametrize("entity_id", ["", None, 7, b"a"])
def test_an_entity_id_is_a_text(place: Place, entity_id: Any) -> None:
    """Asked wrongly is not "never existed"."""
    place.tell(("a", Noted(text="1"), T0))
    with Reader(place.projection, place.store) as reader, pytest.raises(ArgumentError, match="entity_id"):
        reader.get(entity_id)


def test_times_and_bases_that_cannot_be_meant_are_refused(place: Place) -> None:
    """Naive, both axes twice, another topic's basis, or no basis at all."""
    place.tell(("a", Noted(text="1"), T0))
    with Reader(place.projection, place.store) as reader:
        basis = reader.get("a").basis
        with pytest.raises(InstantError, match="valid_at is a naive datetime"):
            reader.get("a", valid_at=datetime(2026, 3, 1))  # noqa: DTZ001 - that is the point
        with pytest.raises(InstantError, match="known_at"):
            reader.snapshot(known_at=datetime(2026, 3, 1))  # noqa: DTZ001 - as above
        with pytest.raises(ArgumentError, match="not both"):
            reader.get("a", known_at=T0, basis=basis)
        with pytest.raises(ArgumentError, match="topic other"):
            reader.get("a", basis=Basis.of("other", {0: Mark(1, 1)}))
        with pytest.raises(ArgumentError, match="not a basis"):
            reader.history("a", basis="yesterday")


def test_a_basis_of_the_future_is_not_yet_projected(place: Place) -> None:
    """A token from a store that is further than this one."""
    (position,) = place.tell(("a", Noted(text="1"), T0))
    ahead = Basis.of("ledger", {position.partition: Mark(position.offset + 2, 2**50)})
    with Reader(place.projection, place.store) as reader:
        assert reader.get("a", basis=ahead).status is Status.NOT_YET_PROJECTED
        assert reader.get("a", basis=ahead).state is None
        assert reader.history("a", basis=ahead).status is Status.NOT_YET_PROJECTED


def test_a_question_makes_no_file(place: Place, tmp_path: Path) -> None:
    """A typo in the URL is said, and leaves nothing behind; a projection that is not there names those that are."""
    with Reader("ledger", f"sqlite:///{tmp_path}/typo.db") as reader, pytest.raises(ProjectionNotFound, match="typo"):
        reader.get("a")
    assert not (tmp_path / "typo.db").exists()
    place.tell(("a", Noted(text="1"), T0))
    with Reader("ledgers", place.store) as reader, pytest.raises(ProjectionNotFound, match="it holds ledger"):
        reader.get("a")


def test_opening_does_not_wait_for_a_batch_that_is_being_written(place: Place) -> None:
    """Readers of an SQLite file never take the writer's lock."""
    place.tell(("a", Noted(text="1"), T0))
    writer = sqlite3.connect(place.store.removeprefix("sqlite:///"), isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    with Reader(place.projection, place.store) as reader:
        assert reader.get("a").require().notes == ["1"]
    writer.execute("ROLLBACK")
    writer.close()


def test_stored_states_of_another_model_are_refused_without_their_values(place: Place) -> None:
    """The message names both versions and the way out."""

    class Other(BaseModel):
        number: int

    place.tell(("a", Noted(text="a secret"), T0))
    other = Projection("ledger", version=2, topic=place.topic, state=Other)
    with (
        Reader(other, place.store) as reader,
        pytest.raises(GenerationMismatch, match=r"version 1.*version 2") as raised,
    ):
        reader.get("a")
    assert "secret" not in str(raised.value)


def test_wait_for_returns_as_soon_as_the_event_is_projected(place: Place) -> None:
    """Also if the projection did not exist when the waiting began."""
    basis: list[Basis] = []
    with Publisher(place.topic, place.log) as publisher:
        receipt = publisher.publish("a", Noted(text="1"), occurred_at=T0)
        receipt.position  # noqa: B018 - waits for the log
        reader = Reader(place.projection, place.store)
        thread = threading.Thread(target=lambda: basis.append(reader.wait_for(receipt, timeout=30)))
        thread.start()
        place.tell(("b", Noted(text="2"), T0))
        thread.join(30)
    assert basis[0].covers(receipt.position)


def test_wait_for_says_how_far_it_is_when_the_time_is_up(place: Place) -> None:
    """And refuses a position of another topic."""
    place.tell(("a", Noted(text="1"), T0))
    with Reader(place.projection, place.store) as reader:
        with pytest.raises(NotYetProjected, match=r"has not reached ledger\[0\]@99"):
            reader.wait_for(Position("ledger", 0, 99), timeout=0.01)
        with pytest.raises(ArgumentError, match="topic other"):
            reader.wait_for(Position("other", 0, 0), timeout=0.01)


def test_the_store_can_come_from_the_environment(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """``EVERWHEN_STORE``, and a clear word if there is nothing at all."""
    place.tell(("a", Noted(text="1"), T0))
    monkeypatch.delenv("EVERWHEN_STORE", raising=False)
    with pytest.raises(SettingsError, match="EVERWHEN_STORE"):
        Reader("ledger")
    monkeypatch.setenv("EVERWHEN_STORE", place.store)
    with Reader("ledger") as reader:
        assert reader.get("a").status is Status.FOUND
