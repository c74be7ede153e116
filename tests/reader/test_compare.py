"""Two generations are compared as the definition has it."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everwhen.connect import open_store
from everwhen.errors import ClosedError
from everwhen.instants import to_micros
from everwhen.reader import Comparison, Difference
from tests.generations import T0, Bench, Told, noted
from tests.longer import times

told = st.builds(Told, st.sampled_from("abc"), st.integers(0, 9), st.none() | st.sampled_from(["x", "y", "xy"]))


class Expected(NamedTuple):
    """Where histories part."""

    entity: str
    hour: int
    event: Told


def histories(events: list[Told], by: int) -> dict[str, list[list[str] | None]]:
    """Fold every entity's events in the order of valid time, then of the log."""
    found: dict[str, list[list[str] | None]] = {}
    for event in sorted(events, key=lambda each: each.hour):
        states = found.setdefault(event.entity, [])
        before = states[-1] or [] if states else []
        states.append(None if event.text is None else noted(by, before, event.text))
    return found


def expected(events: list[Told]) -> list[Expected]:
    """The first version of each entity that the two codes fold differently."""
    first, second = histories(events, 1), histories(events, 2)
    in_order = sorted(events, key=lambda each: each.hour)
    parts = []
    for entity in sorted(first):
        own = [each for each in in_order if each.entity == entity]
        for one, other, event in zip_longest(first[entity], second[entity], own):
            if one != other:
                parts.append(Expected(entity, event.hour, event))
                break
    return parts


@settings(max_examples=times(6), deadline=None)
@given(st.lists(told, max_size=12), st.lists(told, max_size=6))
def test_exactly_the_entities_that_differ_are_named(before: list[Told], after: list[Told]) -> None:
    """With the first version that does and the event that made it; what only one of them has read is left out."""
    with TemporaryDirectory() as directory:
        bench = Bench(Path(directory), f"sqlite:///{directory}/store.db", signed=False)
        bench.tell(before)
        bench.project()
        bench.rebuild()
        assert [Expected(d.entity_id, *seen(d, before)) for d in bench.compare()] == expected(before)
        bench.tell(after)
        bench.project()
        assert [Expected(d.entity_id, *seen(d, before)) for d in bench.compare()] == expected(before)
        assert list(map(mirrored, bench.compare(2, 1))) == list(bench.compare())
        bench.project(2, 2)
        everything = before + after
        assert [Expected(d.entity_id, *seen(d, everything)) for d in bench.compare()] == expected(everything)


def seen(difference: Difference, events: list[Told]) -> tuple[int, Told]:
    """The hour and the event that a difference names; its changes are those of the notes."""
    assert difference.kind == "state"
    assert difference.valid_from is not None
    assert [change.path for change in difference.changes] == [("notes",)]
    hour = round((difference.valid_from - T0) / timedelta(hours=1))
    assert difference.position is not None
    # Two of one hour are told apart by their places in the log, where each entity's stand in the order of telling.
    same = [event for event in events if (event.entity, event.hour) == (difference.entity_id, hour)]
    before, after = difference.changes[0].before, difference.changes[0].after
    index = next(i for i, (one, other) in enumerate(zip(before, after, strict=True)) if one != other)
    return hour, next(event for event in same if event.text == before[index])


def mirrored(difference: Difference) -> Difference:
    """The same difference as the other side sees it."""
    return replace(
        difference,
        changes=tuple(replace(change, before=change.after, after=change.before) for change in difference.changes),
    )


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Nothing was told yet."""
    return Bench(tmp_path, f"sqlite:///{tmp_path}/store.db", signed=False)


def test_a_version_that_only_one_of_them_has_is_told(bench: Bench) -> None:
    """Here since the other one cannot apply its event."""
    bench.tell([Told("a", 1, "y"), Told("a", 2, "!"), Told("a", 3, "x"), Told("b", 1, "y")])
    bench.project()
    bench.rebuild()
    (difference,) = bench.compare()
    assert (difference.entity_id, difference.kind, difference.valid_from) == ("a", "versions", T0 + timedelta(hours=2))
    assert difference.changes == ()
    assert mirrored(*bench.compare(2, 1)) == difference


def test_what_only_one_of_them_set_aside_is_told(bench: Bench) -> None:
    """Though their histories are equal: in the one the event was left out for good."""
    bench.tell([Told("a", 1, "y"), Told("a", 2, "!")])
    bench.project(2)
    bench.rebuild()
    assert bench.compare() == []
    with closing(open_store(bench.store)) as store:
        assert store.quarantine("ledger", 1).ask("discard", entity_id="a", reason="a mistake")
    bench.project(2, 1)
    (difference,) = bench.compare()
    assert (difference.entity_id, difference.kind) == ("a", "parked")


def test_what_one_of_them_does_not_keep_is_unknown(bench: Bench) -> None:
    """A belief in the past that is not kept as rows, and that another generation is at."""
    bench.tell([Told("a", 5, "y"), Told("a", 6, "y")])
    bench.project()
    bench.rebuild()
    bench.tell([Told("a", 1, "y")])
    bench.project(depth=0)
    (difference,) = bench.compare()
    assert (difference.entity_id, difference.kind) == ("a", "unknown")
    bench.project(2, 2)
    assert bench.compare() == []


def test_what_one_of_them_has_pruned_is_no_difference(bench: Bench) -> None:
    """What it kept is compared: the version that was valid at the instant, and those from it on."""
    bench.tell([Told("a", 1, "x"), Told("a", 2, None), Told("a", 3, "y"), Told("a", 5, "y")])
    bench.tell([Told("b", 1, "y"), Told("b", 3, "x"), Told("c", 1, "y"), Told("c", 6, "x"), Told("d", 1, "x")])
    bench.project()
    bench.rebuild()
    assert [each.entity_id for each in bench.compare()] == ["a", "b", "c", "d"]
    with closing(open_store(bench.store)) as store:
        for _ in store.pruning("ledger", 1).portions(to_micros(T0 + timedelta(hours=4), "before")):
            pass
    for found in (bench.compare(), bench.compare(2, 1)):
        assert [(each.entity_id, each.kind) for each in found] == [("b", "state"), ("c", "state"), ("d", "state")]


def test_a_comparison_is_read_once(bench: Bench) -> None:
    """It counts what it went through; then it is closed."""
    bench.tell([Told("a", 1, "x"), Told("a", 2, "y"), Told("b", 1, "y")])
    bench.project()
    bench.rebuild()
    with closing(open_store(bench.store)) as store:
        comparison = Comparison(store.reader("ledger", 1), store.reader("ledger", 2))
        (difference,) = comparison
        assert (difference.entity_id, comparison.entities, comparison.versions) == ("a", 2, 3)
        assert comparison.basis == store.reader("ledger").marks()
        with pytest.raises(ClosedError):
            list(comparison)
