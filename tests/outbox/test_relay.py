"""The relay: in order, done when the log has said so, shared among several, woken, and cleaning up."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from everwhen.connect import Relay
from everwhen.errors import PublishError
from everwhen.outbox import RelayObserver, RelaySettings
from everwhen.ports.outbox import SHARDS, shard_of
from everwhen.sql.outbox import SqlOutbox
from everwhen.sql.relay import SqlRelayStore
from tests.ledger import Noted
from tests.outbox.conftest import T0, Service
from tests.outbox.test_outbox import records_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from everwhen.ports.log import Acknowledged, Header, Log, LogWriter
    from everwhen.ports.outbox import Backlog

SECONDS = 30.0
QUICK = RelaySettings(poll_seconds=0.05, lease_seconds=0.6)


class Watcher(RelayObserver):
    """Counts what is sent."""

    measure_seconds = 0.0

    def __init__(self) -> None:
        self.events = 0
        self.shards = 0
        self.backlog: Backlog | None = None
        self.changed = threading.Condition()

    def sent(self, events: int, seconds: float) -> None:
        """Count."""
        with self.changed:
            self.events += events
            self.changed.notify_all()

    def shared(self, shards: int) -> None:
        """Remember."""
        with self.changed:
            self.shards = shards
            self.changed.notify_all()

    def waiting(self, backlog: Backlog) -> None:
        """Remember."""
        self.backlog = backlog

    def has_sent(self, events: int) -> None:
        """Wait until so many were sent."""
        with self.changed:
            assert self.changed.wait_for(lambda: self.events >= events, SECONDS)

    def has(self, shards: int) -> None:
        """Wait until it has so many shards."""
        with self.changed:
            assert self.changed.wait_for(lambda: self.shards == shards, SECONDS)


def publish(service: Service, entity: str, *texts: str) -> None:
    """Publish notes, each in a transaction of its own."""
    for each in texts:
        with service.engine.begin() as connection:
            service.outbox.publish(connection, entity, Noted(text=each), occurred_at=T0)


def notes(service: Service) -> list[str]:
    """What the log has, in its order."""
    decoded = (service.topic.codec.decode(record.value) for record in records_of(service.topic, service.log))
    return [event.text for event in decoded if isinstance(event, Noted)]


def test_what_commits_later_is_not_passed_over(on_postgres: Service) -> None:
    """A transaction that began first, and was queued first, commits behind one that is in the log already."""
    watcher = Watcher()
    with _running(on_postgres, watcher), on_postgres.engine.connect() as slow:
        on_postgres.outbox.publish(slow, "a", Noted(text="first"), occurred_at=T0)
        publish(on_postgres, "b", "second")
        watcher.has_sent(1)
        slow.commit()
        watcher.has_sent(2)
    assert sorted(notes(on_postgres)) == ["first", "second"]


def test_a_row_is_done_only_when_the_log_has_it(service: Service) -> None:
    """An event that the log refuses stays, with all that is behind it; what is of other entities may go."""
    large, first = _entities_of_one_shard(service)
    service.outbox._limit = 2_000_000
    publish(service, first, "fine")
    publish(service, large, "x" * 1_500_000, "behind")
    with Relay(service.topic, service.engine, service.log) as relay, pytest.raises(PublishError, match="version 1 of"):
        relay.run(until="end")
    assert notes(service) == ["fine"]
    with closing(SqlRelayStore(service.engine, service.topic.name)) as store:
        assert store.backlog().events == 2


def test_what_the_log_took_behind_a_refused_event_still_waits(service: Service) -> None:
    """The log may answer late, with records behind it on their way: the next relay sends all of the entity again."""
    publish(service, "e", "1", "2", "3")
    relay = Relay(service.topic, service.engine, service.log)
    answering = relay._log = _AnsweringLog(relay._log, refused=service.topic.codec.encode(Noted(text="1")))
    answering.answer.set()
    with relay, pytest.raises(PublishError, match="version 1 of"):
        relay.run(until="end")
    assert notes(service) == ["2", "3"]
    with Relay(service.topic, service.engine, service.log) as relay:
        assert relay.run(until="end").events == 3
    assert notes(service) == ["2", "3", "1", "2", "3"]


def test_what_waits_is_measured_while_the_log_is_silent(service: Service) -> None:
    """With a batch in hand, so an alert comes though the relay does nothing; and all is sent when the log answers."""
    watcher = Watcher()
    publish(service, "e", "1")
    running = _running(service, watcher)
    answering = running.relay._log = _AnsweringLog(running.relay._log)
    with running:
        _await(lambda: watcher.backlog is not None and watcher.backlog.events == 1)
        publish(service, "e", "2", "3")
        _await(lambda: watcher.backlog is not None and watcher.backlog.events == 3)
        assert watcher.events == 0
        answering.answer.set()
        watcher.has_sent(3)
    assert notes(service) == ["1", "2", "3"]


def test_what_is_sent_again_has_the_same_id(service: Service) -> None:
    """And is the same record altogether, so a projection applies it once."""
    publish(service, "e", "1")
    for _ in range(2):
        with service.engine.begin() as connection:  # as if the relay had died before it noted what it had sent
            connection.execute(text(f"UPDATE {_table(service)} SET sent_at = NULL"))
        with Relay(service.topic, service.engine, service.log) as relay:
            assert relay.run(until="end").events == 1
    first, second = (record._replace(offset=0, timestamp=0) for record in records_of(service.topic, service.log))
    assert first == second


def test_relays_share_the_key_space(service: Service) -> None:
    """One has all of it, two have half each, and when one leaves the other has all again."""
    one, two = Watcher(), Watcher()
    with _running(service, one):
        one.has(SHARDS)
        with _running(service, two):
            two.has(SHARDS // 2)
            one.has(SHARDS // 2)
            for number in range(20):
                publish(service, f"e{number}", "1", "2")
            _await(lambda: one.events + two.events == 40)
        one.has(SHARDS)
    assert sorted(notes(service)) == ["1"] * 20 + ["2"] * 20


def test_a_shard_is_one_relays_at_a_time(service: Service) -> None:
    """A second relay gets what the first one gives back, and nothing before."""
    with closing(SqlRelayStore(service.engine, service.topic.name)) as store:
        store.check()
        first = store.share("first", {}, 15.0)
        assert len(first) == SHARDS
        assert store.share("second", {}, 15.0) == {}
        first = store.share("first", first, 15.0)
        second = store.share("second", {}, 15.0)
        assert len(first) == len(second) == SHARDS // 2
        assert first.keys().isdisjoint(second)


def test_how_an_outbox_stands_is_told(service: Service) -> None:
    """Of each topic: what waits and since when, and the relays that live, by the database's clock."""
    publish(service, "e", "1", "2")
    with closing(SqlOutbox(service.engine)) as outbox, closing(SqlRelayStore(service.engine, "ledger")) as store:
        (waiting,) = outbox.standings()
        assert (waiting.topic, waiting.events, waiting.relays, waiting.shards) == ("ledger", 2, 0, 0)
        assert waiting.silent is None
        store.check()
        held = store.share("one", {}, 15.0)
        (relayed,) = outbox.standings()
        assert (relayed.events, relayed.oldest, relayed.relays, relayed.shards) == (2, waiting.oldest, 1, SHARDS)
        assert relayed.silent is not None
        assert 0 <= relayed.silent < SECONDS * 1_000_000
        store.done("one", held, store.pending(held, 100), 1)
        store.leave("one")
        assert outbox.standings() == [("ledger", 0, None, 0, 0, None)]


