"""Pruned history beside a worker: what is kept, what stays known, and what happens to records that come too late."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from everwhen import Projection, Publisher, Reader, Status, Worker, WorkerSettings
from everwhen.connect import open_store
from everwhen.errors import ArgumentError, HistoryTruncated
from everwhen.instants import to_micros
from everwhen.ports.answers import EntityRows
from everwhen.ports.pruning import Pruned
from everwhen.positions import Basis, Mark
from everwhen.projection import Tally
from everwhen.sql import pruning
from everwhen.sql.reader import SqlReader
from everwhen.testing.parts.postgres import PostgresAddress
from everwhen.worker import roll_back
from tests.ledger import Ledger, Noted, Poison
from tests.worker.test_corrections import Place, at, local


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A fresh one, with its store in either database."""
    made = local(tmp_path)
    if request.param == "sqlite":
        yield made
        return
    postgres: PostgresAddress = request.getfixturevalue("postgres")
    url = postgres.database()
    yield Place(made.log, url, made.topic)
    postgres.drop(url)


def prune(place: Place, hours: int) -> Pruned:
    """Drop the history before an instant, as the command does."""
    with closing(open_store(place.store)) as store:
        source = store.pruning("ledger")
        expected, done = source.outlook(to_micros(at(hours), "")), Pruned()
        for portion in source.portions(to_micros(at(hours), "")):
            done = done.plus(portion)
    assert done == expected
    return done


def kept(place: Place) -> list[str]:
    """The event ids of the entity's versions."""
    with closing(open_store(place.store)) as store:
        return [row.event_id for row in store.reader("ledger").rows("a").versions]


def waiting(place: Place) -> list[tuple[str | None, str | None]]:
    """Error and text of all records that are kept aside and not discarded."""
    with closing(open_store(place.store)) as store:
        rows = store.quarantine("ledger").records()
    return [(row.error_class, row.error) for row in rows if row.status != "discarded"]


def discard_all(place: Place) -> None:
    """Discard what failed, and let a worker carry it out."""
    with closing(open_store(place.store)) as store:
        asked = store.quarantine("ledger")
        for row in asked.records():
            if row.status == "failed":
                asked.ask("discard", position=(row.partition, row.offset), reason="too late")
    place.project()


def told(place: Place, *hours: int) -> list[str]:
    """Note something at each hour, and project it; return the ids."""
    ids = [place.note(str(hour), hour) for hour in hours]
    place.project()
    return ids


def test_what_is_valid_at_the_instant_stays_and_what_was_before_is_truncated(place: Place) -> None:
    """The state holds what the dropped events led to; history begins with it and says that there was more."""
    ids = told(place, 1, 2, 3, 5)
    assert prune(place, 4) == Pruned(entities=1, versions=2)
    assert kept(place) == ids[2:]
    assert place.notes(4) == ["1", "2", "3"]
    assert place.notes(5) == ["1", "2", "3", "5"]
    assert place.ask(hours=3).status is Status.TRUNCATED
    with pytest.raises(HistoryTruncated):
        place.ask(hours=1).require()
    with Reader(place.projection, place.store) as reader:
        history = reader.history("a")
        assert (history.status, [version.valid_from for version in history]) == (Status.TRUNCATED, [at(3), at(5)])
        assert [answer.status for answer in reader.snapshot(valid_at=at(2))] == [Status.TRUNCATED]
        assert [answer.status for answer in reader.snapshot(valid_at=at(4))] == [Status.FOUND]
    assert prune(place, 4) == prune(place, 1) == Pruned()
    assert prune(place, 6) == Pruned(entities=1, versions=1)


def test_an_event_at_the_instant_itself_is_kept_and_can_still_be_withdrawn(place: Place) -> None:
    """The state before it is kept for that; history does not show it."""
    ids = told(place, 1, 2, 4, 5)
    prune(place, 4)
    assert kept(place) == ids[1:]
    with Reader(place.projection, place.store) as reader:
        assert [version.valid_from for version in reader.history("a")] == [at(4), at(5)]
    place.retract(ids[2])
    place.project()
    assert place.notes(5) == ["1", "2", "5"]
    assert place.notes(4) == ["1", "2"]


def test_an_id_that_was_dropped_is_known_for_ever(place: Place) -> None:
    """The same record again is a duplicate, another payload under its id a conflict; withdrawn ids are known too."""
    place.note("1", 1, event_id="one")
    place.note("2", 2, event_id="two")
    place.retract("two", retraction_id="gone")
    place.note("3", 3)
    place.project()
    assert prune(place, 4) == Pruned(entities=1, versions=1, superseded=1)
    place.note("1", 1, event_id="one")
    place.note("2", 2, event_id="two")
    place.retract("two", retraction_id="gone")
    assert place.project() == Tally(duplicates=3)
    place.note("other", 1, event_id="one")
    place.note("1", 2, event_id="one")
    place.retract("two", retraction_id="again")
    assert place.project() == Tally(conflicts=2, applied=1)
    assert place.notes() == ["1", "3"]


