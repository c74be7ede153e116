"""Writers and relays as processes of their own; a relay can be told at which step to die."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from random import Random
from typing import Any, Final

from sqlalchemy import create_engine

from everwhen import Outbox
from everwhen.connect import Relay
from everwhen.errors import StoreConflict, VersionConflict
from everwhen.instants import Micros
from everwhen.outbox import RelaySettings
from everwhen.ports.log import Acknowledged, Header, Log, LogWriter
from everwhen.ports.outbox import Pending
from everwhen.sql.relay import SqlRelayStore
from tests import ledger
from tests.outbox.conftest import T0

STEPS: Final = ("shared", "read", "half sent", "all sent", "acknowledged", "noting", "noted")
"""Where a relay can die: behind taking shards, and before, between and behind each thing it does with a batch."""


def write(
    database: str,
    schemas: Path,
    number: int,
    transactions: int,
    entities: int,
    told: Path,
    seed: int,
    *,
    enough: Any,
) -> None:
    """Publish in transactions of which a fifth is rolled back, and write down what was committed, and as what.

    :param transactions: at least so many.
    :param enough: an event that is set when it may end.
    """
    engine, lots = create_engine(database, connect_args=_patient(database)), Random(seed * 1000 + number)
    with Outbox(ledger.topic(schemas), engine) as outbox, told.open("w") as file:
        for turn in count():
            if turn >= transactions and enough.is_set():
                break
            entity, name = f"e{lots.randrange(entities)}", f"{number}-{turn}"
            is_kept = lots.random() >= 0.2
            expects = lots.random() < 0.3
            while (version := _publish(outbox, engine, entity, name, is_kept=is_kept, expects=expects)) is None:
                pass
            if is_kept:
                file.write(json.dumps([entity, version, name]) + "\n")
    engine.dispose()


def _patient(database: str) -> dict[str, Any]:
    return {"timeout": 60.0} if database.startswith("sqlite") else {}


def _publish(outbox: Outbox, engine: Any, entity: str, name: str, *, is_kept: bool, expects: bool) -> int | None:
    """Publish once; ``None`` if somebody else was first."""
    with engine.connect() as connection:
        expected = outbox.version(connection, entity) if expects else None
        if connection.dialect.name == "sqlite":
            connection.rollback()  # a file cannot go from an old snapshot to writing
        try:
            version = outbox.publish(
                connection, entity, ledger.Noted(text=name), occurred_at=T0, event_id=name, expected=expected
            ).version
        except (VersionConflict, StoreConflict):
            return None
        connection.commit() if is_kept else connection.rollback()
        return version


def relay(
    database: str, schemas: Path, log: str, lease: float, batch: int, step: str | None, turns: int, *, to_end: bool
) -> None:
    """Relay, and die with SIGKILL at a step of the batch with this number."""
    settings = RelaySettings(lease_seconds=lease, batch_events=batch, poll_seconds=0.1, keep_seconds=1.0)
    topic = ledger.topic(schemas)
    with Relay(topic, database, log, settings=settings) as running:
        if step is not None:
            death = _Death(step, turns)
            running._store = _DyingStore(database, topic.name, death)
            running._log = _DyingLog(running._log, death)
        signal.signal(signal.SIGTERM, lambda *_: running.stop())
        running.run(until="end" if to_end else None)


class _Death:
    def __init__(self, step: str, turns: int) -> None:
        self._step = step
        self._turns = turns

    def at(self, step: str) -> None:
        """Die, if it is time."""
        if step == self._step:
            self._turns -= 1
            if self._turns <= 0:
                os.kill(os.getpid(), signal.SIGKILL)


class _DyingStore(SqlRelayStore):
    def __init__(self, database: str, topic: str, death: _Death) -> None:
        super().__init__(database, topic)
        self._death = death

    def share(self, owner: str, held: Mapping[int, int], lease: float) -> dict[int, int]:
        """Die behind it, if something was taken."""
        taken = super().share(owner, held, lease)
        if taken:
            self._death.at("shared")
        return taken

    def pending(self, shards: Any, records: int) -> list[Pending]:
        """Die behind it, if something waits."""
        found = super().pending(shards, records)
        if found:
            self._death.at("read")
        return found

    def done(self, owner: str, held: Mapping[int, int], sent: Sequence[Pending], at: Micros) -> set[int]:
        """Die around it, or inside its transaction."""
        self._death.at("acknowledged")
        kept = super().done(owner, held, sent, at)
        self._death.at("noted")
        return kept

    def _mark(self, *arguments: Any) -> None:
        super()._mark(*arguments)
        self._death.at("noting")


class _DyingLog:
    def __init__(self, log: Log, death: _Death) -> None:
        self._log = log
        self._death = death

    def writer(self, topic: str) -> LogWriter:
        """Open a writer that dies in between."""
        return _DyingWriter(self._log.writer(topic), self._death)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)


class _DyingWriter:
    def __init__(self, writer: LogWriter, death: _Death) -> None:
        self._writer = writer
        self._death = death
        self._sent = 0

    def send(self, key: bytes, value: bytes | None, headers: Sequence[Header], acknowledged: Acknowledged) -> None:
        """Die behind the tenth of each batch."""
        self._writer.send(key, value, headers, acknowledged)
        self._sent += 1
        if self._sent == 10:
            self._writer.poll(0.05)
            self._death.at("half sent")

    def poll(self, timeout: float) -> None:
        """Die in front of the first answers of a batch."""
        if self._sent:
            self._death.at("all sent")
        self._sent = 0
        self._writer.poll(timeout)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)
