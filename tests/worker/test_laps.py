"""What a batch says about its time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from everwhen.connect import open_store
from everwhen.ports.log import TopicDescription
from everwhen.ports.store import Inserter
from everwhen.sql.sqlite import SqliteWriter
from everwhen.worker import BatchReport, Observer, blueprint, observer
from everwhen.worker.projector import Owned, Projector
from tests import ledger
from tests.ledger import Noted, Writer


class Told(Observer):
    """Keeps how long the phases of the last batch took."""

    seconds: Mapping[Any, float]

    def applied(self, report: BatchReport) -> None:
        """Keep them."""
        self.seconds = report.seconds


def test_the_end_of_an_insertion_is_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that writes only when it has all rows, or is waited for, does not make folding look slow."""
    clock, inserting, told = [0.0], SqliteWriter.inserting, Told()

    @contextmanager
    def slow(writer: SqliteWriter, connection: Any) -> Iterator[Inserter]:
        with inserting(writer, connection) as insert:
            yield insert
        clock[0] += 5

    monkeypatch.setattr(SqliteWriter, "inserting", slow)
    monkeypatch.setattr(observer, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    topic = ledger.topic(tmp_path / "schemas", partitions=1)
    projection = ledger.projection(topic)
    with closing(open_store(f"sqlite:///{tmp_path}/store.db")) as store:
        claims = store.claim(store.prepare(blueprint(projection)), [0], TopicDescription("ledger", 1, "cluster", "id"))
        record = Writer(topic).record(0, "e", Noted(text="x"), occurred_at=1)
        Projector(projection, store, depth=32, observer=told).apply(Owned(claims[0], 10**6), [record], 1)
    assert told.seconds == {"decode": 0, "load": 0, "fold": 0, "write": 5, "commit": 0}
