"""Every status can be reached, with the state that belongs to it; and what is said to be final stays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from everwhen import Basis, Publisher, Reader, Status
from everwhen.connect import open_store
from everwhen.errors import EntityQuarantined, HistoryTruncated, NotYetProjected
from everwhen.instants import to_micros
from everwhen.ports.log import TopicDescription
from everwhen.positions import Mark
from everwhen.projection.rows import Changes
from everwhen.worker import blueprint
from tests.ledger import Ledger, Noted, Wiped
from tests.reader.test_reader import MINUTE, T0, Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """An entity with three events, the last of them a deletion."""
    made = Place(tmp_path)
    made.tell(("a", Noted(text="1"), T0), ("a", Noted(text="2"), T0 + MINUTE), ("a", Wiped(), T0 + 2 * MINUTE))
    return made


def mark_head(place: Place, **fields: Any) -> None:
    """Write into the entity's row what another part of the program would."""
    store = open_store(place.store)
    generation = store.prepare(blueprint(place.projection))
    head = store.reader("ledger").rows("a").head
    assert head is not None
    topic = TopicDescription("ledger", 2, "unknown", "unknown")
    claim = store.claim(generation, [head.partition], topic)[head.partition]
    with store.batch(claim, claim.mark.next_offset, claim.mark) as batch:
        batch.write(Changes(heads=[head._replace(**fields)]))
    store.close()


@pytest.mark.parametrize(
    ("entity", "instant", "status"),
    [
        ("a", T0 - MINUTE, Status.BEFORE_FIRST),
        ("a", T0, Status.FOUND),
        ("a", T0 + 2 * MINUTE, Status.DELETED),
        ("nobody", T0, Status.NEVER_EXISTED),
    ],
)
def test_what_the_events_alone_decide(place: Place, entity: str, instant: datetime, status: Status) -> None:
    """The same by get, by a join and, where there is a version, by a snapshot."""
    with Reader(place.projection, place.store) as reader:
        assert reader.get(entity, valid_at=instant).status is status
        assert [answer.status for answer in reader.join([(entity, instant)])] == [status]
        found = reader.snapshot(valid_at=instant, deleted=True)
        shown = [answer.status for answer in found if answer.entity_id == entity]
        assert shown == ([status] if status in (Status.FOUND, Status.DELETED) else [])


def test_before_the_first_event_differs_from_never_as_known_then(place: Place) -> None:
    """At a basis before the entity's first record nothing of it was known."""
    with Reader(place.projection, place.store) as reader:
        basis = reader.get("a").basis
        nothing = Basis.of("ledger", {})
        assert reader.get("a", valid_at=T0 - MINUTE, basis=basis).status is Status.BEFORE_FIRST
        assert reader.get("a", valid_at=T0 - MINUTE, basis=nothing).status is Status.NEVER_EXISTED


def test_an_instant_of_knowledge_that_is_not_reached_is_not_yet_projected(place: Place) -> None:
    """For an entity that is known, for one that is not, for its history and in a snapshot."""
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    with Reader(place.projection, place.store) as reader:
        for entity in ("a", "nobody"):
            answer = reader.get(entity, known_at=tomorrow)
            assert (answer.status, answer.state, answer.final) == (Status.NOT_YET_PROJECTED, None, False)
            with pytest.raises(NotYetProjected):
                answer.require()
        assert reader.history("a", known_at=tomorrow).status is Status.NOT_YET_PROJECTED
        assert [each.status for each in reader.snapshot(valid_at=T0, known_at=tomorrow)] == [Status.NOT_YET_PROJECTED]


def test_a_parked_entity_shows_the_state_up_to_the_event_before(place: Place) -> None:
    """In every question that covers the parked event; one about what was known before it is not touched."""
    with Reader(place.projection, place.store) as reader:
        basis = reader.get("a").basis
        rows = reader.history("a", audit=True)
        offset = rows[-1].made_by.offset + 1
        recorded = to_micros(rows[-1].known_from, "known") + 1_000
        mark_head(place, quarantined_offset=offset, quarantined_at=recorded)
        answer = reader.get("a", valid_at=T0 + MINUTE)
        assert (answer.status, answer.state, answer.final) == (Status.QUARANTINED, Ledger(notes=["1", "2"]), False)
        with pytest.raises(EntityQuarantined, match="'a'"):
            answer.require()
        assert reader.history("a").status is Status.QUARANTINED
        assert reader.history("a", audit=True).status is Status.QUARANTINED
        assert [each.status for each in reader.snapshot(valid_at=T0)] == [Status.QUARANTINED]
        assert reader.get("a", valid_at=T0 + MINUTE, basis=basis).require().notes == ["1", "2"]
        assert reader.get("a", valid_at=T0 + MINUTE, known_at=rows[-1].known_from).require().notes == ["1", "2"]


