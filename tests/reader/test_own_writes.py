"""Reading one's own writes: waiting for tokens, on both databases."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from everwhen import Position, Publisher, Reader, Status, Topic, Worker
from everwhen.connect import open_store
from everwhen.errors import ArgumentError, NotYetProjected, ProjectionNotFound
from everwhen.local import LocalLog
from everwhen.tokens import EventToken, PositionToken, Token, read_token
from tests import ledger
from tests.generations import Bench, Told
from tests.ledger import Noted, Poison, Skipped
from tests.longer import times
from tests.running import running

T0 = datetime(2026, 3, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
PATIENCE = 30
"""Seconds."""
ROUNDS = times(200)


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Both databases."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.db"
    return str(request.getfixturevalue("postgres_url"))


class Place:
    """A log in a file, a store, and a projection."""

    def __init__(self, directory: Path, store: str) -> None:
        self.topic: Topic = ledger.topic(directory / "schemas")
        self.projection = ledger.projection(self.topic)
        self.log = f"sqlite:///{directory}/log.db"
        self.store = store

    def publisher(self) -> Publisher:
        """Open a publisher."""
        return Publisher(self.topic, self.log)

    def reader(self) -> Reader[Any]:
        """Open a reader without the code."""
        return Reader("ledger", self.store)

    @contextmanager
    def worker(self) -> Iterator[None]:
        """Run a worker."""
        with running(Worker(self.projection, self.log, self.store)) as failed:
            yield
        assert failed == []

    def project(self) -> None:
        """Project all there is."""
        with Worker(self.projection, self.log, self.store) as worker:
            worker.run(until="end")


@pytest.fixture
def place(tmp_path: Path, store: str) -> Place:
    """A fresh one."""
    return Place(tmp_path, store)


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, with a deadline."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_no_read_with_a_token_is_stale(place: Place) -> None:
    """Four clients publish and read at once, each with a reader of its own or a common one, by both kinds of token.

    The state holds what was just published, every time; ``EVERWHEN_TEST_LONGER=50`` plays 10,000 rounds.
    """

    def play(client: int) -> int:
        stale = 0
        with place.reader() as own:
            for number in range(ROUNDS // 4):
                entity, text = f"e{client}-{number % 20}", str(number)
                receipt = publisher.publish(entity, Noted(text=text), occurred_at=T0 + number * MINUTE)
                token = str(EventToken(place.topic.name, entity, receipt.event_id)) if number % 2 else receipt.token
                answer = (own if client % 2 else common).get(entity, at_least=token, timeout=PATIENCE)
                stale += answer.require()["notes"][-1] != text
        return stale

    with place.publisher() as publisher, place.worker(), place.reader() as common, ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(play, range(4))) == 0


def test_an_answer_says_how_far_the_projection_is_when_the_time_is_up(place: Place) -> None:
    """It is typed, has no state, and what ``require`` raises says the same; for both kinds of token."""
    with place.publisher() as publisher, place.reader() as reader:
        receipt = publisher.publish("a", Noted(text="1"), occurred_at=T0)
        with pytest.raises(ProjectionNotFound):
            reader.get("a", at_least=receipt, timeout=0)
        with pytest.raises(NotYetProjected, match="nothing was projected under this name yet"):
            reader.wait_for(receipt.token, timeout=0)
        place.project()
        assert reader.get("a", at_least=receipt, timeout=0).require() == {"notes": ["1"]}
        assert reader.wait_for(receipt.token, timeout=0).covers(receipt.position)
        second = publisher.publish("a", Noted(text="2"), occurred_at=T0)
        by_id = EventToken("ledger", "a", second.event_id)
        for written, said in ((second, f"{second.position} within 0.01 s; it is at offset"), (by_id, by_id.described)):
            answer = reader.get("a", at_least=written, timeout=0.01)
            assert (answer.status, answer.version, answer.final) == (Status.NOT_YET_PROJECTED, None, False)
            assert answer.behind is not None
            assert said in answer.behind
            assert answer.basis.covers(receipt.position)
            with pytest.raises(NotYetProjected, match="has not reached"):
                answer.require()


def test_an_event_is_found_by_its_id_whatever_became_of_it(place: Place) -> None:
    """It counts, withdrew or was withdrawn, came twice, cannot be applied, or waits behind one that cannot."""
    with place.publisher() as publisher:
        counts = publisher.publish("a", Noted(text="2"), occurred_at=T0 + MINUTE)
        late = publisher.publish("a", Noted(text="1"), occurred_at=T0)
        gone = publisher.publish("a", Noted(text="x"), occurred_at=T0)
        retracts = publisher.retract(gone.event_id, entity_id="a")
        corrects = publisher.correct(late.event_id, Noted(text="0"), entity_id="a", occurred_at=T0)
        early = publisher.correct("early", Noted(text="9"), entity_id="a", occurred_at=T0)
        target = publisher.publish("a", Noted(text="8"), occurred_at=T0, event_id="early")
        twice = [publisher.publish("a", Noted(text=text), occurred_at=T0, event_id="twice") for text in "777"]
        poison = publisher.publish("b", Poison(), occurred_at=T0, event_id="it's 100 % \u00fc")
        waits = publisher.publish("b", Noted(text="1"), occurred_at=T0)
        ignored = publisher.publish("c", Skipped(), occurred_at=T0)
    place.project()
    with place.reader() as reader:
        for each in (counts, late, gone, retracts, corrects, early, target, *twice, poison, waits):
            assert reader.wait_for(EventToken("ledger", each.entity_id, each.event_id), timeout=0)
        for entity, event_id in (("b", counts.event_id), ("a", "twic"), ("a", "twice2"), ("c", ignored.event_id)):
            with pytest.raises(NotYetProjected):
                reader.wait_for(EventToken("ledger", entity, event_id), timeout=0)
        parked = reader.get("b", at_least=EventToken("ledger", "b", waits.event_id), timeout=0)
        assert parked.status is Status.QUARANTINED
        assert reader.wait_for(ignored, timeout=0)


def test_a_token_of_another_log_is_refused(place: Place, tmp_path: Path) -> None:
    """Of another topic, of a topic that was made again, of another cluster: their offsets mean other records."""
    with place.publisher() as publisher:
        token = read_token(publisher.publish("a", Noted(text="1"), occurred_at=T0).token)
    place.project()
    log = LocalLog(tmp_path / "log.db")
    log.delete_topic("ledger")
    log.close()
    with place.publisher() as publisher:
        again = read_token(publisher.publish("a", Noted(text="1"), occurred_at=T0).token)
    with Publisher(place.topic, f"sqlite:///{tmp_path}/other.db") as publisher:
        elsewhere = read_token(publisher.publish("a", Noted(text="1"), occurred_at=T0).token)
    wrong: list[tuple[Token, str]] = [
        (again, "another topic id"),
        (elsewhere, "another cluster"),
        (EventToken("other", "a", "b"), "of topic other"),
        (PositionToken(Position("other", 0, 0)), "of topic other"),
    ]
    with place.reader() as reader:
        assert reader.get("a", at_least=str(token), timeout=0).require()
        for each, said in wrong:
            with pytest.raises(ArgumentError, match=said):
                reader.get("a", at_least=str(each), timeout=0)
        with pytest.raises(ArgumentError, match="at_least or basis"):
            reader.get("a", at_least=token, basis=reader.get("a").basis)


def test_waiting_follows_a_switch(tmp_path: Path, store: str) -> None:
    """The generation that answers when the wait begins never reaches the event; the one that takes its place has."""
    bench = Bench(tmp_path, store)
    bench.tell([Told("a", 1, "x")])
    bench.project()
    bench.tell([Told("a", 2, "y")])
    assert bench.rebuild() == 2
    reached = PositionToken(Position("ledger", _partition_of(bench, "a"), 1))
    with bench.reader() as reader, ThreadPoolExecutor(1) as pool:
        with pytest.raises(NotYetProjected):
            reader.wait_for(reached, timeout=0)
        answer = pool.submit(reader.get, "a", at_least=reached, timeout=PATIENCE)
        bench.switch(2)
        assert answer.result().require() == {"by": 2, "notes": ["X", "y"]}


def _partition_of(bench: Bench, entity: str) -> int:
    with bench.reader() as reader:
        position = reader.get(entity).position
    assert position is not None
    return position.partition


def test_a_batch_is_heard_of(tmp_path: Path, postgres_url: str) -> None:
    """On PostgreSQL a wait is woken by the batch that brings its event, and by no other partition's.

    All who wait share one connection beside the pool, which goes when the store is closed.
    """
    place = Place(tmp_path, postgres_url)
    with place.publisher() as publisher:
        publisher.publish("a", Noted(text="1"), occurred_at=T0)
    place.project()
    store = open_store(postgres_url)
    heard: list[Any] = []
    with store.listening("ledger", heard.append) as one, store.listening("ledger", lambda moved: None) as other:
        until(lambda: one.active and other.active)
        assert heard == [None]
        with place.publisher() as publisher:
            position = publisher.publish("a", Noted(text="2"), occurred_at=T0).position
        place.project()
        until(lambda: len(heard) > 1)
        assert heard[1:] == [(1, position.partition, position.offset + 1)]
    assert _listeners() == 1
    store.close()
    assert _listeners() == 0
    assert not one.active


def test_waiting_goes_on_without_notifications(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the database does not let us listen, as one that only follows another."""
    place = Place(tmp_path, postgres_url)
    monkeypatch.setattr("everwhen.sql.listening._channel", lambda projection: "(")
    with place.publisher() as publisher, place.reader() as reader, place.worker():
        receipt = publisher.publish("a", Noted(text="1"), occurred_at=T0)
        assert reader.get("a", at_least=receipt, timeout=PATIENCE).require() == {"notes": ["1"]}
        until(lambda: _listeners() == 0)


def _listeners() -> int:
    return sum(thread.name.startswith("everwhen-listener") for thread in threading.enumerate())
