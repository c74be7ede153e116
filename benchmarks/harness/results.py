"""The file of results: what was measured, on what, and when."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Self

from benchmarks.harness.figure import Cannot, Figure, Goal, Missing, Outcome, Promise, Spread

FILE: Final = Path(__file__).parents[1] / "results.json"


@dataclass(frozen=True)
class Setting:
    """How a figure was measured. Immutable.

    :ivar date: the day, as ``2026-03-01``.
    :ivar cores: how many processors there were.
    :ivar processor: their name.
    :ivar quick: with few events, which only shows that it works.
    """

    date: str
    cores: int
    processor: str
    quick: bool


@dataclass(frozen=True)
class Result:
    """One line of the file: an outcome, and how it came about. Immutable."""

    outcome: Outcome
    setting: Setting

    @property
    def name(self) -> str:
        """The figure's name."""
        return self.outcome.promise.name


@dataclass(frozen=True)
class Results:
    """All that the file holds. Immutable."""

    results: tuple[Result, ...] = ()
    cannot: tuple[Cannot, ...] = ()

    @classmethod
    def read(cls, file: Path = FILE) -> Self:
        """Read the file; a file that is not there holds nothing."""
        if not file.exists():
            return cls()
        held = json.loads(file.read_text())
        return cls(tuple(map(_from_json, held["figures"])), tuple(Cannot(**each) for each in held["cannot"]))

    def write(self, file: Path = FILE) -> None:
        """Write the file, one figure after the other."""
        held = {"figures": [_to_json(each) for each in self.results], "cannot": [asdict(each) for each in self.cannot]}
        file.write_text(json.dumps(held, indent=2, ensure_ascii=False) + "\n")

    def with_figure(self, result: Result, order: Iterable[str]) -> Self:
        """Return these results with one more, in place of what stood under its name.

        :param order: the names of all figures, as they are shown; what is not among them is left out.
        """
        by_name = {each.name: each for each in (*self.results, result)}
        return replace(self, results=tuple(by_name[name] for name in order if name in by_name))

    def with_cannot(self, cannot: Iterable[Cannot]) -> Self:
        """Return these results with what peers cannot do."""
        return replace(self, cannot=tuple(cannot))


def _to_json(result: Result) -> dict[str, Any]:
    outcome, promise = result.outcome, result.outcome.promise
    written: dict[str, Any] = {
        "name": promise.name,
        "what": promise.what,
        "unit": promise.unit,
        "goal": {promise.goal.direction: promise.goal.value},
        "first": {"what": promise.first},
    }
    if promise.second is not None:
        written["second"] = {"what": promise.second}
    if isinstance(outcome, Missing):
        written["missing"] = outcome.reason
    else:
        written["first"] |= _numbers(outcome.first)
        if outcome.second is not None and outcome.ratio is not None:
            written["second"] |= _numbers(outcome.second)
            written["ratio"] = _numbers(outcome.ratio)
        written |= {"reached": outcome.reached, "versions": outcome.versions}
        if outcome.note:
            written["note"] = outcome.note
    return written | asdict(result.setting)


def _from_json(held: Mapping[str, Any]) -> Result:
    ((direction, value),) = held["goal"].items()
    second = held.get("second")
    promise = Promise(
        held["name"],
        held["what"],
        held["unit"],
        Goal(direction, value),
        held["first"]["what"],
        None if second is None else second["what"],
    )
    setting = Setting(held["date"], held["cores"], held["processor"], held["quick"])
    if "missing" in held:
        return Result(Missing(promise, held["missing"]), setting)
    figure = Figure(
        promise,
        _spread(held["first"]),
        None if second is None else _spread(second),
        _spread(held["ratio"]) if "ratio" in held else None,
        held["versions"],
        held.get("note", ""),
    )
    return Result(figure, setting)


def _numbers(spread: Spread) -> dict[str, Any]:
    """Four digits tell more than the runs agree on, and keep a change of the file readable."""
    numbers = {"min": spread.minimum, "median": spread.median, "max": spread.maximum}
    return {name: float(f"{value:.4g}") for name, value in numbers.items()} | {"runs": spread.runs}


def _spread(held: Mapping[str, Any]) -> Spread:
    return Spread(held["min"], held["median"], held["max"], held["runs"])
