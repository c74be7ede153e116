"""Edge cases of the definition, from the publisher to the answer, each in words.

Others that the definition names stand beside their like: at an event and a microsecond before it, equal instants,
future-dated events in ``test_reader.py``; before the first event in ``test_statuses.py``; corrections and retractions
in ``tests/worker/test_corrections.py``; instants with an offset in ``tests/core/test_instants.py`` too.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from everwhen import Basis, Event, Projection, Reader, Status, Topic, Worker, WorkerSettings
from everwhen.connect import open_store
from everwhen.errors import NotYetProjected
from everwhen.event import event_type
from everwhen.instants import to_micros
from everwhen.local import LocalLog
from everwhen.ports.answers import AsOf, VersionRow
from everwhen.ports.log import TopicDescription
from everwhen.positions import Mark
from everwhen.projection import Tally
from everwhen.publisher import Publisher
from everwhen.reader import At
from everwhen.worker import blueprint
from everwhen.worker.projector import Owned, Projector
from tests import ledger
from tests.ledger import Ledger, Noted, Poison, Reset, Skipped, Wiped

T0 = datetime(2026, 3, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
HALF_HOURS = [half / 2 for half in range(12)]


def at(hours: float) -> datetime:
    """An instant of the day that everything here happens on."""
    return T0 + timedelta(hours=hours)


@dataclass
class Held:
    """A clock that stands still until it is set."""

    moment: datetime

    def now(self) -> int:
        """The instant it shows."""
        return to_micros(self.moment, "moment")


class Place:
    """A log whose clock the test sets, a store, and a projection between them."""

    def __init__(self, directory: Path) -> None:
        self.topic: Topic = ledger.topic(directory / "schemas", partitions=1)
        self.projection: Projection[Ledger] = ledger.projection(self.topic)
        self.clock = Held(at(0))
        self.directory = directory
        self.log = directory / "log.db"
        self.store = f"sqlite:///{directory}/store.db"
        LocalLog(self.log).create_topic("ledger", 1)

    def publish(self, *events: tuple[datetime, Event | str], event_id: str | None = None) -> None:
        """Publish events of the entity ``a``, a text for a note, as the log's clock has it."""
        with Publisher(self.topic, LocalLog(self.log, clock=self.clock), self.clock) as publisher:
            for occurred_at, event in events:
                told = Noted(text=event) if isinstance(event, str) else event
                publisher.publish("a", told, occurred_at=occurred_at, event_id=event_id)

    def tell(self, *events: tuple[float, Event | str], event_id: str | None = None, **settings: int) -> Tally:
        """Publish events of these hours and project them."""
        self.publish(*((at(hours), event) for hours, event in events), event_id=event_id)
        return self.project(**settings)

    def retract(self, event_id: str) -> Tally:
        """Retract an event of the entity ``a``, and project that."""
        with Publisher(self.topic, LocalLog(self.log, clock=self.clock), self.clock) as publisher:
            publisher.retract(event_id, entity_id="a")
        return self.project()

    def project(self, **settings: Any) -> Tally:
        """Run the worker to the end of the log."""
        with Worker(
            self.projection, f"sqlite:///{self.log}", self.store, settings=WorkerSettings(**settings)
        ) as worker:
            return worker.run(until="end").tally

    def rebuild(self) -> None:
        """Project the log from its beginning, in batches of another size, into another store."""
        self.store = f"sqlite:///{self.directory}/rebuilt.db"
        self.project(batch_records=2)

    def reader(self) -> Reader[Ledger]:
        """Open a reader."""
        return Reader(self.projection, self.store)

    def notes(self, *hours: float, basis: Basis | None = None) -> list[list[str] | None]:
        """The notes at each instant; ``None`` where there is no state."""
        with self.reader() as reader:
            states = [reader.get("a", valid_at=at(each), basis=basis).state for each in hours]
        return [None if state is None else state.notes for state in states]

    def basis(self) -> Basis:
        """Where answers stand now."""
        with self.reader() as reader:
            return reader.get("a").basis

    def stored(self, *bases: Basis) -> list[VersionRow | None]:
        """To the byte, what the store gives at each half hour as known at each basis, and where it ends."""
        store = open_store(self.store)
        reader = store.reader("ledger")
        points = [AsOf(to_micros(at(hours), ""), basis) for basis in bases for hours in HALF_HOURS]
        rows = [reader.find("a", point).row for point in points]
        store.close()
        # When a belief was replaced is known only later.
        return [None if row is None else row._replace(superseded_at=None) for row in rows]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A fresh one."""
    return Place(tmp_path)


def test_a_late_event_before_the_first_event_begins_the_history_anew(place: Place) -> None:
    """The first instant moves back, and every state after it is folded again on top of the late event."""
    place.tell((2, "2"), (3, "3"))
    before = place.basis()
    place.tell((1, "1"))
    with place.reader() as reader:
        assert reader.get("a", valid_at=at(1) - MICROSECOND).status is Status.BEFORE_FIRST
        assert reader.get("a", valid_at=at(1), basis=before).status is Status.BEFORE_FIRST
        assert [version.valid_from for version in reader.history("a")] == [at(1), at(2), at(3)]
    assert place.notes(1, 2, 3) == [["1"], ["1", "2"], ["1", "2", "3"]]
    assert place.notes(1, 2, 3, basis=before) == [None, ["2"], ["2", "3"]]


def test_a_late_event_in_the_middle_leaves_the_old_basis_as_it_was_to_the_byte(place: Place) -> None:
    """State, event, ids, positions and interval; only what is believed now has the late event in it."""
    place.tell((1, "1"), (3, "3"), (5, "5"))
    before = place.basis()
    stored = place.stored(before)
    place.tell((2, "2"))
    assert place.stored(before) == stored
    assert place.notes(1, 2, 3, 5) == [
        ["1"],
        ["1", "2"],
        ["1", "2", "3"],
        ["1", "2", "3", "5"],
    ]
    with place.reader() as reader:
        assert reader.get("a", valid_at=at(1)).valid_to == at(2)
        assert reader.get("a", valid_at=at(1), basis=before).valid_to == at(3)


@pytest.mark.parametrize("depth", [32, 0])
def test_a_basis_pinned_before_a_late_event_answers_the_same_after_it_and_after_a_rebuild(
    place: Place, depth: int
) -> None:
    """Also where the belief is not kept as a row and has to be folded."""
    place.tell((1, "1"), (3, "3"), (4, Wiped()), (5, "5"))
    pinned = place.basis()
    told = place.notes(*HALF_HOURS, basis=pinned)
    place.tell((2, "2"), (0.5, "0"), depth=depth)
    assert place.notes(*HALF_HOURS, basis=pinned) == told
    now = place.notes(*HALF_HOURS)
    assert now != told
    place.rebuild()
    assert place.notes(*HALF_HOURS, basis=pinned) == told
    assert place.notes(*HALF_HOURS) == now


def test_a_rebuild_stores_the_same_beliefs_to_the_byte(place: Place) -> None:
    """Those of every basis, whatever the batches were."""
    bases = []
    for told in ((1, "1"), (3, "3"), (2, "2"), (4, Wiped()), (0, "0"), (3.5, Reset())):
        place.tell(told)
        bases.append(place.basis())
    stored = place.stored(*bases)
    place.rebuild()
    assert place.stored(*bases) == stored


def test_a_late_event_inside_a_deleted_gap_begins_a_life_that_ends_with_the_next_event(place: Place) -> None:
    """It inherits nothing from the life before the deletion, and the life after the gap goes on from it."""
    place.tell((1, "old"), (2, Wiped()), (4, "new"))
    before = place.basis()
    with place.reader() as reader:
        assert reader.get("a", valid_at=at(3)).status is Status.DELETED
    place.tell((3, "between"))
    assert place.notes(1, 2, 3, 4) == [["old"], None, ["between"], ["between", "new"]]
    assert place.notes(1, 2, 3, 4, basis=before) == [["old"], None, None, ["new"]]
    with place.reader() as reader:
        assert reader.get("a", valid_at=at(2)).valid_to == at(3)


def test_the_same_id_with_another_payload_is_recorded_as_a_conflict(place: Place) -> None:
    """In a batch with the first and in a later one: it changes nothing, and it can be seen."""
    place.tell((1, "first"), (1, "other"), event_id="mine")
    tally = place.tell((1, "another"), event_id="mine")
    assert (tally.applied, tally.duplicates, tally.conflicts) == (0, 0, 1)
    assert place.notes(1) == [["first"]]
    with place.reader() as reader:
        assert [each.event for each in reader.explain("a").conflicts] == [Noted(text="other"), Noted(text="another")]


def test_the_same_id_at_another_instant_is_recorded_as_a_conflict(place: Place) -> None:
    """Someone wanted to move the event; that takes a correction."""
    place.tell((1, "first"), (2, "first"), event_id="mine")
    tally = place.tell((1, "first"), (3, "first"), event_id="mine")
    assert (tally.applied, tally.duplicates, tally.conflicts) == (0, 1, 1)
    tally = place.tell((4, "later than all else"), event_id="mine")  # its id is not looked up; the store finds it
    assert (tally.applied, tally.duplicates, tally.conflicts) == (0, 0, 1)
    with place.reader() as reader:
        assert [each.occurred_at for each in reader.explain("a").conflicts] == [at(2), at(3), at(4)]
        assert [version.valid_from for version in reader.history("a")] == [at(1)]


def test_a_retracted_event_that_comes_again_is_a_duplicate(place: Place) -> None:
    """Its id stays taken for ever: whoever publishes it again does not bring it back."""
    place.tell((1, "1"))
    place.tell((2, "wrong"), event_id="mine")
    place.retract("mine")
    tally = place.tell((2, "wrong"), event_id="mine")
    assert (tally.applied, tally.duplicates, tally.conflicts) == (0, 1, 0)
    assert place.notes(2) == [["1"]]


@pytest.mark.parametrize("together", [True, False])
def test_a_broker_clock_that_goes_backwards_does_not_take_recorded_time_back(place: Place, together: bool) -> None:
    """A record counts as recorded no earlier than the one in front of it, in its batch or in one before."""
    for shown, text in ((10, "1"), (9, "2"), (11, "3")):
        place.clock.moment = at(shown)
        place.publish((at(1), text))
        if not together:
            place.project()
    place.project()
    with place.reader() as reader:
        beliefs = reader.history("a", audit=True)
        assert [belief.known_from for belief in beliefs] == [at(10), at(10), at(11)]
        assert reader.get("a", known_at=at(9)).status is Status.NEVER_EXISTED
        assert reader.get("a", known_at=at(10) - MICROSECOND).status is Status.NEVER_EXISTED
        assert reader.get("a", known_at=at(10)).require().notes == ["1", "2"]
        assert reader.get("a", known_at=at(11)).require().notes == ["1", "2", "3"]


def test_an_instant_with_an_offset_of_two_hours_is_the_same_one_in_utc(place: Place) -> None:
    """``+02:00`` equals ``Z``, for the event as for the question, and the answer is in UTC."""
    plus_two = timezone(timedelta(hours=2))
    place.publish((datetime(2026, 3, 1, 14, tzinfo=plus_two), "1"))
    place.project()
    with place.reader() as reader:
        answer = reader.get("a", valid_at=at(12))
        assert answer.require().notes == ["1"]
        assert (answer.valid_from, answer.valid_from and answer.valid_from.tzinfo) == (at(12), UTC)
        before = datetime(2026, 3, 1, 13, 59, 59, 999_999, tzinfo=plus_two)
        assert reader.get("a", valid_at=before).status is Status.BEFORE_FIRST
        assert reader.get("a", valid_at=before + MICROSECOND) == answer


def test_a_late_event_under_append_counts_from_the_latest_instant(place: Place) -> None:
    """What was true before stays as it was, at the present basis too."""
    late = Projection("heard", version=1, topic=place.topic, state=Ledger, late="append", ignore=[Skipped])
    for event in (Noted, Wiped, Reset, Poison):
        late.on(event)(place.projection.handlers[event_type(event)].function)
    place.projection = late
    place.tell((1, "1"), (3, "3"))
    place.tell((2, "2"))
    assert place.notes(1, 2, 3) == [["1"], ["1"], ["1", "3", "2"]]
    with place.reader() as reader:
        assert reader.get("a", valid_at=at(3)).valid_from == at(3)
        assert [belief.known_to for belief in reader.history("a", audit=True)][-1] is None


def test_the_basis_of_an_answer_by_known_at_gives_the_same_answer_later(place: Place) -> None:
    """It holds the instant of knowledge too, for one that lies among records that were projected already."""
    for number, (hours, text) in enumerate(((1, "1"), (3, "3"), (2, "2"))):
        place.clock.moment = at(10 + number)
        place.tell((hours, text))
    with place.reader() as reader:
        answer = reader.get("a", valid_at=at(4), known_at=at(11))
        assert answer.require().notes == ["1", "3"]
        for basis in (answer.basis, str(answer.basis)):
            again = reader.get("a", valid_at=at(4), basis=basis)
            assert (again.version, again.basis) == (answer.version, answer.basis)
            assert [version.valid_from for version in reader.history("a", basis=basis)] == [at(1), at(3)]
        why = reader.explain("a", valid_at=at(3), known_at=at(11))
        assert [fact.event for fact in why.events] == [
            Noted(text="1"),
            Noted(text="3"),
        ]


def test_an_unknown_entity_is_not_yet_projected_while_one_partition_lags(tmp_path: Path) -> None:
    """Its first record may be in the partition that is behind, so nobody can say yet that it never existed."""
    topic = ledger.topic(tmp_path / "schemas", partitions=2)
    projection, store = ledger.projection(topic), open_store(f"sqlite:///{tmp_path}/store.db")
    generation = store.prepare(blueprint(projection))
    claims = store.claim(generation, [0, 1], TopicDescription("ledger", 2, "cluster", "topic"))
    projector = Projector(projection, store, depth=32)
    for partition, hours in ((0, 10), (1, 5)):
        recorded = to_micros(at(hours), "")
        record = ledger.Writer(topic, partition).record(0, f"{partition}", Noted(text="1"), occurred_at=recorded)
        projector.apply(Owned(claims[partition], 10**6), [record], 1)
    store.close()
    with Reader(projection, f"sqlite:///{tmp_path}/store.db") as reader:
        assert reader.get("nobody", known_at=at(7)).status is Status.NOT_YET_PROJECTED
        assert reader.get("nobody", known_at=at(5)).status is Status.NEVER_EXISTED
        assert reader.get("0", known_at=at(7)).status is Status.NEVER_EXISTED
        assert reader.get("0", known_at=at(10)).status is Status.FOUND
        assert [reader.get(entity).watermark for entity in ("0", "1", "nobody")] == [at(10), at(5), at(5)]


def test_changes_leave_out_what_was_withdrawn_before_the_basis(place: Place) -> None:
    """Nothing of it is new, though the entity has a record since."""
    place.tell((1, "wrong"), event_id="mine")
    place.tell((3, "3"))
    place.retract("mine")
    since = place.basis()
    place.tell((5, "5"))
    with place.reader() as reader, reader.changes(since=since) as changes:
        assert [(each.entity_id, each.valid_from) for each in changes] == [("a", at(5))]


def test_changes_since_a_basis_that_is_not_reached_are_refused(place: Place) -> None:
    """A rebuild that is behind must not say that nothing changed."""
    place.tell((1, "1"))
    reached = place.basis()
    ahead = Basis.of("ledger", {0: Mark(reached.next_offset(0) + 1, reached[0].watermark)})
    with place.reader() as reader:
        with reader.changes(since=reached) as changes:
            assert list(changes) == []
        with pytest.raises(NotYetProjected, match="has not reached the basis"):
            reader.changes(since=ahead)


def test_a_diff_says_which_value_was_before_and_which_after(place: Place) -> None:
    """And which event came and which went, from the first point to the second."""
    place.tell((1, "1"))
    before = place.basis()
    place.tell((2, "2"))
    with place.reader() as reader:
        forwards = reader.diff("a", At(valid_at=at(3), basis=before), at(3))
        backwards = reader.diff("a", at(3), At(valid_at=at(3), basis=before))
    assert [(c.path, c.before, c.after) for c in forwards.changes] == [(("notes",), ["1"], ["1", "2"])]
    assert [(c.path, c.before, c.after) for c in backwards.changes] == [(("notes",), ["1", "2"], ["1"])]
    assert ([fact.event for fact in forwards.added], forwards.removed) == ([Noted(text="2")], ())
    assert (backwards.added, [fact.event for fact in backwards.removed]) == ((), [Noted(text="2")])
