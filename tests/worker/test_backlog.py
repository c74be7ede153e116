"""History that is loaded in the wrong order: larger batches, in as little memory."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from everwhen import Publisher, Reader, Worker, WorkerSettings
from everwhen.projection import Tally
from everwhen.sql.batch import SqlBatch
from everwhen.worker import stored
from everwhen.worker.projector import Owned, Projector
from tests import ledger
from tests.ledger import Noted

T0 = datetime(2026, 3, 1, tzinfo=UTC)
ENTITIES = ("a", "b", "c")
MINUTES = (*range(30, 40), *range(30))
"""The last ten events come first, then the others in order: the shape of a year whose October was read before March."""


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many records each batch had."""
    sizes: list[int] = []
    apply = Projector.apply

    def counted(self: Projector, owned: Owned, records: Sequence[object], reached: int) -> Tally:
        sizes.append(len(records))
        return apply(self, owned, records, reached)  # type: ignore[arg-type]

    monkeypatch.setattr(Projector, "apply", counted)
    return sizes


def project(directory: Path, minutes: Sequence[int]) -> dict[str, list[tuple[object, ...]]]:
    """Publish and project in batches of 6 records; return every entity's history."""
    directory.mkdir()
    topic = ledger.topic(directory / "schemas", partitions=1)
    projection = ledger.projection(topic)
    log, store = f"sqlite:///{directory}/log.db", f"sqlite:///{directory}/store.db"
    with Publisher(topic, log) as publisher:
        for minute in minutes:
            for entity in ENTITIES:
                publisher.publish(entity, Noted(text=str(minute)), occurred_at=T0 + timedelta(minutes=minute))
    with Worker(projection, log, store, settings=WorkerSettings(batch_records=6)) as worker:
        worker.run(until="end")
    with Reader(projection, store) as reader:
        return {
            entity: [(each.valid_from, each.valid_to, each.state) for each in reader.history(entity).versions]
            for entity in ENTITIES
        }


def test_batches_grow_while_late_events_wait_and_only_then(tmp_path: Path, sizes: list[int]) -> None:
    """Otherwise every few events of a history in the wrong order would rewrite all that comes after them."""
    project(tmp_path / "ordered", sorted(MINUTES))
    assert max(sizes) == 6
    sizes.clear()
    project(tmp_path / "shuffled", MINUTES)
    assert max(sizes[:6]) == 6
    assert 6 < max(sizes) <= 24


def test_entities_are_folded_again_a_few_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that touches many long histories must not hold them all; what it writes is the same."""
    ordered = project(tmp_path / "ordered", sorted(MINUTES))
    loaded: list[int] = []
    tails = SqlBatch.tails

    def counted(self: SqlBatch, since: dict[str, int]) -> object:
        loaded.append(len(since))
        return tails(self, since)

    monkeypatch.setattr(SqlBatch, "tails", counted)
    monkeypatch.setattr(stored, "_TAIL_ROWS", 25)
    assert project(tmp_path / "shuffled", MINUTES) == ordered
    assert max(loaded) == 2  # while histories are short
    assert loaded[-1] == 1
