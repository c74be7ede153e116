"""Handlers that look at more than the state and the event."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest

from everwhen import Projection, Publisher, Reader, Status, Worker, WorkerSettings
from everwhen.errors import EntityQuarantined
from tests import ledger
from tests.ledger import Ledger, Noted


@pytest.mark.parametrize("checked", [True, False])
def test_a_handler_that_is_not_deterministic_is_found_out(tmp_path: Path, *, checked: bool) -> None:
    """Where it is asked for: the entity is parked and the handler named; otherwise nobody looks."""
    topic, log, store = ledger.topic(tmp_path / "schemas"), f"sqlite:///{tmp_path}/log.db", f"sqlite:///{tmp_path}/s.db"
    projection = Projection("ledger", version=1, topic=topic, state=Ledger, ignore=ledger.EVENTS[1:])
    calls = count()

    @projection.on(Noted)
    def noted(state: Ledger | None, event: Noted) -> Ledger:
        return Ledger(notes=[event.text if event.text == "same" else str(next(calls))])

    with Publisher(topic, log) as publisher:
        for entity, text in (("a", "differs"), ("b", "same")):
            publisher.publish(entity, Noted(text=text), occurred_at=datetime(2026, 3, 1, tzinfo=UTC))
    with Worker(projection, log, store, settings=WorkerSettings(check_handlers=checked)) as worker:
        worker.run(until="end")
    with Reader(projection, store) as reader:
        assert reader.get("b").require() == Ledger(notes=["same"])
        assert reader.get("a").status is (Status.QUARANTINED if checked else Status.FOUND)
        if checked:
            with pytest.raises(EntityQuarantined):
                reader.get("a").require()
