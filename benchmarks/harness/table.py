"""Results as Markdown: one table of figures, one of what peers cannot do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from benchmarks.harness.figure import Figure, Goal, Missing, Spread
from benchmarks.harness.results import Result, Results

_SIGNS: Final = {"at least": "≥", "at most": "≤"}


def render(results: Results) -> str:
    """Return the tables, and what they were measured on."""
    parts = [
        _table(("figure", "what", "A", "B", "A : B (least, most)", "goal", ""), map(_row, results.results)),
        _settings(results.results),
    ]
    if results.cannot:
        lines = ((each.peer, each.what, f"cannot: {each.why}") for each in results.cannot)
        parts.append(_table(("peer", "what", "figure"), lines))
    return "\n\n".join(parts) + "\n"


def number(value: float) -> str:
    """Write a number with about three digits."""
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}" if size >= 0.1 else f"{value:.3g}"


def goal(goal: Goal) -> str:
    """Write a goal."""
    return f"{_SIGNS[goal.direction]} {goal.value:,g}"


def _row(result: Result) -> Sequence[str]:
    outcome, promise = result.outcome, result.outcome.promise
    name = f"`{promise.name}`"
    if isinstance(outcome, Missing):
        return name, promise.what, "", "", f"not measured: {outcome.reason}", goal(promise.goal), ""
    verdict = ("yes" if outcome.reached else "**no**") + (" (quick)" if result.setting.quick else "")
    return (
        name,
        promise.what + (f"; {outcome.note}" if outcome.note else ""),
        _side(promise.first, outcome.first, promise.unit),
        "" if outcome.second is None else _side(promise.second or "", outcome.second, promise.unit),
        _ratio(outcome),
        goal(promise.goal),
        verdict,
    )


def _side(what: str, spread: Spread, unit: str) -> str:
    return f"{what}: {number(spread.median)} {unit}"


def _ratio(figure: Figure) -> str:
    shown = figure.ratio or figure.first
    return f"**{number(shown.median)}** ({number(shown.minimum)}, {number(shown.maximum)})"


def _settings(results: Sequence[Result]) -> str:
    """Say on what machine and with which versions; usually all figures are of one run."""
    machines = sorted({f"{r.setting.cores} cores of {r.setting.processor}, {r.setting.date}" for r in results})
    versions: dict[str, set[str]] = {}
    for result in results:
        if isinstance(result.outcome, Figure):
            for name, version in result.outcome.versions.items():
                versions.setdefault(name, set()).add(version)
    named = ", ".join(f"{name} {' and '.join(sorted(found))}" for name, found in versions.items())
    return f"Measured on {'; '.join(machines)}. {named}." if versions else "Nothing has been measured yet."


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(_lines(head, rows))


def _lines(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield _line(head)
    yield _line(["---"] * len(head))
    for row in rows:
        yield _line(row)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