def test_an_entity_is_parked_from_the_very_record_on_that_cannot_be_applied(place: Place) -> None:
    """At its offset and at its recorded time: a microsecond or an offset before it, nothing of it was known."""
    with Reader(place.projection, place.store) as reader:
        last = reader.history("a", audit=True)[-1]
        recorded, offset, partition = last.known_from, last.made_by.offset, last.made_by.partition
        mark_head(place, quarantined_offset=offset, quarantined_at=to_micros(recorded, "known"))
        assert reader.get("a", known_at=recorded).status is Status.QUARANTINED
        assert reader.get("a", known_at=recorded - timedelta(microseconds=1)).status is not Status.QUARANTINED
        for next_offset, parked in ((offset, False), (offset + 1, True)):
            basis = Basis.of("ledger", {partition: Mark(next_offset, to_micros(recorded, "known"))})
            assert (reader.get("a", basis=basis).status is Status.QUARANTINED) == parked


def test_before_what_was_pruned_the_history_is_truncated(place: Place) -> None:
    """From the instant of pruning on it is as it was."""
    mark_head(place, pruned_before=to_micros(T0 + MINUTE, ""))
    with Reader(place.projection, place.store) as reader:
        answer = reader.get("a", valid_at=T0 + MINUTE - timedelta(microseconds=1))
        assert (answer.status, answer.state) == (Status.TRUNCATED, None)
        with pytest.raises(HistoryTruncated, match="'a'"):
            answer.require()
        assert reader.get("a", valid_at=T0 + MINUTE).require().notes == ["1", "2"]
        assert reader.history("a").status is Status.TRUNCATED
        assert reader.history("a", audit=True).status is Status.TRUNCATED


def test_an_answer_is_final_when_no_record_can_change_it(place: Place) -> None:
    """By a basis always; by an instant only once the watermark has passed it; about the present never."""
    with Reader(place.projection, place.store) as reader:
        first = reader.get("a")
        assert first.watermark is not None
        assert not first.final
        assert reader.get("a", basis=first.basis).final
        assert reader.history("a", basis=first.basis).final
        at_the_watermark = reader.get("a", known_at=first.watermark)
        before_it = reader.get("a", known_at=first.watermark - timedelta(microseconds=1))
        assert (at_the_watermark.status, at_the_watermark.final) == (Status.DELETED, False)
        assert before_it.final
        place.tell(("a", Noted(text="late"), T0 + MINUTE / 2))
        assert reader.get("a", known_at=first.watermark).final


def test_nothing_that_was_final_changes(place: Place) -> None:
    """Late events and withdrawals come; every answer that was final is given again."""
    with Reader(place.projection, place.store) as reader, Publisher(place.topic, place.log) as publisher:
        asked = []
        for number in range(4):
            watermark = reader.get("a").watermark
            assert watermark is not None
            known = watermark - timedelta(microseconds=1)
            for minute in range(4):
                answer = reader.get("a", valid_at=T0 + minute * MINUTE, known_at=known)
                assert answer.final
                asked.append((known, answer))
            receipt = publisher.publish("a", Noted(text=f"late {number}"), occurred_at=T0 + number * MINUTE / 3)
            publisher.retract(receipt.event_id if number % 2 else "nobody's", entity_id="a")
            publisher.flush()
            place.tell()
        for known, answer in asked:
            again = reader.get("a", valid_at=answer.valid_at, known_at=known)
            assert (again.status, again.state, again.valid_from, again.valid_to) == (
                answer.status,
                answer.state,
                answer.valid_from,
                answer.valid_to,
            )


def test_as_believed_is_the_diagonal(place: Place) -> None:
    """Valid and known at one instant: what is recorded after it does not count, whenever it occurred."""
    with Reader(place.projection, place.store) as reader:
        watermark = reader.get("a").watermark
        assert watermark is not None
        before = reader.as_believed("a", watermark)
        assert before.status is Status.DELETED
        place.tell(("a", Noted(text="new life"), T0 + 3 * MINUTE))
        assert reader.get("a", valid_at=watermark).require().notes == ["new life"]
        assert reader.as_believed("a", watermark).status is Status.DELETED
