"""Points on both axes: what a question may be about."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from everwhen.errors import ArgumentError
from everwhen.instants import Micros, to_micros
from everwhen.ports.answers import AsOf
from everwhen.ports.generations import Generation
from everwhen.positions import Basis
from everwhen.reader.answer import Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class At:
    """A point on both axes, with the meaning of the parameters of :meth:`everwhen.Reader.get`.

    :ivar valid_at: at which instant (aware); now if left out.
    :ivar known_at: as known at which instant (aware).
    :ivar basis: as known at which basis.
    """

    valid_at: datetime | None = None
    known_at: datetime | None = None
    basis: Basis | str | None = None


Point: TypeAlias = datetime | At | Answer[Any]
"""An instant of valid time as known now, a point on both axes, or the point of an earlier answer."""


def at(point: Point) -> At:
    """Return the point as one on both axes.

    :raises ArgumentError: if it is none.
    """
    if isinstance(point, At):
        return point
    if isinstance(point, datetime):
        return At(valid_at=point)
    if isinstance(point, Answer):
        return At(valid_at=point.valid_at, basis=point.basis)
    raise ArgumentError("a point is an aware datetime, an At(valid_at=..., known_at=... or basis=...), or an answer")


def as_of(point: At, now: Micros, generation: Generation) -> AsOf:
    """Return the point as a store takes it.

    :param now: the instant if the point names none.
    :raises InstantError: for a naive datetime or one that is finer than a microsecond.
    :raises ArgumentError: if both ``known_at`` and ``basis`` are given, or the basis is of another topic.
    """
    instant = now if point.valid_at is None else to_micros(point.valid_at, "valid_at")
    known = None if point.known_at is None else to_micros(point.known_at, "known_at")
    if point.basis is None:
        return AsOf(instant, None, known)
    if known is not None:
        raise ArgumentError("give known_at or basis, not both: each says what was known")
    basis = read_basis(point.basis, generation)
    return AsOf(instant, basis, basis.known_at)


def read_basis(basis: Basis | str, generation: Generation) -> Basis:
    """Return a basis that may have been given as its token.

    :raises ArgumentError: if it is none, or of another topic than the generation's.
    """
    found = Basis.parse(basis) if isinstance(basis, str) else basis
    if found.topic != generation.topic:
        raise ArgumentError(
            f"the basis is of topic {found.topic}; projection {generation.projection} reads {generation.topic}"
        )
    return found
