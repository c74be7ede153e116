"""Records that end the process which applies them: they are found, and kept aside without being decoded again."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

from everwhen import Reader, Status
from everwhen.connect import open_store
from everwhen.projection.rows import Quarantined
from tests.worker.deadly import Added, Crashing, Desk, Swelling

_SECONDS = 60.0


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A fresh log and store."""
    return Desk(tmp_path)


def kept(desk: Desk) -> list[Quarantined]:
    """What is kept aside."""
    store = open_store(desk.store)
    rows = store.quarantine("pieces").records()
    store.close()
    return rows


def retry(desk: Desk, entity_id: str) -> None:
    """Ask for another try."""
    store = open_store(desk.store)
    assert store.quarantine("pieces").ask("retry", entity_id=entity_id)
    store.close()


def texts(desk: Desk, *entities: str) -> list[tuple[Status, list[str]]]:
    """What is answered about entities."""
    with Reader(desk.pieces, desk.store) as reader:
        answers = [reader.get(entity) for entity in entities]
        return [(each.status, each.state.texts if each.state is not None else []) for each in answers]


def publish_among(desk: Desk, entities: int, *events: tuple[str, Crashing | Swelling]) -> None:
    """Publish a deadly event each after so many harmless ones, with some behind them."""
    harmless: list[tuple[str, Added]] = [(f"e{number}", Added(text="a")) for number in range(entities)]
    for event in events:
        desk.publish(*harmless, event)
    desk.publish(*harmless, *((entity, Added(text="after")) for entity, _ in events))


def test_a_record_that_crashes_the_process_is_found_and_kept_aside(desk: Desk) -> None:
    """Two of them, hundreds of records apart: every other entity goes on, theirs are parked, in a minute."""
    desk.publish(("b", Added(text="before")))
    crash = Crashing(unless=str(desk.directory / "mended"))
    publish_among(desk, 300, ("a", crash), ("b", crash))
    began = time.monotonic()
    died = desk.supervise()
    assert time.monotonic() - began < _SECONDS
    assert set(died) == {signal.SIGSEGV}
    assert len(died) <= 14
    assert texts(desk, "a", "b") == [(Status.QUARANTINED, []), (Status.QUARANTINED, ["before"])]
    assert texts(desk, *(f"e{number}" for number in range(300))) == [(Status.FOUND, ["a"] * 3)] * 300
    rows = kept(desk)
    assert sorted((row.entity_id, row.status, row.error_class) for row in rows) == [
        ("a", "failed", "ProcessDied"),
        ("a", "waiting", None),
        ("b", "failed", "ProcessDied"),
        ("b", "waiting", None),
    ]
    assert all("deadly[" in (row.error or "") and "mended" not in (row.error or "") for row in rows if row.error)

    retry(desk, "a")
    assert desk.supervise() == [signal.SIGSEGV], "a retry that kills is tried once"
    assert [row.request for row in kept(desk)] == [None] * 4
    (desk.directory / "mended").touch()
    retry(desk, "a")
    assert desk.supervise() == []
    (a, b) = texts(desk, "a", "b")
    assert (a, b[0]) == ((Status.FOUND, ["crashed", "after"]), Status.QUARANTINED)


def test_a_record_that_takes_more_memory_than_there_is_is_kept_aside(desk: Desk) -> None:
    """Its state cannot be written, which aborts the process; the others' are."""
    publish_among(desk, 20, ("a", Swelling(size=2**30)))
    began = time.monotonic()
    died = desk.supervise(bounded=True)
    assert time.monotonic() - began < _SECONDS
    assert texts(desk, "a") == [(Status.QUARANTINED, [])]
    assert texts(desk, *(f"e{number}" for number in range(20))) == [(Status.FOUND, ["a", "a"])] * 20
    assert (set(died), kept(desk)[0].error_class) == ({signal.SIGABRT}, "ProcessDied")


def test_a_healthy_worker_that_is_killed_at_random_parks_nothing(desk: Desk) -> None:
    """Ten times without a pause, often before it has done anything; then everything is projected."""
    draw = random.Random(1)
    desk.publish(*((f"e{number % 50}", Added(text=str(number))) for number in range(3_000)))
    killed = [desk.start().kill_after(draw.uniform(0.05, 0.6)) for _ in range(10)]
    assert -signal.SIGKILL in killed
    assert desk.supervise() == []
    assert kept(desk) == []
    expected = [(Status.FOUND, [str(number) for number in range(entity, 3_000, 50)]) for entity in range(50)]
    assert texts(desk, *(f"e{entity}" for entity in range(50))) == expected
