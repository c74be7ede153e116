"""A schema that is not known yet: its partition waits for the contract file, and everything else goes on."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import BaseModel

from everwhen import Event, Projection, Publisher, Reader, Status, Topic, Worker, WorkerSettings
from everwhen.errors import UnknownSchema
from everwhen.event import contracts
from everwhen.projection import Tally
from tests.worker.disturbed import until

T0 = datetime(2026, 3, 1, tzinfo=UTC)


class Opened(Event, type="bank.opened"):
    """As the worker knows it."""

    owner: str


class OpenedSince(Event, type="bank.opened"):
    """As the publisher knows it, who was deployed first."""

    owner: str
    branch: str = ""


class OpenedOtherwise(Event, type="bank.opened"):
    """As no worker of today can read it."""

    owner: str | None = None


class Account(BaseModel):
    """An account."""

    owner: str


class Bank:
    """A worker, and publishers that are ahead of it."""

    def __init__(self, directory: Path) -> None:
        self.mine, self.theirs = directory / "mine", directory / "theirs"
        contracts.write(self.mine, [Opened])
        contracts.write(self.theirs, [Opened])
        self.topic = Topic("bank", events=[Opened], schemas=self.mine, partitions=2)
        self.log, self.store = f"sqlite:///{directory}/log.db", f"sqlite:///{directory}/store.db"
        self.account = Projection("account", version=1, topic=self.topic, state=Account)
        self.raised: BaseException | None = None
        self.tally = Tally()

        @self.account.on(Opened)
        def opened(state: Account | None, event: Opened) -> Account:
            return Account(owner=event.owner)

    def publish(self, *entities: str) -> int:
        """Publish as the worker knows it; return the last one's partition."""
        with Publisher(self.topic, self.log) as publisher:
            return [self._one(publisher, entity, Opened(owner="me")) for entity in entities][-1]

    def publish_ahead(self, entity: str, kind: type[OpenedSince | OpenedOtherwise] = OpenedSince) -> int:
        """Publish as a newer program does; return the partition."""
        contracts.write(self.theirs, [kind])
        topic = Topic("bank", events=[kind], schemas=self.theirs, partitions=2)
        with Publisher(topic, self.log) as publisher:
            return self._one(publisher, entity, kind(owner="they"))

    def deploy(self) -> None:
        """Let the contract file come that the publisher has."""
        draft = self.mine / "bank.opened" / ".2.avsc.draft"
        shutil.copy(self.theirs / "bank.opened" / "2.avsc", draft)
        draft.rename(draft.with_name("2.avsc"))

    def worker(self, patience: float) -> Worker:
        """Make a worker."""
        settings = WorkerSettings(schema_patience_seconds=patience)
        return Worker(self.account, self.log, self.store, settings=settings)

    def status(self, entity: str) -> tuple[Status, str | None]:
        """What is answered about an entity."""
        with Reader(self.account, self.store) as reader:
            answer = reader.get(entity)
            return answer.status, answer.state.owner if answer.state is not None else None

    def start(self, worker: Worker, to_end: bool) -> threading.Thread:
        """Run it in a thread."""
        thread = threading.Thread(target=self._run, args=(worker, to_end))
        thread.start()
        return thread

    def _run(self, worker: Worker, to_end: bool) -> None:
        try:
            with worker:
                self.tally = worker.run(until="end" if to_end else None).tally
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            self.raised = error

    def _one(self, publisher: Publisher, entity: str, event: Event) -> int:
        position = publisher.publish(entity, event, occurred_at=T0).position
        assert position is not None
        return position.partition


