"""What readers get while builds of a projection stand side by side, and one takes the other's place."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from everwhen import Reader
from everwhen.connect import open_store
from everwhen.errors import GenerationNotFound, NotStored
from everwhen.reader import At
from tests.generations import T0, Bench, Told

NOON = T0 + timedelta(hours=12)
PATIENCE = 30
"""Seconds."""


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Two entities, built by the first code as generation 1 and by the second one as generation 2."""
    bench = Bench(tmp_path, f"sqlite:///{tmp_path}/store.db")
    bench.tell([Told("a", 1, "x"), Told("a", 2, "y"), Told("b", 1, "z")])
    bench.project()
    assert bench.rebuild() == 2
    return bench


def test_an_open_reader_notices_a_switch_and_the_way_back(bench: Bench) -> None:
    """Within seconds, without being opened again."""
    with bench.reader() as reader:
        for number in (1, 2, 1):
            if reader.generation.number != number:
                bench.switch(number)
            deadline = time.monotonic() + PATIENCE
            while reader.get("a", valid_at=NOON).require()["by"] != number:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            assert reader.generation.number == number


def test_an_answer_never_mixes_two_generations(bench: Bench) -> None:
    """Whatever is asked while they are switched there and back: one of them answers the whole of it."""
    done = threading.Event()

    def ask() -> set[tuple[int, ...]]:
        seen = set()
        while not done.is_set():
            # A new one each time, as an open one looks only once a second.
            with bench.reader() as reader:
                with reader.snapshot(valid_at=NOON) as answers:
                    seen.add(tuple(answer.require()["by"] for answer in answers))
                found = reader.explain("a", valid_at=NOON)
                assert len(found.events) == 2
        return seen

    with ThreadPoolExecutor(2) as pool:
        asking = [pool.submit(ask) for _ in range(2)]
        for turn in range(20):
            bench.switch(1 + (turn + 1) % 2)
        done.set()
        seen = set.union(*(each.result() for each in asking))
    assert seen <= {(1, 1), (2, 2)}
    assert seen


def test_an_answer_that_is_pinned_comes_from_the_generation_that_gave_it(bench: Bench) -> None:
    """So it never changes, though what is believed of the same records does; by object and by token."""
    with bench.reader() as reader:
        before = replace(reader.get("a", valid_at=NOON), final=True)
    bench.switch(2)
    with bench.reader() as reader:
        for basis in (before.basis, str(before.basis)):
            assert reader.get("a", valid_at=NOON, basis=basis) == before
            assert reader.history("a", basis=basis).versions[-1].state == before.state
            assert reader.explain("a", valid_at=NOON, basis=basis).answer == before
            with reader.snapshot(valid_at=NOON, basis=basis) as answers:
                assert [answer.require()["by"] for answer in answers] == [1, 1]
            with reader.join([("a", NOON)], basis=basis) as joined:
                assert [answer.state for answer in joined] == [before.state]
        assert reader.get("a", valid_at=NOON).require()["notes"] == ["X", "y"]


def test_what_was_said_can_be_told_from_what_is_true(bench: Bench) -> None:
    """The difference between an earlier answer and today's, though another code gives today's."""
    with bench.reader() as reader:
        said = reader.get("a", valid_at=NOON)
    bench.switch(2)
    with bench.reader() as reader:
        found = reader.diff("a", said, At(valid_at=NOON))
    assert {change.path: (change.before, change.after) for change in found.changes} == {
        ("by",): (1, 2),
        ("notes",): (["x", "y"], ["X", "y"]),
    }
    assert (found.added, found.removed) == ((), ())


def test_a_generation_can_be_asked_by_its_number(bench: Bench) -> None:
    """Before and after it answers everybody, and also about a basis that another one gave."""
    for live in (1, 2):
        for number in (1, 2):
            with bench.reader(number) as reader:
                answer = reader.get("a", valid_at=NOON)
                assert (answer.require()["by"], answer.basis.generation) == (number, number)
        with bench.reader(3 - live) as reader, bench.reader(live) as other:
            basis = other.get("a", valid_at=NOON).basis
            assert reader.get("a", valid_at=NOON, basis=basis).require()["by"] == 3 - live
        if live == 1:
            bench.switch(2)
    with bench.reader(3) as reader, pytest.raises(GenerationNotFound, match="2 \\(live\\)"):
        reader.get("a")


def test_a_pinned_answer_survives_that_its_generation_is_dropped(bench: Bench) -> None:
    """Where the same code built another one; else it is said that nobody can give it."""
    assert bench.rebuild(by=1) == 3
    with bench.reader(3) as reader, bench.reader(2) as second:
        like, other = reader.get("a", valid_at=NOON), second.get("a", valid_at=NOON)
    with closing(open_store(bench.store)) as store:
        for number in (2, 3):
            store.generations("ledger").drop(number)
    with bench.reader() as reader:
        assert reader.get("a", valid_at=NOON, basis=like.basis) == replace(like, final=True)
        with pytest.raises(GenerationNotFound, match="2 of projection ledger"):
            reader.get("a", basis=other.basis)


def test_a_belief_that_must_be_folded_is_folded_by_the_code_that_had_it(tmp_path: Path) -> None:
    """Other code would give another answer: a reader with that says so instead."""
    bench = Bench(tmp_path, f"sqlite:///{tmp_path}/store.db")
    bench.tell([Told("a", 5, "x"), Told("a", 6, "y")])
    bench.project()
    with bench.reader() as reader:
        basis = reader.get("a", valid_at=NOON).basis
    bench.tell([Told("a", 1, "z")])
    bench.project(depth=0)
    with Reader(bench.code(1), bench.store) as reader:
        answer = reader.get("a", valid_at=NOON, basis=basis)
        assert (answer.folded, answer.require().notes) == (True, ["x", "y"])
    with Reader(bench.code(2), bench.store) as other, pytest.raises(NotStored, match="is not the code that built"):
        other.get("a", valid_at=NOON, basis=basis)
