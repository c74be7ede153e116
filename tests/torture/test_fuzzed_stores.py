"""The checker sees any damage to a single row, drawn by chance."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.checker import projected, stores
from tests.longer import times
from tests.torture import domain, healthy
from tests.torture.fuzzing import HARMLESS, Fuzzer
from tests.torture.healthy import Witnesses

_EVENTS = 150
_ROUNDS = 1_500


@pytest.fixture(scope="module")
def witnesses(tmp_path_factory: pytest.TempPathFactory) -> Witnesses:
    """A small store that keeps every belief."""
    return healthy.make(tmp_path_factory.mktemp("fuzzed"), _EVENTS, depth=10_000, seed=3)


@pytest.fixture
def seed() -> int:
    """Another one for each run."""
    return random.SystemRandom().randrange(2**32)


@pytest.fixture
def fuzzer(witnesses: Witnesses, tmp_path: Path, seed: int) -> Iterator[Fuzzer]:
    """A copy of the store, to be damaged."""
    fuzzer = Fuzzer(witnesses.store, tmp_path / "store.db", seed)
    yield fuzzer
    fuzzer.close()


def _seen(witnesses: Witnesses, fuzzer: Fuzzer) -> int:
    tables = stores.read(f"sqlite:///{fuzzer.path}", domain.PROJECTION)
    return sum(1 for _ in projected.compare(witnesses.log, witnesses.expected, tables))


def test_damage_to_any_single_row_is_seen(witnesses: Witnesses, fuzzer: Fuzzer, seed: int) -> None:
    """Dropped, doubled, made up, moved, exchanged with another, or with another value in any column: it is reported."""
    rounds, kinds, unseen = times(_ROUNDS), Counter[str](), []
    for _ in range(rounds):
        with fuzzer.damaged() as damage:
            kinds[f"{damage.kind} {damage.table}"] += 1
            if not _seen(witnesses, fuzzer):
                unseen.append(damage)
    print(f"seed {seed}: {rounds} corruptions, {rounds - len(unseen)} seen; {dict(sorted(kinds.items()))}")
    assert unseen == [], f"seed {seed}"


def test_what_was_damaged_is_whole_again(witnesses: Witnesses, fuzzer: Fuzzer) -> None:
    """Each damage is judged by itself, and a store that nobody damaged is healthy."""
    assert _seen(witnesses, fuzzer) == 0
    for _ in range(20):
        with fuzzer.damaged():
            pass
        assert _seen(witnesses, fuzzer) == 0


def test_what_is_harmless_is_there(fuzzer: Fuzzer) -> None:
    """A column that is gone, or has another name now, is no exception any more; and no table is empty by mistake."""
    assert all(column in fuzzer.columns[table] for table, column in HARMLESS)
