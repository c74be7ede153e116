"""Records that cannot be applied: what is parked, what goes on, and how it is put right."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import BaseModel

from everwhen import Event, Projection, Publisher, Reader, Status, Topic, Worker, WorkerSettings
from everwhen.connect import open_log, open_store
from everwhen.errors import EntityQuarantined, QuarantineLimit, SettingsError, UnknownSchema
from everwhen.event import contracts, headers
from everwhen.positions import Basis, Mark, Position
from everwhen.projection.rows import Quarantined

T0 = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Opened(Event, type="bank.opened"):
    """Begins an account."""


class Deposited(Event, type="bank.deposited"):
    """Needs one."""

    amount: int


class Account(BaseModel):
    """A balance."""

    balance: int = 0


def refuse_odd(amount: int) -> int:
    """What a handler calls, so that mending it does not change the projection's fingerprint."""
    if amount % 2:
        raise ValueError(f"secret {amount}")
    return amount


class Bank:
    """A log, a store and a projection in one directory."""

    def __init__(self, directory: Path) -> None:
        contracts.write(directory / "schemas", [Opened, Deposited])
        self.topic = Topic("bank", events=[Opened, Deposited], schemas=directory / "schemas", partitions=1)
        self.log, self.store = f"sqlite:///{directory}/log.db", f"sqlite:///{directory}/store.db"
        self.check: Callable[[int], int] = refuse_odd
        self.account = Projection("account", version=1, topic=self.topic, state=Account)

        @self.account.on(Opened)
        def opened(state: Account | None, event: Opened) -> Account:
            return Account()

        @self.account.on(Deposited)
        def deposited(state: Account, event: Deposited) -> Account:
            return Account(balance=state.balance + self.check(event.amount))

    def publish(self, entity: str, event: Event, hour: int = 0) -> str:
        with Publisher(self.topic, self.log) as publisher:
            receipt = publisher.publish(entity, event, occurred_at=T0 + hour * HOUR)
            assert receipt.position
            return receipt.event_id

    def retract(self, event_id: str, entity: str) -> None:
        with Publisher(self.topic, self.log) as publisher:
            assert publisher.retract(event_id, entity_id=entity).position

    def send(self, key: bytes | None, value: bytes = b"\x00foreign") -> Position:
        log = open_log(self.log)
        log.create_topic("bank", 1)
        writer = log.writer("bank")
        told: list[Position | None] = []
        writer.send(key, value, [], lambda position, error: told.append(position))  # type: ignore[arg-type]
        writer.flush()
        writer.close()
        log.close()
        assert told[0] is not None
        return told[0]

    def project(self, store: str | None = None, **settings: object) -> dict[str, int]:
        with Worker(self.account, self.log, store or self.store, settings=WorkerSettings(**settings)) as worker:  # type: ignore[arg-type]
            tally = worker.run(until="end").tally
        return {name: getattr(tally, name) for name in ("applied", "parked", "healed")}

    def kept(self) -> list[Quarantined]:
        store = open_store(self.store)
        rows = store.quarantine("account").records()
        store.close()
        return rows

    def ask(self, request: str, offset: int, reason: str | None = None) -> None:
        store = open_store(self.store)
        assert store.quarantine("account").ask(request, position=(0, offset), reason=reason)  # type: ignore[arg-type]
        store.close()

    def reader(self, store: str | None = None) -> Reader[Account]:
        return Reader(self.account, store or self.store)

    def balance(self, entity: str) -> tuple[Status, int | None]:
        with self.reader() as reader:
            answer = reader.get(entity, valid_at=T0 + 100 * HOUR)
            return answer.status, None if answer.state is None else answer.state.balance


@pytest.fixture
def bank(tmp_path: Path) -> Bank:
    """A fresh bank."""
    return Bank(tmp_path)


def test_an_event_that_raises_parks_its_entity_and_no_other(bank: Bank, caplog: pytest.LogCaptureFixture) -> None:
    """The state is that up to the event before, and says so; the log says where and why, and never a payload."""
    caplog.set_level(logging.INFO, "everwhen.worker")
    for entity in ("a", "b"):
        bank.publish(entity, Opened())
        bank.publish(entity, Deposited(amount=2), 1)
    before = bank.reader().get("a", valid_at=T0 + HOUR) if bank.project() else None
    bank.publish("a", Deposited(amount=7), 2)
    for entity in ("a", "b"):
        bank.publish(entity, Deposited(amount=4), 3)
    assert bank.project() == {"applied": 1, "parked": 2, "healed": 0}
    assert bank.balance("a") == (Status.QUARANTINED, 2)
    assert bank.balance("b") == (Status.FOUND, 6)
    failed, waiting = bank.kept()
    assert (failed.offset, failed.entity_id, failed.status, failed.attempts) == (4, "a", "failed", 1)
    assert (failed.error_class, "bank[0]@4" in (failed.error or "")) == ("HandlerError", True)
    assert (waiting.offset, waiting.status, waiting.error, waiting.attempts) == (5, "waiting", None, 0)
    assert "secret" not in f"{caplog.text}{bank.kept()}"
    assert "entity.parked in front of bank[0]@4, entity 'a'" in caplog.text
    with bank.reader() as reader, pytest.raises(EntityQuarantined):
        reader.get("a").require()
    with bank.reader() as reader:
        assert before is not None
        assert reader.get("a", valid_at=T0 + HOUR, basis=before.basis).status is Status.FOUND


