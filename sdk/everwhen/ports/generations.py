"""Builds of a projection that stand side by side, and which of them answers: part of the store port."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, TypeAlias

from everwhen.instants import Micros

State: TypeAlias = Literal["live", "building", "retired"]
"""``live`` answers, ``building`` never has, ``retired`` has, until another one did."""


@dataclass(frozen=True, slots=True)
class Blueprint:
    """What a projection is, as far as a store must know to keep two builds apart."""

    projection: str
    version: int
    fingerprint: str
    """Of the state model and the handlers; see :mod:`everwhen.projection.fingerprint`."""
    topic: str
    columns: tuple[tuple[str, str], ...] = ()
    """Top-level fields of the state for typed views: (name, SQL-neutral kind: text, integer, number, boolean,
    instant, date, uuid, json)."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One build of a projection in the store."""

    projection: str
    number: int
    version: int
    fingerprint: str
    topic: str


class Build(NamedTuple):
    """A generation and what it is for now."""

    generation: Generation
    state: State
    created_at: Micros
    retired_at: Micros | None
    """When another generation began to answer instead of this one; ``None`` if that never happened."""


class StoreGenerations(Protocol):
    """The generations of one projection. Each change is one transaction."""

    def all(self) -> list[Build]:
        """Return those that are not dropped, in the order of their numbers.

        :raises ProjectionNotFound: if nothing was projected under this name.
        """
        ...

    def begin(self, blueprint: Blueprint) -> Build:
        """Return the newest generation that is being built by this code; make one if there is none.

        :raises ProjectionNotFound: if none answers yet: the first one is made by :meth:`~Store.prepare`.
        """
        ...

    def switch(self, number: int) -> Build:
        """Let a generation answer, and retire the one that answered; readers see the one or the other.

        :return: the one that is retired now.
        :raises GenerationNotFound: naming those that are there.
        :raises ArgumentError: if it answers already.
        """
        ...

    def drop(self, number: int) -> None:
        """Free all that a generation takes. Its number is not used again.

        :raises GenerationNotFound: naming those that are there.
        :raises ArgumentError: if it answers, or answered until a moment ago.
        :raises StoreUnavailable: if somebody is using it.
        """
        ...
