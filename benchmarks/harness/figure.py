"""A figure: two sides measured in turns in one run, their ratio, and the goal it is held against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final, Literal, Self, TypeAlias

ROUNDS: Final = 3
"""The fewest runs of a side that make a figure."""


@dataclass(frozen=True)
class Goal:
    """What a figure has to reach: at least, or at most, so much. Immutable."""

    direction: Literal["at least", "at most"]
    value: float

    def reached_by(self, value: float) -> bool:
        """Whether a value is good enough."""
        return value >= self.value if self.direction == "at least" else value <= self.value

    def margin(self, value: float) -> float:
        """Return how many times better than the goal a value is; below 1 it misses it."""
        if self.direction == "at least":
            return value / self.value
        return self.value / value if value else float("inf")


def at_least(value: float) -> Goal:
    """More is better."""
    return Goal("at least", value)


def at_most(value: float) -> Goal:
    """Less is better."""
    return Goal("at most", value)


@dataclass(frozen=True)
class Spread:
    """The least, the middle and the most of several runs. Immutable."""

    minimum: float
    median: float
    maximum: float
    runs: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Sum up the runs of one side.

        :raises ValueError: if there are fewer than :data:`ROUNDS`.
        """
        if len(values) < ROUNDS:
            raise ValueError(f"a figure needs {ROUNDS} runs, and there are {len(values)}")
        return cls(min(values), median(values), max(values), len(values))


@dataclass(frozen=True)
class Promise:
    """A figure before it is measured. Immutable.

    :ivar name: the figure's name in ``results.json``.
    :ivar what: what is compared, in a few words.
    :ivar unit: of each side, such as ``events/s``.
    :ivar goal: what the ratio has to reach; of a figure with one side, what that side has to.
    :ivar first: what the first side is.
    :ivar second: what the second side is, by which the first is divided; ``None`` for a figure with one side.
    """

    name: str
    what: str
    unit: str
    goal: Goal
    first: str
    second: str | None = None

    def measured(
        self,
        first: Sequence[float],
        second: Sequence[float] | None = None,
        *,
        versions: Mapping[str, str],
        note: str = "",
    ) -> Figure:
        """Make the figure of what was measured.

        The ratio is the median of the rounds' own ratios, not the ratio of medians: what else the machine did in a
        round met both its sides.

        :param first: the first side, one value a round.
        :param second: the second side of the same rounds.
        :param versions: of everything that took part, by name.
        :param note: what a reader of the figure has to know.
        :raises ValueError: if there are too few rounds, or one side has more than the other.
        """
        if (second is None) != (self.second is None):
            raise ValueError(f"{self.name} has {'one side' if self.second is None else 'two sides'}")
        ratio = None if second is None else Spread.of([a / b for a, b in zip(first, second, strict=True)])
        return Figure(
            self, Spread.of(first), None if second is None else Spread.of(second), ratio, dict(versions), note
        )

    def missing(self, reason: str) -> Missing:
        """Say why there is no figure."""
        return Missing(self, reason)


@dataclass(frozen=True)
class Figure:
    """A promise with what was measured. Immutable."""

    promise: Promise
    first: Spread
    second: Spread | None
    ratio: Spread | None
    versions: dict[str, str] = field(default_factory=dict)
    note: str = ""

    @property
    def value(self) -> float:
        """What is held against the goal: the ratio, or the one side's median."""
        return self.first.median if self.ratio is None else self.ratio.median

    @property
    def reached(self) -> bool:
        """Whether it reaches its goal."""
        return self.promise.goal.reached_by(self.value)


@dataclass(frozen=True)
class Missing:
    """A promise that could not be measured here, and why. Immutable."""

    promise: Promise
    reason: str


Outcome: TypeAlias = Figure | Missing


@dataclass(frozen=True)
class Cannot:
    """What a peer cannot do at all: said in words, never as a slow number. Immutable.

    :ivar peer: who.
    :ivar what: the thing that we measure of ourselves.
    :ivar why: what its documentation or its interface says.
    """

    peer: str
    what: str
    why: str