@pytest.mark.parametrize("together", [True, False])
def test_an_entity_heals_when_what_was_missing_comes(bank: Bank, together: bool) -> None:
    """Deposits before the opening; in one batch or in three, the rows and what they answer are the same."""
    for event, hour in ((Deposited(amount=2), 2), (Deposited(amount=4), 3), (Opened(), 1)):
        bank.publish("a", event, hour)
    bank.project(batch_records=5000 if together else 1)
    assert bank.balance("a") == (Status.FOUND, 6)
    assert bank.kept() == []
    with bank.reader() as reader:
        for offset in (1, 2):
            answer = reader.get("a", valid_at=T0 + 5 * HOUR, basis=Basis.of("bank", {0: Mark(offset, 10**15)}))
            assert (answer.status, answer.state, answer.final) == (Status.QUARANTINED, None, False)
        assert [version.state for version in reader.history("a")] == [Account(balance=each) for each in (0, 2, 6)]
        assert len(reader.history("a", audit=True)) == 3


def test_an_entity_heals_when_the_culprit_is_retracted(bank: Bank) -> None:
    """What waited behind it is applied, in a later batch by another worker."""
    bank.publish("a", Opened())
    wrong = bank.publish("a", Deposited(amount=3), 1)
    bank.publish("a", Deposited(amount=4), 2)
    assert bank.project()["parked"] == 2
    bank.publish("a", Deposited(amount=6), 3)
    assert bank.project()["parked"] == 1
    bank.retract(wrong, "a")
    assert bank.project() == {"applied": 4, "parked": 0, "healed": 3}
    assert bank.balance("a") == (Status.FOUND, 10)
    assert bank.kept() == []


def test_bytes_that_cannot_be_read_park_until_they_are_discarded(bank: Bank) -> None:
    """No later record helps; discarded, the others are applied, and explain says what was left out and why."""
    bank.publish("a", Opened())
    at = bank.send(b"a")
    event_id = bank.publish("a", Deposited(amount=2), 1)
    bank.retract(event_id, "a")
    bank.publish("a", Deposited(amount=4), 2)
    bank.project()
    assert bank.balance("a") == (Status.QUARANTINED, 0)
    assert [(row.offset, row.status) for row in bank.kept()] == [
        (1, "failed"),
        (2, "waiting"),
        (3, "waiting"),
        (4, "waiting"),
    ]
    bank.ask("retry", at.offset)
    bank.project()
    assert next((row.status, row.attempts, row.request) for row in bank.kept()) == ("failed", 2, None)
    bank.ask("discard", at.offset, "a test by mistake")
    bank.project()
    assert bank.balance("a") == (Status.FOUND, 4)
    (row,) = bank.kept()
    assert (row.offset, row.status, row.reason, row.request) == (1, "discarded", "a test by mistake", None)
    with bank.reader() as reader:
        (left_out,) = reader.explain("a").discarded
        assert (left_out.position, left_out.reason) == (at, "a test by mistake")
        assert "ce_specversion" in (left_out.error or "")


