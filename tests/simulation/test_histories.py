"""Random logs under many faults at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from tests.longer import times
from tests.simulation.exhaust import wander
from tests.simulation.faults import Plan
from tests.simulation.histories import history
from tests.simulation.stage import Place

_SHARES = 4
_HISTORIES = times(6)


@pytest.mark.parametrize("share", range(_SHARES))
def test_no_history_changes_a_row(share: int, place: Place, played: Callable[[Counter[str]], None]) -> None:
    """Whoever dies, stands still, is overtaken or loses an answer, in whatever order the threads go on."""
    played(wander(place, range(share * _HISTORIES, (share + 1) * _HISTORIES)))


@pytest.mark.parametrize("seed", range(100, 102))
def test_a_seed_gives_the_same_calls_and_faults_again(seed: int, place: Place) -> None:
    """So what a run found can be looked at as often as needed."""
    traces = []
    for _ in range(2):
        drawn = history(place.topic, seed)
        plan = Plan(drawn.faults)
        drawn.play(place, plan)
        traces.append(plan.trace)
    assert traces[0] == traces[1]
    assert traces[0]