def test_changes_begin_no_later_than_where_what_was_dropped_may_have_counted(place: Place) -> None:
    """What an event said was true until the next one; that it was withdrawn changes all of it, dropped or not."""
    moved = place.note("1", 1)
    place.project()
    since = place.basis()
    place.correct(moved, "1", 5)
    place.project()
    with Reader(place.projection, place.store) as reader:
        assert [each.valid_from for each in reader.changes(since)] == [at(1)]
        prune(place, 2)
        assert reader.get("a", valid_at=at(3), basis=since).status is Status.TRUNCATED
        assert [each.valid_from for each in reader.changes(since)] == [at(2)]


@pytest.mark.parametrize("late", ["event", "retraction", "correction", "retraction of what was kept"])
def test_a_record_that_would_change_what_was_dropped_parks_its_entity(place: Place, late: str) -> None:
    """Until it is discarded; what waited behind it is applied then, and no answer was wrong in between."""
    ids = told(place, 1, 2, 3, 5)
    prune(place, 4)
    if late == "event":
        place.note("late", 2)
    elif late == "correction":
        place.correct(ids[1], "right", 6)
    else:
        place.retract(ids[0] if late == "retraction" else ids[2])
    place.note("6", 6)
    assert place.project() == Tally(parked=2)
    (failed, _), (error, message) = waiting(place)[::-1]
    assert (failed, error) == (None, "PrunedEvent")
    assert message is not None
    assert "'a'" in message
    assert at(4).isoformat() in message
    assert (place.ask(hours=6).status, place.ask(hours=6).state) == (
        Status.QUARANTINED,
        Ledger(notes=["1", "2", "3", "5"]),
    )
    assert place.ask(hours=2).status is Status.TRUNCATED
    with Reader(place.projection, place.store) as reader:
        for history in reader.history("a"), reader.history("a", audit=True):
            assert (history.status, history.pruned_before) == (Status.QUARANTINED, at(4))
    discard_all(place)
    assert waiting(place) == []
    assert place.notes() == ["1", "2", "3", "5", "6"]


def test_a_late_event_after_the_instant_is_put_in_its_place(place: Place) -> None:
    """On top of the state that was kept; the basis before it is as it was."""
    told(place, 1, 2, 6)
    prune(place, 4)
    before = place.basis()
    told(place, 5)
    assert place.notes() == ["1", "2", "5", "6"]
    assert place.notes(basis=before) == ["1", "2", "6"]


def test_an_answer_that_is_folded_while_its_history_is_dropped_is_truncated(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows to fold are read after the head; an event that is gone by then must not count as one that never was."""
    told(place, 1, 3, 5)
    for hour in (4, 2):
        place.note(str(hour), hour)
    with Worker(place.projection, place.log, place.store, settings=WorkerSettings(depth=0)) as worker:
        worker.run(until="end")
    read, cuts = SqlReader.rows, iter((3, 4))

    def prune_first(reader: SqlReader, entity_id: str) -> EntityRows:
        prune(place, next(cuts))
        return read(reader, entity_id)

    with Reader(place.projection, place.store) as reader:
        now = reader.get("a").basis
        before = Basis.of(
            now.topic, {n: Mark(mark.next_offset - 1, mark.watermark) for n, mark in now.items() if mark[0]}
        )
        monkeypatch.setattr(SqlReader, "rows", prune_first)
        answer = reader.get("a", valid_at=at(2), basis=before)
        assert (answer.status, answer.folded) == (Status.TRUNCATED, False)
        history = reader.history("a", basis=before)
        assert (history.status, history.pruned_before) == (Status.TRUNCATED, at(4))
    assert next(cuts, None) is None


def test_a_parked_entity_is_left_as_it_is(place: Place) -> None:
    """What waits may belong before the instant; once it goes on, it can be pruned."""
    told(place, 1, 2)
    with Publisher(place.topic, place.log) as publisher:
        publisher.publish("a", Poison(), occurred_at=at(3))
    place.project()
    assert prune(place, 4) == Pruned(parked=1)
    assert len(kept(place)) == 2
    discard_all(place)
    assert prune(place, 4) == Pruned(entities=1, versions=1)


def test_what_was_interrupted_is_done_by_the_next_run(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each portion is done when it is yielded, and only those that are left are done again."""
    monkeypatch.setattr(pruning, "_ENTITIES_AT_ONCE", 2)
    with place.publishing() as publisher:
        for entity in "abcde":
            for hour in (1, 2):
                publisher.publish(entity, Noted(text="x"), occurred_at=at(hour))
    place.project()
    with closing(open_store(place.store)) as store:
        first = next(store.pruning("ledger").portions(to_micros(at(4), "")))
    assert 0 < first.entities <= 2
    assert first.plus(prune(place, 4)) == Pruned(entities=5, versions=5)


def test_a_partition_does_not_go_back_where_history_was_pruned(place: Place) -> None:
    """Its entities cannot be folded again from what is stored; nothing is changed."""
    told(place, 1, 2)
    prune(place, 4)
    position = place.ask().position
    assert position is not None
    projection: Projection[Ledger] = place.projection
    with closing(open_store(place.store)) as store, pytest.raises(ArgumentError, match=r"'a' .* was pruned"):
        roll_back(projection, store, position.partition, 0, "tried")
    assert place.notes() == ["1", "2"]
