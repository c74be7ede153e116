"""Corrections and retractions from the publisher to the answer: the last word counts, and what was believed is kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from everwhen import Answer, Publisher, Reader, Receipt, Status, Topic, Worker, WorkerSettings
from everwhen.connect import open_log, open_store
from everwhen.errors import EntityQuarantined
from everwhen.event import Retracted
from everwhen.projection import Tally
from everwhen.testing.parts import KafkaAddress
from tests import ledger
from tests.ledger import Ledger, Noted, Reset, Skipped, Wiped

T0 = datetime(2026, 3, 1, tzinfo=UTC)
END = T0 + timedelta(days=1)


def at(hours: int) -> datetime:
    """An instant of the day that everything here happens on."""
    return T0 + timedelta(hours=hours)


class Place:
    """A log, a store, and a projection between them."""

    def __init__(self, log: str, store: str, topic: Topic) -> None:
        self.topic = topic
        self.projection = ledger.projection(topic)
        self.log = log
        self.store = store

    @contextmanager
    def publishing(self) -> Iterator[Publisher]:
        """Open a publisher; afterwards everything is in the log."""
        with Publisher(self.topic, self.log) as publisher:
            yield publisher

    def note(self, text: str, hours: int, entity: str = "a", event_id: str | None = None) -> str:
        """Publish a note; return its id."""
        with self.publishing() as publisher:
            return publisher.publish(entity, Noted(text=text), occurred_at=at(hours), event_id=event_id).event_id

    def correct(self, event_id: str, text: str, hours: int, correction_id: str | None = None) -> str:
        """Publish a corrected note; return its id."""
        with self.publishing() as publisher:
            receipt: Receipt = publisher.correct(
                event_id, Noted(text=text), entity_id="a", occurred_at=at(hours), correction_id=correction_id
            )
            return receipt.event_id

    def retract(self, event_id: str, entity: str = "a", retraction_id: str | None = None) -> str:
        """Publish a retraction; return its id."""
        with self.publishing() as publisher:
            return publisher.retract(event_id, entity_id=entity, reason="x", retraction_id=retraction_id).event_id

    def project(self, batch: int = 1000) -> Tally:
        """Run the worker to the end of the log."""
        settings = WorkerSettings(batch_records=batch)
        with Worker(self.projection, self.log, self.store, settings=settings) as worker:
            return worker.run(until="end").tally

    def ask(self, entity: str = "a", hours: int = 24, basis: str | None = None) -> Answer[Ledger]:
        """Ask for the state at an instant, as known now or at a basis."""
        with Reader(self.projection, self.store) as reader:
            return reader.get(entity, valid_at=at(hours), basis=basis)

    def notes(self, hours: int = 24, basis: str | None = None) -> list[str]:
        """The notes of the entity that most tests have."""
        return self.ask("a", hours, basis).require().notes

    def basis(self) -> str:
        """Where the entity's answers stand now."""
        return str(self.ask().basis)


