"""What the simulation played, in numbers."""

from __future__ import annotations

from collections import Counter

SIMULATED = "simulated"
"""The property of a test under which its counts are reported."""
FULL_CALLS, FULL_FAULTS = 200, 5
"""A history that has so many of both is counted as a full one."""


def lines(counts: Counter[str]) -> list[str]:
    """Say what took place."""
    points, faults = _kinds(counts, "points of "), _kinds(counts, "faults of ")
    return [
        f"{counts['scenarios']} scenarios of {counts['calls']} calls: {counts['points']} points ({points})",
        f"{counts['histories']} histories, {counts['full histories']} of them with at least {FULL_CALLS} calls and "
        f"{FULL_FAULTS} faults, of {counts['calls in histories']} calls ({faults})",
    ]


def _kinds(counts: Counter[str], prefix: str) -> str:
    return ", ".join(
        f"{n} {name.removeprefix(prefix)}" for name, n in sorted(counts.items()) if name.startswith(prefix)
    )
