"""Publishing in the caller's own transaction: the same record as a publisher's, or nothing at all."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from everwhen import NEW, Outbox, Publisher, Reader, Status, Topic, Worker
from everwhen.connect import LogTarget, Relay, open_log, open_outbox
from everwhen.errors import ArgumentError, EventTooLarge, StoreError, StoreMismatch
from everwhen.outbox import OutboxReceipt
from tests import ledger
from tests.ledger import Noted, Wiped
from tests.outbox.conftest import T0, Service

if TYPE_CHECKING:
    from pathlib import Path

    from everwhen.ports.log import Record


class _Ticking:
    """A clock that two publishers see alike."""

    def now(self) -> int:
        """Return the same instant each time."""
        return 1_772_323_200_123_456


def test_what_is_rolled_back_was_never_published(service: Service) -> None:
    """Of three transactions the one that is rolled back leaves no event and no hole."""
    for number in range(3):
        with service.engine.connect() as connection:
            service.outbox.publish(connection, "e", Noted(text=str(number)), occurred_at=T0)
            if number != 1:
                connection.commit()
    with Relay(service.topic, service.engine, service.log) as relay:
        assert relay.run(until="end").events == 2
    assert [value for _, value, _ in _records(service)] == [service.topic.codec.encode(Noted(text=t)) for t in "02"]


def test_the_record_is_the_one_that_a_publisher_sends(service: Service, tmp_path: Path) -> None:
    """Key, value and headers, byte for byte and in their order, also of corrections and retractions."""
    trace = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
    ids = {"correlation_id": "c-\u00fc", "causation_id": "cause"}
    told: dict[str, Any] = {**ids, **trace}
    other = f"sqlite:///{tmp_path / 'other.db'}"
    with Publisher(service.topic, other, clock=_Ticking()) as publisher:
        publisher.publish("\u00e9-1", Noted(text="x"), event_id="1", **told)
        publisher.publish("\u00e9-1", Wiped(), event_id="2", occurred_at=T0 + timedelta(microseconds=1))
        publisher.correct("1", Noted(text="y"), entity_id="\u00e9-1", occurred_at=T0, correction_id="3", **told)
        publisher.retract("2", entity_id="\u00e9-1", reason="a test", retraction_id="4", **told)
    outbox = Outbox(service.topic, service.engine, clock=_Ticking())
    with Session(service.engine) as session, session.begin():
        outbox.publish(session, "\u00e9-1", Noted(text="x"), event_id="1", **told)
        outbox.publish(session, "\u00e9-1", Wiped(), event_id="2", occurred_at=T0 + timedelta(microseconds=1))
        outbox.correct(session, "1", Noted(text="y"), entity_id="\u00e9-1", occurred_at=T0, correction_id="3", **told)
        last = outbox.retract(session, "2", entity_id="\u00e9-1", reason="a test", retraction_id="4", **told)
    assert last == OutboxReceipt("\u00e9-1", "4", 4, service.topic.name)
    with Relay(service.topic, service.engine, service.log) as relay:
        relay.run(until="end")
    assert _records(service) == _of(service.topic, other)


def test_its_token_is_reached_once_the_event_is_projected(service: Service, tmp_path: Path) -> None:
    """Not while it waits in the outbox, nor while it stands in the log and nobody projected it."""
    projection, store = ledger.projection(service.topic), f"sqlite:///{tmp_path / 'store.db'}"
    with Session(service.engine) as session, session.begin():
        first = service.outbox.publish(session, "e", Noted(text="x"), occurred_at=T0)
    with Relay(service.topic, service.engine, service.log) as relay:
        relay.run(until="end")
    Worker(projection, service.log, store).run(until="end")
    with Session(service.engine) as session, session.begin():
        second = service.outbox.publish(session, "e", Noted(text="y"), occurred_at=T0)
    with Reader(projection, store) as reader:
        assert reader.get("e", at_least=first.token, timeout=0).status is Status.FOUND
        assert reader.get("e", at_least=second.token, timeout=0).status is Status.NOT_YET_PROJECTED
        with Relay(service.topic, service.engine, service.log) as relay:
            relay.run(until="end")
        assert reader.get("e", at_least=second.token, timeout=0).status is Status.NOT_YET_PROJECTED
        Worker(projection, service.log, store).run(until="end")
        assert reader.get("e", at_least=second.token, timeout=0).status is Status.FOUND


@pytest.mark.parametrize("kind", ["connection", "session"])
def test_an_asyncio_transaction_publishes_too(service: Service, kind: str) -> None:
    """The same, awaited; and rolled back, nothing."""
    url = make_url(service.url)
    if url.get_backend_name() == "sqlite":
        url = url.set(drivername="sqlite+aiosqlite")

    async def publish() -> list[int]:
        engine = create_async_engine(url)
        try:
            async with AsyncSession(engine) if kind == "session" else engine.connect() as transaction:
                kept = await service.outbox.publish_async(transaction, "e", Noted(text="1"), expected=NEW)
                await transaction.commit()
                gone = await service.outbox.publish_async(transaction, "e", Noted(text="2"), expected=kept.version)
                await transaction.rollback()
        finally:
            await engine.dispose()
        return [kept.version, gone.version]

    assert asyncio.run(publish()) == [1, 2]
    with service.engine.connect() as connection:
        assert service.outbox.version(connection, "e") == 1


def test_a_role_that_may_only_select_and_insert_publishes(on_postgres: Service) -> None:
    """A service needs no more rights than that; and with these it can neither change nor remove an event."""
    role = f"service_{secrets.token_hex(4)}"
    with on_postgres.engine.begin() as connection:
        connection.execute(text(f"CREATE ROLE {role} LOGIN PASSWORD 'x'"))
    with closing(open_outbox(on_postgres.engine)) as tables:
        tables.grant(role, relaying=False)
    engine = create_engine(make_url(on_postgres.url).set(username=role, password="x"))
    try:
        with engine.begin() as connection:
            on_postgres.outbox.publish(connection, "e", Noted(text="1"), expected=NEW)
            on_postgres.outbox.publish(connection, "e", Noted(text="2"))
        for statement in ("UPDATE everwhen.outbox SET version = 9", "DELETE FROM everwhen.outbox"):
            with pytest.raises(Exception, match="permission denied"), engine.begin() as connection:
                connection.execute(text(statement))
    finally:
        engine.dispose()
        with on_postgres.engine.begin() as connection:
            connection.execute(text(f"DROP OWNED BY {role}; DROP ROLE {role}"))


def test_what_cannot_be_meant_is_refused(service: Service) -> None:
    """Before anything is written: no transaction, a version that is none, an event that no topic takes."""
    outbox, event = service.outbox, Noted(text="x")
    each = service.engine.execution_options(isolation_level="AUTOCOMMIT")
    with each.connect() as connection, pytest.raises(ArgumentError, match="commits each statement by itself"):
        outbox.publish(connection, "e", event)
    with service.engine.begin() as connection:
        for version in (-1, True, "1"):
            with pytest.raises(ArgumentError, match="expected must be"):
                outbox.publish(connection, "e", event, expected=version)  # type: ignore[arg-type]
        with pytest.raises(EventTooLarge):
            outbox.publish(connection, "e", Noted(text="x" * 1_000_000))
        with pytest.raises(ArgumentError, match="AsyncSession await publish_async"):
            outbox.publish(object(), "e", event)  # type: ignore[arg-type]
        assert outbox.version(connection, "e") == NEW


def test_a_transaction_of_another_kind_of_database_is_refused(on_postgres: Service, tmp_path: Path) -> None:
    """The event would lie where no relay looks."""
    other = create_engine(f"sqlite:///{tmp_path / 'other.db'}")
    with other.begin() as connection, pytest.raises(ArgumentError, match="in a transaction of that database"):
        on_postgres.outbox.publish(connection, "e", Noted(text="x"))


def test_without_its_tables_it_says_how_to_make_them(tmp_path: Path, service: Service) -> None:
    """And makes them in the transaction of somebody's migration."""
    engine = create_engine(f"sqlite:///{tmp_path / 'empty.db'}")
    outbox = Outbox(service.topic, engine)
    with engine.connect() as connection, pytest.raises(StoreError, match="everwhen outbox init"):
        outbox.publish(connection, "e", Noted(text="x"))
    with pytest.raises(StoreMismatch, match="everwhen outbox init"):
        Relay(service.topic, engine, service.log).run(until="end")
    with engine.begin() as migration:
        assert outbox.create_tables(migration)
        assert not outbox.create_tables(migration)
        outbox.publish(migration, "e", Noted(text="x"))
    with engine.begin() as connection:
        connection.execute(text("UPDATE everwhen_outbox_meta SET schema_version = 99"))
    with pytest.raises(StoreMismatch, match="version 99"):
        outbox.create_tables()


def _records(service: Service) -> list[tuple[Any, Any, Any]]:
    return _of(service.topic, service.log)


def _of(topic: Topic, url: str) -> list[tuple[Any, Any, Any]]:
    """The records of a log in a file, partition by partition."""
    return [(each.key, each.value, list(each.headers)) for each in records_of(topic, url)]


class _FromTheStart:
    """Takes all partitions from their first record on."""

    def assigned(self, partitions: Any) -> dict[int, int]:
        """Begin at 0."""
        return dict.fromkeys(partitions, 0)

    def revoked(self, partitions: Any, *, lost: bool) -> None:
        """Nothing is kept."""


def records_of(topic: Topic, target: LogTarget) -> list[Record]:
    """Read a log to its end."""
    numbers = range(topic.partitions)
    found: list[Record] = []
    with closing(open_log(target)) as log:
        wanted = sum(bounds.end - bounds.start for bounds in log.bounds(topic.name, numbers).values())
        with closing(log.consumer(topic.name, _FromTheStart(), group="test", partitions=numbers)) as consumer:
            while len(found) < wanted:
                found += consumer.poll(1000, 5.0).records
    return sorted(found, key=lambda record: (record.partition, record.offset))