@pytest.mark.parametrize("key", [b"\xff", b"a\0b", b"x" * 600])
def test_a_record_without_a_readable_key_parks_nothing(
    bank: Bank, key: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """It is kept by its position; a retry fails again, and a discard settles it."""
    at = bank.send(key)
    bank.publish("a", Opened())
    assert bank.project() == {"applied": 1, "parked": 1, "healed": 0}
    assert str(at) in caplog.text
    (row,) = bank.kept()
    assert (row.entity_id, row.status) == (None, "failed")
    bank.ask("retry", at.offset)
    bank.project()
    assert bank.kept()[0].attempts == 2
    bank.ask("discard", at.offset, "noise")
    bank.project()
    assert (bank.kept()[0].status, bank.kept()[0].reason) == ("discarded", "noise")


def test_retry_after_the_code_was_mended_gives_what_a_rebuild_gives(bank: Bank, tmp_path: Path) -> None:
    """But for the note that it was mended, without which others would not learn of it. The mistake was in a function
    that the handler calls, so the projection is still the same."""
    bank.publish("a", Opened())
    for hour in range(1, 5):
        bank.publish("a", Deposited(amount=hour), hour)
    bank.project()
    assert bank.balance("a") == (Status.QUARANTINED, 0)
    bank.ask("retry", 1)
    bank.project()
    assert [row.attempts for row in bank.kept()] == [2, 0, 0, 0]
    bank.check = lambda amount: amount
    bank.ask("retry", 1)
    bank.project()
    assert (bank.balance("a"), bank.kept()) == ((Status.FOUND, 10), [])
    again = f"sqlite:///{tmp_path}/again.db"
    bank.project(again)
    stores = [open_store(url) for url in (bank.store, again)]
    mended, rebuilt = (store.reader("account").rows("a") for store in stores)
    assert mended.head is not None
    assert (mended.head.mended_offset, mended.head.mended_from) == (5, 1)
    assert mended._replace(head=mended.head._replace(mended_offset=None, mended_from=None)) == rebuilt
    for store in stores:
        store.close()


def test_a_running_worker_carries_out_what_is_asked_for(bank: Bank) -> None:
    """Without a restart, and without any new record."""
    bank.publish("a", Opened())
    bank.publish("a", Deposited(amount=3), 1)
    bank.project()
    settings = WorkerSettings(idle_seconds=0.1)
    with Worker(bank.account, bank.log, bank.store, settings=settings) as worker:
        thread = threading.Thread(target=worker.run)
        thread.start()
        try:
            bank.publish("b", Opened())
            with bank.reader() as reader:
                reader.wait_for(Position("bank", 0, 2), timeout=30)
                bank.ask("discard", 1, "wrong")
                deadline = datetime.now(UTC) + timedelta(seconds=30)
                while reader.get("a").status is Status.QUARANTINED:
                    assert datetime.now(UTC) < deadline
        finally:
            worker.stop()
            thread.join(30)
    assert bank.balance("a") == (Status.FOUND, 0)


def test_a_worker_that_took_over_knows_what_waits(bank: Bank) -> None:
    """Parked by one, gone on with by another that has never seen the records."""
    bank.publish("a", Deposited(amount=2), 2)
    bank.project()
    bank.publish("a", Deposited(amount=4), 3)
    bank.project()
    bank.publish("a", Opened(), 1)
    assert bank.project() == {"applied": 3, "parked": 0, "healed": 2}
    assert bank.balance("a") == (Status.FOUND, 6)


def test_too_many_of_them_stop_the_partition(bank: Bank) -> None:
    """A bad deployment does not park the world; what to do is in the message, and nothing of the batch is kept."""
    for number in range(25):
        bank.publish(f"e{number}", Deposited(amount=2))
    with pytest.raises(QuarantineLimit, match=r"bank\[0\]: 25 of the latest 25 records .*quarantine_limit_share"):
        bank.project()
    assert bank.kept() == []
    assert bank.project(quarantine_limit_share=1)["parked"] == 25


def test_records_that_wait_do_not_count_for_the_limit(bank: Bank) -> None:
    """One bad record of a busy entity is one."""
    for number in range(40):
        bank.publish("a", Deposited(amount=2), number)
    assert bank.project()["parked"] == 40


def test_a_schema_that_is_not_known_yet_stops_the_partition(bank: Bank) -> None:
    """Parking would hide that a deployment is behind; what comes before it is committed."""
    bank.publish("a", Opened())
    bank.publish("b", Opened())
    log = open_log(bank.log)
    writer = log.writer("bank")
    meta = headers.build(id="x", source="/t", type="bank.opened", entity_id="c", occurred_at=0)
    writer.send(b"c", b"\xc3\x01" + bytes(8), meta, lambda position, error: None)
    writer.flush()
    log.close()
    bank.publish("d", Opened())
    with pytest.raises(UnknownSchema, match=r"bank\[0\]@2"):
        bank.project(schema_patience_seconds=0)
    assert [bank.balance(entity)[0] for entity in "abd"] == [Status.FOUND, Status.FOUND, Status.NEVER_EXISTED]
    assert bank.kept() == []


def test_a_share_is_a_share() -> None:
    """A percentage by mistake would switch the limit off."""
    for share in (-0.1, 1.5, float("nan")):
        with pytest.raises(SettingsError, match="quarantine_limit_share"):
            WorkerSettings(quarantine_limit_share=share)


def test_changes_tell_of_an_entity_that_was_mended(bank: Bank) -> None:
    """Although its records stand before the basis that changes are asked since, and from the first of them on."""
    bank.publish("a", Opened())
    bank.publish("a", Deposited(amount=1), hour=1)
    bank.publish("a", Deposited(amount=2), hour=2)
    bank.project()
    with bank.reader() as reader:
        with reader.changes() as before:
            assert [each.entity_id for each in before] == ["a"]
        bank.ask("discard", 1, reason="a mistake")
        bank.project()
        bank.publish("b", Opened(), hour=3)
        bank.project()
        with reader.changes(before.basis) as mended:
            changed = [(each.entity_id, each.valid_from) for each in mended]
        assert changed == [("a", T0 + 2 * HOUR), ("b", T0 + 3 * HOUR)]
        with reader.changes(mended.basis) as nothing:
            assert list(nothing) == []


def test_where_a_handler_failed_is_logged_for_debugging(bank: Bank, caplog: pytest.LogCaptureFixture) -> None:
    """Lines of code and no value: what the error itself says may hold the payload."""
    caplog.set_level(logging.DEBUG, "everwhen.worker.traceback")
    bank.publish("a", Opened())
    bank.publish("a", Deposited(amount=7), 1)
    bank.project()
    (line,) = [each.getMessage() for each in caplog.records if each.name == "everwhen.worker.traceback"]
    assert line.startswith("handler.traceback of ValueError in front of bank[0]@1, entity 'a'")
    assert "in refuse_odd" in line
    assert "secret 7" not in caplog.text