def local(directory: Path) -> Place:
    """A place in files."""
    topic = ledger.topic(directory / "schemas")
    return Place(f"sqlite:///{directory}/log.db", f"sqlite:///{directory}/store.db", topic)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A fresh one."""
    return local(tmp_path)


def test_a_correction_replaces_what_was_said_and_the_older_basis_keeps_it(place: Place) -> None:
    """What came after it is folded again on top of the corrected state."""
    place.note("1", 1)
    wrong = place.note("wrong", 2)
    place.note("3", 3)
    place.project()
    before = place.basis()
    place.correct(wrong, "right", 2)
    place.project()
    assert place.notes() == ["1", "right", "3"]
    assert place.notes(2) == ["1", "right"]
    assert place.notes(basis=before) == ["1", "wrong", "3"]
    assert place.notes(2, basis=before) == ["1", "wrong"]


def test_a_correction_moves_an_event_in_time(place: Place) -> None:
    """It counts at its own instant and no more at that of its target, forwards and backwards."""
    moved = place.note("moved", 1)
    place.note("stays", 2)
    place.project()
    first = place.basis()
    forwards = place.correct(moved, "moved", 3)
    place.project()
    second = place.basis()
    assert place.ask(hours=1).status is Status.BEFORE_FIRST
    assert [place.notes(hours) for hours in (2, 3)] == [["stays"], ["stays", "moved"]]
    place.correct(forwards, "moved", 0)
    place.project()
    assert [place.notes(hours) for hours in (0, 2)] == [["moved"], ["moved", "stays"]]
    assert [place.notes(hours, first) for hours in (1, 2)] == [["moved"], ["moved", "stays"]]
    assert [place.notes(hours, second) for hours in (2, 3)] == [["stays"], ["stays", "moved"]]


def test_a_correction_can_be_an_event_of_another_type(place: Place) -> None:
    """A note that should have been a deletion: the entity has no state any more."""
    wrong = place.note("wrong", 1)
    with place.publishing() as publisher:
        publisher.correct(wrong, Wiped(), entity_id="a", occurred_at=at(1))
    place.project()
    assert place.ask().status is Status.DELETED


@pytest.mark.parametrize("batch", [1, 1000])
def test_a_correction_of_a_correction_leaves_the_last_word(place: Place, batch: int) -> None:
    """In one batch as in three; each basis in between has the word that was the last one there."""
    bases = []
    event_id = place.note("0", 1)
    for number in (1, 2, 3):
        place.project(batch)
        bases.append(place.basis())
        event_id = place.correct(event_id, str(number), 1)
    place.project(batch)
    assert place.notes() == ["3"]
    assert [place.notes(basis=basis) for basis in bases] == [["0"], ["1"], ["2"]]
    place.store += ".again"
    place.project(batch)
    assert place.notes() == ["3"]
    assert [place.notes(basis=basis) for basis in bases] == [["0"], ["1"], ["2"]]


def test_withdrawing_a_correction_does_not_bring_back_its_target(place: Place) -> None:
    """A log is read forwards: what was withdrawn once stays so."""
    place.note("1", 1)
    wrong = place.note("wrong", 2)
    correction = place.correct(wrong, "wrong as well", 2)
    place.project()
    place.retract(correction)
    place.project()
    assert place.notes() == ["1"]


@pytest.mark.parametrize("together", [True, False])
def test_a_correction_that_arrives_before_its_target_keeps_it_from_counting(place: Place, together: bool) -> None:
    """In one batch with it and a batch earlier: at no basis is the target believed."""
    place.correct("to come", "right", 2)
    bases = []
    if not together:
        place.project()
        bases.append(place.basis())
    place.note("wrong", 1, event_id="to come")
    place.project()
    bases.append(place.basis())
    place.note("3", 3)
    place.project()
    assert place.notes() == ["right", "3"]
    assert place.ask(hours=1).status is Status.BEFORE_FIRST
    assert [place.notes(basis=basis) for basis in bases] == [["right"]] * len(bases)


def test_a_retraction_that_arrives_before_its_target_keeps_it_from_counting(place: Place) -> None:
    """Also where nothing else is known of the entity."""
    place.retract("to come")
    place.project()
    place.note("wrong", 1, event_id="to come")
    place.project()
    assert place.ask().status is Status.NEVER_EXISTED
    place.note("2", 2)
    place.project()
    assert place.notes() == ["2"]


def test_an_entity_whose_only_event_is_retracted_never_existed(place: Place) -> None:
    """It is no deletion and no beginning; the older basis still has the state; a new event begins anew."""
    wrong = place.note("wrong", 1)
    place.project()
    before = place.basis()
    place.retract(wrong)
    place.project()
    assert place.ask().status is Status.NEVER_EXISTED
    with Reader(place.projection, place.store) as reader:
        assert reader.history("a").status is Status.NEVER_EXISTED
        assert len(reader.history("a")) == 0
        assert len(reader.history("a", basis=before)) == 1
    assert place.notes(basis=before) == ["wrong"]
    after = place.basis()
    place.note("new", 2)
    place.project()
    assert place.notes() == ["new"]
    assert place.ask(basis=after).status is Status.NEVER_EXISTED


@pytest.mark.parametrize("batch", [1, 1000])
def test_a_retraction_of_an_event_that_the_entity_does_not_have_changes_nothing(place: Place, batch: int) -> None:
    """Neither an id that nobody has nor one of another entity; and the worker goes on behind it."""
    elsewhere = place.note("b", 1, entity="b")
    place.note("1", 1)
    place.retract("unheard of")
    place.retract(elsewhere)
    place.retract(elsewhere, entity="unheard of")
    place.note("2", 2)
    place.project(batch)
    assert place.notes() == ["1", "2"]
    assert place.ask("b").require().notes == ["b"]
    assert place.ask("unheard of").status is Status.NEVER_EXISTED


def test_retracting_a_retraction_does_not_bring_the_event_back(place: Place) -> None:
    """It is final; the event counts again when it is published under another id."""
    place.note("1", 1)
    wrong = place.note("2", 2)
    retraction = place.retract(wrong)
    place.retract(retraction)
    place.note("2", 2, event_id=wrong)
    place.project()
    assert place.notes() == ["1"]
    place.note("2", 2)
    place.project()
    assert place.notes() == ["1", "2"]


@pytest.mark.parametrize("together", [True, False])
def test_the_same_correction_twice_is_a_duplicate(place: Place, together: bool) -> None:
    """Publishing again under one id is safe: counted as a duplicate, and no answer changes."""
    wrong = place.note("wrong", 1)
    place.correct(wrong, "right", 2, correction_id="mine")
    applied = 0 if together else place.project().applied
    place.correct(wrong, "right", 2, correction_id="mine")
    tally = place.project()
    assert (applied + tally.applied, tally.duplicates, tally.conflicts) == (2, 1, 0)
    assert place.notes() == ["right"]
    with Reader(place.projection, place.store) as reader:
        assert len(reader.history("a")) == 1


@pytest.mark.parametrize("together", [True, False])
def test_the_same_retraction_twice_is_a_duplicate(place: Place, together: bool) -> None:
    """Though its instant is another one, since it is when it was published."""
    place.note("1", 1)
    wrong = place.note("wrong", 2)
    place.retract(wrong, retraction_id="mine")
    applied = 0 if together else place.project().applied
    place.retract(wrong, retraction_id="mine")
    tally = place.project()
    assert (applied + tally.applied, tally.duplicates, tally.conflicts) == (3, 1, 0)
    assert place.notes() == ["1"]


def test_a_correction_of_a_type_that_is_ignored_still_withdraws(place: Place) -> None:
    """The projection leaves the new event out, and must not keep the one that was taken back."""
    place.note("1", 1)
    wrong = place.note("wrong", 2)
    with place.publishing() as publisher:
        publisher.correct(wrong, Skipped(), entity_id="a", occurred_at=at(2))
    place.project()
    assert place.notes() == ["1"]


def test_a_retraction_without_a_target_parks_its_entity(place: Place) -> None:
    """It is not passed over: someone meant to take something back."""
    place.note("1", 1)
    record = ledger.Writer(place.topic).record(0, "a", Retracted(), occurred_at=1)
    log = open_log(place.log)
    writer = log.writer("ledger")
    assert record.key is not None
    assert record.value is not None
    headers = [(name, value) for name, value in record.headers if value is not None]
    writer.send(record.key, record.value, headers, lambda position, error: None)
    writer.flush()
    writer.close()
    log.close()
    place.project()
    with pytest.raises(EntityQuarantined):
        place.notes()
    store = open_store(place.store)
    (row,) = store.quarantine("ledger").records()
    store.close()
    assert "@1, entity 'a': a retraction has no header ce_withdraws" in (row.error or "")


def test_corrections_and_retractions_on_servers(
    real_kafka: KafkaAddress, postgres_url: str, kafka_topic_name: str, tmp_path: Path
) -> None:
    """Kafka carries the header and the built-in type, PostgreSQL the beliefs; a rebuild on files agrees with both."""
    log = open_log(f"kafka://{real_kafka.bootstrap}")
    log.create_topic(kafka_topic_name, 2)
    log.close()
    place = Place(f"kafka://{real_kafka.bootstrap}", postgres_url, ledger.topic(tmp_path, kafka_topic_name))
    only = place.note("only", 1, entity="b")
    wrong, moved = place.note("wrong", 1), place.note("moved", 2)
    with place.publishing() as publisher:
        publisher.publish("a", Reset(), occurred_at=at(4), event_id="reset")
    place.project()
    before = place.basis()
    assert (place.notes(3), place.notes()) == (["wrong", "moved"], ["reset"])
    place.correct(wrong, "right", 1, correction_id="mine")
    place.correct(wrong, "right", 1, correction_id="mine")
    place.correct(moved, "moved", 3)
    place.retract("reset")
    place.retract(only, entity="b")
    place.retract("unheard of")
    tally = place.project()
    assert (tally.duplicates, tally.conflicts) == (1, 0)
    for store in (postgres_url, f"sqlite:///{tmp_path}/rebuilt.db"):
        place.store = store
        place.project()
        assert [place.notes(hours) for hours in (1, 2, 3, 24)] == [["right"], ["right"], *[["right", "moved"]] * 2]
        assert [place.notes(hours, before) for hours in (1, 3, 24)] == [["wrong"], ["wrong", "moved"], ["reset"]]
        assert place.ask("b").status is Status.NEVER_EXISTED
        assert place.ask("b", basis=before).require().notes == ["only"]