def test_a_relay_that_was_silent_is_fenced(service: Service) -> None:
    """It notes nothing of a batch once somebody else has one of its shards."""
    publish(service, "e", "1")
    with closing(SqlRelayStore(service.engine, service.topic.name)) as store:
        store.check()
        held = store.share("old", {}, 15.0)
        (event,) = store.pending(held, 100)
        taken = store.share("new", {}, 0.0)  # to a relay that waits for nobody every other one was silent for too long
        assert taken.keys() == held.keys()
        assert store.done("old", {event.shard: held[event.shard]}, [event], 1) == set()
        assert store.backlog().events == 1
        again = store.share("old", {}, 0.0)
        assert store.done("old", {event.shard: again[event.shard] - 2}, [event], 1) == set()
        assert store.backlog().events == 1
        assert store.done("old", {event.shard: again[event.shard]}, [event], 1) == {event.shard}
        assert store.backlog().events == 0


def test_a_commit_wakes_a_relay(on_postgres: Service) -> None:
    """Which would look again in a minute only."""
    watcher = Watcher()
    with _running(on_postgres, watcher, replace(QUICK, poll_seconds=60.0, lease_seconds=600.0)):
        publish(on_postgres, "e", "1")
        watcher.has_sent(1)
        publish(on_postgres, "e", "2")
        watcher.has_sent(2)
    assert notes(on_postgres) == ["1", "2"]