@pytest.fixture
def bank(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Bank:
    """A bank, whose worker is listened to."""
    caplog.set_level(logging.INFO, "everwhen.worker")
    return Bank(tmp_path)


def test_a_partition_goes_on_when_the_contract_file_comes(bank: Bank, caplog: pytest.LogCaptureFixture) -> None:
    """Without a restart, with what came before and after; the other partition did not wait."""
    bank.publish("a")
    home = bank.publish_ahead("b")
    others = [f"e{number}" for number in range(8)]
    behind = {entity: bank.publish(entity) == home for entity in others}
    assert set(behind.values()) == {True, False}
    thread = bank.start(bank.worker(60), to_end=True)
    until(lambda: "schema.awaited" in caplog.text)
    free = [entity for entity, waits in behind.items() if not waits]
    until(lambda: all(bank.status(entity)[0] is Status.FOUND for entity in free))
    assert bank.status("b")[0] is Status.NEVER_EXISTED
    assert {bank.status(entity)[0] for entity, waits in behind.items() if waits} == {Status.NEVER_EXISTED}
    bank.deploy()
    thread.join(20)
    assert (thread.is_alive(), bank.raised) == (False, None)
    assert bank.tally.applied == 10
    assert bank.status("b") == (Status.FOUND, "they")
    assert {bank.status(entity) for entity in ["a", *others]} == {(Status.FOUND, "me")}
    assert caplog.text.count("schema.awaited") == caplog.text.count("schema.arrived") == 1


def test_records_that_come_while_a_schema_is_awaited_are_applied_after_it(
    bank: Bank, caplog: pytest.LogCaptureFixture
) -> None:
    """The partition is not fetched meanwhile; none of its records is lost or comes twice."""
    worker = bank.worker(60)
    home = bank.publish_ahead("b")
    thread = bank.start(worker, to_end=False)
    until(lambda: "schema.awaited" in caplog.text)
    until(lambda: home in worker._inbox.paused())
    more = [f"e{number}" for number in range(8)]
    bank.publish(*more)
    bank.deploy()
    until(lambda: {bank.status(entity)[0] for entity in ["b", *more]} == {Status.FOUND})
    worker.stop()
    thread.join(20)
    assert (bank.raised, bank.tally.applied, bank.tally.duplicates) == (None, 9, 0)


def test_a_partition_stops_when_patience_is_over(bank: Bank) -> None:
    """The error says what to do; what stands before it and in the other partition is projected."""
    home = bank.publish_ahead("b")
    others = {entity: bank.publish(entity) for entity in (f"e{number}" for number in range(8))}
    began = time.monotonic()
    with bank.worker(0.5) as worker, pytest.raises(UnknownSchema, match=r"0\.5 s by schema_patience.* Deploy") as told:
        worker.run(until="end")
    assert time.monotonic() - began >= 0.5
    assert f"bank[{home}]@0" in str(told.value)
    for entity, partition in others.items():
        assert (bank.status(entity)[0] is Status.FOUND) == (partition != home)


def test_a_contract_file_that_todays_class_cannot_read_is_named(bank: Bank) -> None:
    """Only a newer program helps then."""
    bank.publish_ahead("b", OpenedOtherwise)
    assert list(bank.topic.contracts)  # a program that starts with the file in place is refused
    bank.deploy()
    with (
        bank.worker(0.3) as worker,
        pytest.raises(UnknownSchema, match=r"Opened of this program cannot read .*2\.avsc"),
    ):
        worker.run(until="end")


def test_a_contract_file_that_is_half_written_is_read_again(bank: Bank, caplog: pytest.LogCaptureFixture) -> None:
    """Files may be copied slowly into the directory that is looked at."""
    bank.publish_ahead("b")
    whole = (bank.theirs / "bank.opened" / "2.avsc").read_bytes()
    file = bank.mine / "bank.opened" / "2.avsc"
    assert list(bank.topic.contracts)
    file.write_bytes(whole[:20])
    thread = bank.start(bank.worker(60), to_end=True)
    until(lambda: "schema.awaited" in caplog.text)
    file.write_bytes(whole)
    thread.join(20)
    assert (bank.raised, bank.status("b")) == (None, (Status.FOUND, "they"))


def test_stopping_ends_the_wait(bank: Bank, caplog: pytest.LogCaptureFixture) -> None:
    """At once and in order: it may have to go on for another worker."""
    bank.publish_ahead("b")
    worker = bank.worker(3_600)
    thread = bank.start(worker, to_end=False)
    until(lambda: "schema.awaited" in caplog.text)
    began = time.monotonic()
    worker.stop()
    thread.join(20)
    assert time.monotonic() - began < 3
    assert bank.raised is None
