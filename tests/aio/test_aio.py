"""Publishing, asking and waiting on an event loop that is never blocked, on both databases."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from everwhen import Position, Publisher, Reader, Status, Worker
from everwhen.aio import AsyncPublisher, AsyncReader
from everwhen.connect import open_log
from everwhen.errors import ArgumentError, ClosedError, NotYetProjected, PublishError
from everwhen.local import LocalLog
from everwhen.ports.clock import SystemClock
from everwhen.publisher import Publisher as PlainPublisher
from everwhen.testing.parts import KafkaAddress
from everwhen.tokens import PositionToken
from tests import ledger
from tests.ledger import Noted
from tests.running import running

T0 = datetime(2026, 3, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
PATIENCE = 30
"""Seconds."""
NEVER = PositionToken(Position("ledger", 0, 10**9))


class Place:
    """A log, a store and a projection."""

    def __init__(self, directory: Path, store: str) -> None:
        self.topic = ledger.topic(directory / "schemas")
        self.projection = ledger.projection(self.topic)
        self.path = directory / "log.db"
        self.log = f"sqlite:///{self.path}"
        self.store = store
        LocalLog(self.path).create_topic("ledger", 2)

    @asynccontextmanager
    async def open(self, threads: int = 8) -> AsyncIterator[tuple[AsyncPublisher, AsyncReader[ledger.Ledger]]]:
        """Open both, beside a worker."""
        with running(Worker(self.projection, self.log, self.store)) as failed:
            async with (
                AsyncPublisher(Publisher(self.topic, self.log)) as publisher,
                AsyncReader(Reader(self.projection, self.store), threads=threads) as reader,
            ):
                yield publisher, reader
        assert failed == []


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """On both databases."""
    if request.param == "sqlite":
        return Place(tmp_path, f"sqlite:///{tmp_path}/store.db")
    return Place(tmp_path, request.getfixturevalue("postgres_url"))


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, with a deadline."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def test_clients_of_one_loop_read_what_they_wrote(place: Place) -> None:
    """Many at once: each publishes, gets a receipt that is settled, and reads its own write by the token."""

    async def client(publisher: AsyncPublisher, reader: AsyncReader[ledger.Ledger], number: int) -> None:
        for turn in range(5):
            receipt = await publisher.publish(f"e{number}", Noted(text=str(turn)), occurred_at=T0 + turn * MINUTE)
            assert receipt.done
            answer = await reader.get(f"e{number}", at_least=receipt.token, timeout=PATIENCE)
            assert answer.require().notes == [str(each) for each in range(turn + 1)]
            assert (await reader.wait_for(receipt)).covers(receipt.position)

    async def main() -> None:
        async with place.open() as (publisher, reader):
            await asyncio.gather(*(client(publisher, reader, number) for number in range(20)))
            assert [v.state.notes for v in await reader.history("e1") if v.state][-1] == list("01234")
            assert (await reader.call(reader.sync.history, "e1", audit=True)).status is Status.FOUND

    asyncio.run(main())


def test_waits_take_no_threads_and_end_when_they_are_cancelled(place: Place) -> None:
    """Far more of them than threads: questions go through, time-outs come in time, and nothing is left behind."""

    async def main() -> None:
        async with place.open(threads=2) as (publisher, reader):
            receipt = await publisher.publish("a", Noted(text="1"), occurred_at=T0)
            await reader.wait_for(receipt, timeout=PATIENCE)
            waits: list[asyncio.Task[Any]] = [asyncio.create_task(reader.wait_for(NEVER)) for _ in range(30)]
            waits += [asyncio.create_task(reader.get("a", at_least=NEVER, timeout=None)) for _ in range(30)]
            await asyncio.sleep(0)
            assert (await reader.get("a")).require().notes == ["1"]
            with pytest.raises(NotYetProjected, match="it is at offset"):
                await reader.wait_for(NEVER, timeout=0.05)
            late = await reader.get("a", at_least=NEVER, timeout=0.05)
            assert (late.status, late.version) == (Status.NOT_YET_PROJECTED, None)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await reader.wait_for(NEVER)
            assert not any(wait.done() for wait in waits)
            for wait in waits:
                wait.cancel()
            done = await asyncio.gather(*waits, return_exceptions=True)
            assert {type(each) for each in done} == {asyncio.CancelledError}
        await until(lambda: not any("everwhen-aio" in thread.name for thread in threading.enumerate()))

    asyncio.run(main())


def test_events_keep_the_order_in_which_they_were_published(place: Place) -> None:
    """Though nobody awaits one before the next; and those that are cancelled are sent all the same."""

    async def main() -> None:
        async with place.open() as (publisher, reader):
            sent = [publisher.publish("a", Noted(text=str(i)), occurred_at=T0 + i * MINUTE) for i in range(300)]
            for each in sent[::3]:
                each.cancel()
            receipts = await asyncio.gather(*sent, return_exceptions=True)
            assert sum(isinstance(each, asyncio.CancelledError) for each in receipts) == 100
            last: Any = receipts[-1]
            answer = await reader.get("a", at_least=last, timeout=PATIENCE)
            assert answer.require().notes == [str(i) for i in range(300)]

    asyncio.run(main())


def test_streams(place: Place) -> None:
    """They come whole, give their connection back when they are left early or cancelled, and know their basis."""

    async def main() -> None:
        async with place.open(threads=2) as (publisher, reader):
            sent = [publisher.publish(f"e{i:03}", Noted(text="x"), occurred_at=T0) for i in range(500)]
            for receipt in await asyncio.gather(*sent):
                await reader.wait_for(receipt, timeout=PATIENCE)
            assert [a.entity_id async for a in reader.snapshot()] == [f"e{i:03}" for i in range(500)]
            joined = [a.status async for a in reader.join([("e001", T0), ("nobody", T0)])]
            assert joined == [Status.FOUND, Status.NEVER_EXISTED]
            for _ in range(20):
                async with reader.snapshot() as answers:
                    assert len(answers.basis) == 2
                    async for _answer in answers:
                        break
                opening = asyncio.create_task(answers_of(reader))
                await asyncio.sleep(0)
                opening.cancel()
            async with reader.changes() as changes:
                assert len([each async for each in changes]) == 500
            with pytest.raises(RuntimeError, match="not open"):
                reader.snapshot().basis  # noqa: B018 - a property
            await until(lambda: _lent(reader) == 0)

    asyncio.run(main())


async def answers_of(reader: AsyncReader[Any]) -> None:
    """Open a snapshot and go through it."""
    async with reader.snapshot() as answers:
        async for _ in answers:
            pass


def _lent(reader: AsyncReader[Any]) -> int:
    pool: Any = reader.sync._store._database.engine.pool  # type: ignore[attr-defined]
    lent: int = pool.checkedout()
    return lent


def test_errors_are_those_of_the_synchronous_methods(tmp_path: Path) -> None:
    """What cannot be published is refused to the one who awaits it; a closed object says so."""
    place = Place(tmp_path, f"sqlite:///{tmp_path}/store.db")

    async def main() -> None:
        publisher = AsyncPublisher(Publisher(place.topic, place.log))
        with pytest.raises(ArgumentError, match="entity_id"):
            await publisher.publish("", Noted(text="1"))
        log = LocalLog(place.path)
        log.delete_topic("ledger")
        with pytest.raises(PublishError):
            await publisher.publish("a", Noted(text="1"))
        with pytest.raises(PublishError, match="1 event"):
            await publisher.aclose()
        await publisher.aclose()
        with pytest.raises(ClosedError):
            await publisher.publish("a", Noted(text="1"))
        reader = AsyncReader(Reader("ledger", place.store))
        await reader.aclose()
        with pytest.raises(ClosedError):
            await reader.get("a")

    asyncio.run(main())


def test_the_loop_is_not_blocked_while_a_publisher_waits_for_room(tmp_path: Path) -> None:
    """A full queue holds up the thread that sends, and nobody else."""
    place = Place(tmp_path, f"sqlite:///{tmp_path}/store.db")
    writer = LocalLog(place.path, queued_records=1)

    async def main() -> None:
        async with AsyncPublisher(PlainPublisher(place.topic, writer, SystemClock())) as publisher:
            begun = time.monotonic()
            sent = [publisher.publish("a", Noted(text="x" * 1000)) for _ in range(500)]
            assert time.monotonic() - begun < PATIENCE
            assert not sent[-1].done()
            receipts = await asyncio.gather(*sent)
            assert len({receipt.position for receipt in receipts}) == 500

    asyncio.run(main())


def test_receipts_of_kafka(real_kafka: KafkaAddress, kafka_topic_name: str, tmp_path: Path) -> None:
    """Its answers have to be fetched; somebody does so while a receipt is awaited and nothing else is published."""
    topic = ledger.topic(tmp_path / "schemas", name=kafka_topic_name)
    open_log(real_kafka.url).create_topic(kafka_topic_name, 2)

    async def main() -> None:
        async with AsyncPublisher(await asyncio.to_thread(Publisher, topic, real_kafka.url)) as publisher:
            for number in range(3):
                receipt = await asyncio.wait_for(publisher.publish("a", Noted(text=str(number))), PATIENCE)
                assert receipt.position.offset == number
                assert PositionToken.of(receipt.position, receipt._writer.described).topic_id is not None

    asyncio.run(main())