def test_rows_that_were_sent_are_removed_but_for_the_last(service: Service) -> None:
    """The last row of an entity keeps its version, without its payload, and publishing goes on from there."""
    publish(service, "e", "1", "2", "3")
    publish(service, "f", "1")
    with Relay(service.topic, service.engine, service.log) as relay:
        relay.run(until="end")
    publish(service, "e", "4")
    with closing(SqlRelayStore(service.engine, service.topic.name)) as store:
        store.check()
        assert store.remove(0, 100) == 0  # none is so old
        assert store.remove(1 << 60, 100) == 4
        assert store.remove(1 << 60, 100) == 0
        assert _rows(service) == [("e", 3, False), ("e", 4, True), ("f", 1, False)]
        publish(service, "f", "2")
        with Relay(service.topic, service.engine, service.log) as relay:
            assert relay.run(until="end").events == 2
        assert store.remove(1 << 60, 100) == 2
    assert _rows(service) == [("e", 4, False), ("f", 2, False)]


def test_a_removal_waits_for_no_other(on_postgres: Service) -> None:
    """Two that waited for each other's rows would be a deadlock; what another one has is left to it."""
    publish(on_postgres, "e", "1", "2", "3")
    with Relay(on_postgres.topic, on_postgres.engine, on_postgres.log) as relay:
        relay.run(until="end")
    with closing(SqlRelayStore(on_postgres.engine, on_postgres.topic.name)) as store:
        store.check()
        with on_postgres.engine.begin() as other:
            other.execute(text("SELECT FROM everwhen.outbox WHERE version = 1 FOR UPDATE"))
            with ThreadPoolExecutor(1) as pool:
                assert pool.submit(store.remove, 1 << 60, 100).result(SECONDS) == 2
        assert _rows(on_postgres) == [("e", 1, True), ("e", 3, False)]
        assert store.remove(1 << 60, 100) == 1
    assert _rows(on_postgres) == [("e", 1, False), ("e", 3, False)]


def _rows(service: Service) -> list[tuple[str, int, bool]]:
    asked = f"SELECT aggregateid, version, payload IS NOT NULL FROM {_table(service)} ORDER BY 1, 2"
    with service.engine.connect() as connection:
        return [(entity, version, bool(has)) for entity, version, has in connection.execute(text(asked))]


def _table(service: Service) -> str:
    return "everwhen_outbox" if service.engine.dialect.name == "sqlite" else "everwhen.outbox"


def _entities_of_one_shard(service: Service) -> tuple[str, str]:
    """Two names that are read by one question, so that their order in a batch is that in which they were queued."""
    first = next(f"e{n}" for n in range(1, 1000) if shard_of(f"e{n}".encode()) == shard_of(b"e0"))
    return "e0", first


def _running(service: Service, watcher: Watcher, settings: RelaySettings = QUICK) -> _Running:
    return _Running(Relay(service.topic, service.engine, service.log, settings=settings, observer=watcher))


class _Running:
    """A relay in a thread, for as long as a block."""

    def __init__(self, relay: Relay) -> None:
        self.relay = relay
        self._pool = ThreadPoolExecutor(1)

    def __enter__(self) -> None:
        self._done = self._pool.submit(self.relay.run)

    def __exit__(self, *_: object) -> None:
        self.relay.stop()
        self._done.result(SECONDS)
        self._pool.shutdown()
        self.relay.close()


class _AnsweringLog:
    """A log that answers when it is told to, and may refuse a value."""

    def __init__(self, log: Log, refused: bytes | None = None) -> None:
        self.answer = threading.Event()
        self.refused = refused
        self._log = log

    def writer(self, topic: str) -> LogWriter:
        """Open a writer that does so."""
        return _AnsweringWriter(self, self._log.writer(topic))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)


class _AnsweringWriter:
    def __init__(self, log: _AnsweringLog, writer: LogWriter) -> None:
        self._log = log
        self._writer = writer
        self._answers: list[Callable[[], None]] = []

    def send(self, key: bytes, value: bytes | None, headers: Sequence[Header], acknowledged: Acknowledged) -> None:
        """Pass it on, and keep the answer."""
        if value == self._log.refused:
            self._answers.append(lambda: acknowledged(None, PublishError("refused")))
        else:
            self._writer.send(
                key, value, headers, lambda at, error: self._answers.append(partial(acknowledged, at, error))
            )

    def poll(self, timeout: float) -> None:
        """Hand out what was answered, if it is time."""
        self._writer.poll(0 if self._log.answer.is_set() else timeout)
        while self._log.answer.wait(timeout) and self._answers:
            self._answers.pop(0)()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)


def _await(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
