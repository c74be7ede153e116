"""Every fault at every call of a scenario, and random histories; with counts of what took place."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator

from tests.simulation.counts import FULL_CALLS, FULL_FAULTS
from tests.simulation.faults import KINDS, Fault, Passed, Plan
from tests.simulation.histories import history
from tests.simulation.scenarios import ALL
from tests.simulation.stage import Place

_DECISIVE = ("BEGIN", "COMMIT", "UPDATE everwhen_checkpoints", "INSERT INTO everwhen_checkpoints")

LONG = ("taken_away", "quiet", "two_workers")
"""Scenarios that take many times as long as the others: of these only every fifth point is played by default."""
_STRIDE = 5


class Difference(AssertionError):
    """What was wrong, and how to have it again."""


def faults_at(passed: Passed, *, every: bool) -> Iterator[Fault]:
    """What is to go wrong at a call.

    :param every: all kinds. If not, then the kinds take turns, so that each call fails in one way; where a transaction
        begins, takes its place or ends, in three.
    """
    kinds = KINDS[passed.port]
    if not every:
        turn = passed.call % len(kinds)
        ways = 3 if passed.label.partition(" ")[2].startswith(_DECISIVE) else 1
        kinds = tuple(kinds[(turn + step) % len(kinds)] for step in range(ways))
    return (Fault(passed.port, passed.call, kind) for kind in kinds)


def exhaust(place: Place, name: str, *, every: bool, share: float = 1) -> Counter[str]:
    """Play a scenario once for each fault at each call of it.

    :param every: with all kinds of faults; otherwise as :func:`faults_at` chooses.
    :param share: play only so many of them, drawn at random.
    :raises Difference: naming the fault.
    """
    stage = place.stage(*ALL[name](place.topic))
    calm = Plan()
    stage.play(calm)
    faults = [fault for passed in calm.trace for fault in faults_at(passed, every=every)]
    if name in LONG and not every:
        faults = faults[::_STRIDE]
    if share < 1:
        faults = random.sample(faults, max(1, round(len(faults) * share)))
    counts = Counter({"scenarios": 1, "calls": sum(calm.calls.values())})
    for fault in faults:
        plan = Plan([fault])
        try:
            stage.play(plan)
        except Exception as error:
            raise Difference(f"{name}, {fault}: {type(error).__name__}: {error}\n{_tail(plan)}") from error
        assert plan.done[fault.kind] == 1, f"{name}, {fault} did not take place"
        counts += Counter({"points": 1, f"points of {fault.kind}": 1})
    return counts


def wander(place: Place, seeds: Iterable[int]) -> Counter[str]:
    """Play the history of each seed.

    :raises Difference: naming the seed.
    """
    counts: Counter[str] = Counter()
    for seed in seeds:
        drawn = history(place.topic, seed)
        plan = Plan(drawn.faults)
        try:
            drawn.play(place, plan)
        except Exception as error:
            raise Difference(f"seed {seed}: {type(error).__name__}: {error}\n{_tail(plan)}") from error
        calls, faults = sum(plan.calls.values()), sum(plan.done.values())
        counts["histories"] += 1
        counts["full histories"] += calls >= FULL_CALLS and faults >= FULL_FAULTS
        counts["calls in histories"] += calls
        counts += Counter({f"faults of {kind}": count for kind, count in plan.done.items()})
    return counts


def _tail(plan: Plan) -> str:
    shown = [f"{p.port} {p.call} {p.label:.120}{' <- ' + p.kind if p.kind is not None else ''}" for p in plan.trace]
    return "\n".join(shown[-60:])
