"""What dashboards are told of a worker's position."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from everwhen import Projection, Publisher, Worker, WorkerSettings
from everwhen.local.consumer import LocalConsumer
from tests import ledger
from tests.ledger import Ledger, Noted

_PATIENCE = 20


def test_a_hint_is_never_ahead_of_the_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not while a handler is at work either: the log is polled twice meanwhile, and hints go out with a poll."""
    store, polls = tmp_path / "store.db", threading.Semaphore(0)
    ahead: list[tuple[int, int, int]] = []
    poll, hint = LocalConsumer.poll, LocalConsumer.hint

    def counted(self: LocalConsumer, *arguments: Any) -> Any:
        polls.release()
        return poll(self, *arguments)

    def watched(self: LocalConsumer, next_offsets: Mapping[int, int]) -> None:
        with closing(sqlite3.connect(store)) as connection:
            stands = dict(connection.execute("SELECT partition, next_offset FROM everwhen_checkpoints"))
        hints.append(dict(next_offsets))
        ahead.extend((p, offset, stands[p]) for p, offset in next_offsets.items() if offset > stands[p])
        hint(self, next_offsets)

    hints: list[dict[int, int]] = []
    monkeypatch.setattr(LocalConsumer, "poll", counted)
    monkeypatch.setattr(LocalConsumer, "hint", watched)
    topic = ledger.topic(tmp_path / "schemas")
    with Publisher(topic, f"sqlite:///{tmp_path}/log.db") as publisher:
        for number in range(2):
            publisher.publish("a", Noted(text=str(number)))
    projection = Projection("slow", version=1, topic=topic, state=Ledger, ignore=list(ledger.EVENTS[1:]))

    @projection.on(Noted)
    def noted(state: Ledger | None, event: Noted) -> Ledger:
        while polls.acquire(blocking=False):
            pass
        for _ in range(3):  # the first may have begun before the batch did
            assert polls.acquire(timeout=_PATIENCE)
        return Ledger(notes=[event.text])

    settings = WorkerSettings(batch_records=1)
    with Worker(projection, f"sqlite:///{tmp_path}/log.db", f"sqlite:///{store}", settings=settings) as worker:
        worker.run(until="end")
    assert hints
    assert ahead == []
