"""A SQLite store that lost the last of what was written to it, as when the power goes: older, whole, and read on."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from everwhen import Projection, Publisher, Reader, Worker, WorkerSettings
from tests import ledger
from tests.ledger import Ledger, Noted, Reset, Wiped
from tests.longer import times
from tests.worker.files import StoreFile

T0 = datetime(2026, 3, 1, tzinfo=UTC)
ENTITIES = [f"e{number}" for number in range(7)]
CUTS = times(10)
SEED = 20260301


def project(projection: Projection[Ledger], log: str, store: StoreFile) -> None:
    """Read the log to its end, in many transactions."""
    settings = WorkerSettings(batch_records=5, idle_seconds=3600)
    with Worker(projection, log, store.url, settings=settings) as worker:
        worker.run(until="end")


def publish(topic: Any, log: str, number: int, draw: random.Random) -> None:
    """Publish events, some of them late and some that delete."""
    with Publisher(topic, log) as publisher:
        for count in range(number):
            event = draw.choice([Noted(text=str(count)), Noted(text=str(count)), Noted(text="n"), Wiped(), Reset()])
            instant = T0 + timedelta(minutes=draw.choice([count, count, draw.randrange(number)]))
            publisher.publish(draw.choice(ENTITIES), event, occurred_at=instant)


def answers(projection: Projection[Ledger], store: StoreFile, basis: Any = None) -> list[Any]:
    """The history of every entity, at a basis or now."""
    with Reader(projection, store.url) as reader:
        return [
            [(version.valid_from, version.valid_to, version.state) for version in reader.history(entity, basis=basis)]
            for entity in ENTITIES
        ]


def test_a_store_that_lost_its_tail_is_an_older_one_and_goes_on(tmp_path: Path) -> None:
    """Wherever the write-ahead log ends: answers are those of the basis that is left; reading on gives every row."""
    draw = random.Random(SEED)
    topic, log = ledger.topic(tmp_path / "schemas"), f"sqlite:///{tmp_path}/log.db"
    projection, whole = ledger.projection(topic), StoreFile(tmp_path / "whole")
    publish(topic, log, 5, draw)
    project(projection, log, whole)  # makes the tables
    with whole.kept_open():
        publish(topic, log, 200, draw)
        project(projection, log, whole)
        size = whole.wal.stat().st_size
        lengths = [0, size, *(draw.randrange(size) for _ in range(CUTS))]
        copies = [whole.cut(tmp_path / f"copy-{number}", length) for number, length in enumerate(lengths)]
    bases = set()
    for copy in copies:
        with Reader(projection, copy.url) as reader:
            basis = reader.get(ENTITIES[0]).basis
        bases.add(str(basis))
        assert answers(projection, copy) == answers(projection, whole, basis)
        project(projection, log, copy)
        assert copy.rows() == whole.rows()
    assert len(bases) > CUTS // 4  # the cuts met many transactions
