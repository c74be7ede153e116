"""The checker's own tests: a healthy store passes, and whatever is wrong is reported by its name."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from everwhen import Reader
from tests.checker.anomalies import Report
from tests.checker.check import check
from tests.torture import domain, healthy
from tests.torture.corruptions import LOG, SENT, STORE
from tests.torture.healthy import Witnesses
from tests.torture.reading import Questions

_EVENTS = 600


@pytest.fixture(scope="module")
def witnesses(tmp_path_factory: pytest.TempPathFactory) -> Witnesses:
    """A store that keeps every belief."""
    return healthy.make(tmp_path_factory.mktemp("healthy"), _EVENTS, depth=10_000, seed=1)


def test_a_healthy_store_passes(witnesses: Witnesses) -> None:
    """A checker that cries without reason would be switched off."""
    report = witnesses.check()
    assert report.anomalies == []
    for table in ("versions", "superseded beliefs", "withdrawals", "conflicts"):
        assert report.counts[table] > 0


def test_a_healthy_store_that_does_not_keep_every_belief_passes(tmp_path: Path) -> None:
    """What the head says is not kept must not be missed, and what is kept must still be compared."""
    forgetful = healthy.make(tmp_path, _EVENTS, depth=1, seed=2)
    report = forgetful.check()
    assert report.anomalies == []
    assert 0 < report.counts["entities with beliefs that are not kept"] < report.counts["entities"]


@pytest.mark.parametrize("name", STORE)
def test_a_corrupted_store_is_seen(witnesses: Witnesses, tmp_path: Path, name: str) -> None:
    """Each kind of damage has its name."""
    with closing(healthy.copied(witnesses.store, tmp_path / "store.db")) as connection:
        assert connection.execute(STORE[name].sql).rowcount > 0, "nothing was corrupted"
    assert STORE[name].kind in witnesses.check(store=tmp_path / "store.db").kinds()


@pytest.mark.parametrize("name", LOG)
def test_a_corrupted_log_is_seen(witnesses: Witnesses, tmp_path: Path, name: str) -> None:
    """Also where the store agrees with the log, it may have lost what was acknowledged."""
    with closing(healthy.copied(witnesses.directory / "log.db", tmp_path / "log.db")) as connection:
        assert connection.execute(LOG[name].sql).rowcount > 0, "nothing was corrupted"
    assert LOG[name].kind in witnesses.check_log_file(tmp_path / "log.db").kinds()


@pytest.mark.parametrize("name", SENT)
def test_a_history_that_disagrees_is_seen(witnesses: Witnesses, name: str) -> None:
    """The log is judged by what its client was told."""
    kind, change = SENT[name]
    assert kind in witnesses.check(said=change(witnesses.said)).kinds()


def _check_files(witnesses: Witnesses, store: Path, answers: Path | None = None) -> Report:
    log = f"sqlite:///{witnesses.directory}/log.db"
    history, schemas = witnesses.directory / "sent.jsonl", witnesses.directory / "schemas"
    return check(log, healthy.TOPIC, schemas, f"sqlite:///{store}", domain.PROJECTION, history, answers)


def test_partition_by_partition_the_same_is_compared(witnesses: Witnesses) -> None:
    """Large stores are divided; nothing may fall between the parts."""
    report = _check_files(witnesses, witnesses.store)
    assert report.anomalies == []
    assert report.counts == witnesses.check().counts


def test_a_row_of_no_partition_is_seen(witnesses: Witnesses, tmp_path: Path) -> None:
    """No part would look at it."""
    with closing(healthy.copied(witnesses.store, tmp_path / "store.db")) as connection:
        connection.execute(
            "UPDATE everwhen_torture__1_versions SET partition = 99 WHERE rowid = "
            "(SELECT min(rowid) FROM everwhen_torture__1_versions)"
        )
    assert "versions.unplaced" in _check_files(witnesses, tmp_path / "store.db").kinds()


def test_what_readers_were_told_is_compared(witnesses: Witnesses, tmp_path: Path) -> None:
    """At any basis, whole histories and single instants; one answer that is off by a version is seen."""
    answers = tmp_path / "answers.jsonl"
    lines = list(_answers(witnesses))
    answers.write_text("".join(json.dumps(line) + "\n" for line in lines))
    report = _check_files(witnesses, witnesses.store, answers)
    assert report.anomalies == []
    assert report.counts["answers compared with the fold"] == len(lines) > 100
    wrong = next(line for line in lines if len(next(iter(line["told"].values()))) > 1)
    next(iter(wrong["told"].values())).pop()
    answers.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert list(_check_files(witnesses, witnesses.store, answers).kinds().elements()) == ["answers.differ"]


def _answers(witnesses: Witnesses) -> Iterator[dict[str, Any]]:
    """What the public reader says now, as it would be written down."""
    source = domain.topic(healthy.TOPIC, witnesses.directory / "schemas")
    with Reader(domain.projection(source), f"sqlite:///{witnesses.store}") as reader:
        questions = Questions(reader)
        for entity in witnesses.expected:
            for kind in ("get", "history"):
                now = time.time_ns() // 1000
                asked = questions.ask(kind, entity, now, {})
                assert asked is not None
                basis, told = asked
                below = {str(partition): mark.next_offset for partition, mark in basis.items()}
                yield {"valid_at": None if kind == "history" else now, "known_at": None, "below": below, **told}
                for version in told["told"][entity] if kind == "history" else ():
                    earlier = questions.ask("get", entity, version[0] - 1, {"basis": basis})
                    assert earlier is not None
                    yield {"valid_at": version[0] - 1, "known_at": None, "below": below, **earlier[1]}


def _other(value: Any, column: str, draw: random.Random) -> Any:
    """Return another value for a column."""
    if column == "state":
        return draw.choice([each for each in (None, '{"items":[]}', '{"items":["x"]}', "{}") if each != value])
    if column == "withdrawn":
        return 1 - value
    if value is None or draw.random() < 0.1:
        return 1 if value is None else None
    if isinstance(value, int):
        return value + draw.choice([-1, 1, 1_000_000])
    if isinstance(value, bytes):
        at = draw.randrange(len(value)) if value else 0
        return value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :] if value else b"x"
    return str(value) + "x"
