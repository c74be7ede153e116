"""Positions in the log, and the basis of an answer.

A :class:`Position` is always that *of* a record. A :class:`Basis` says how far each partition had been read: it
maps a partition to the offset that comes next, so it holds exactly the records below that offset.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from everwhen.errors import ArgumentError
from everwhen.instants import Micros


class Position(NamedTuple):
    """The place of one record in the log."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]@{self.offset}"


class Mark(NamedTuple):
    """How far one partition has been read."""

    next_offset: int
    """The offset to read next; every record below it is covered."""
    watermark: Micros
    """The recorded time up to which everything is covered, in microseconds; -1 before the first record."""


@dataclass(frozen=True, slots=True)
class Basis(Mapping[int, Mark]):
    """What an answer was computed from: per partition of one topic, how far it had been projected.

    Immutable, hashable and comparable. Keep ``str(basis)``, an opaque token, to ask the same question again later
    and from anywhere: an answer pinned to a basis never changes.
    """

    topic: str
    marks: tuple[tuple[int, Mark], ...]
    """``(partition, mark)`` in the order of the partitions."""
    known_at: Micros | None = None
    """If set, the basis leaves out the records below the marks that were recorded after this instant."""
    generation: int | None = field(default=None, compare=False)
    """The number of the generation that gave it, which is asked again while it is there; part of the token, but two
    bases that hold the same records are equal. ``None``: whichever answers."""
    troubles: tuple[tuple[int, str], ...] = field(default=(), compare=False, repr=False)
    """``(partition, error class)`` of those that stood still when it was taken; not part of the basis or its token."""

    @classmethod
    def of(cls, topic: str, marks: Mapping[int, Mark], known_at: Micros | None = None) -> Basis:
        """Build a basis from a mapping of partition to mark."""
        return cls(topic, tuple(sorted(marks.items())), known_at)

    def __getitem__(self, partition: int) -> Mark:
        for number, mark in self.marks:
            if number == partition:
                return mark
        raise KeyError(partition)

    def __iter__(self) -> Iterator[int]:
        return (partition for partition, _ in self.marks)

    def __len__(self) -> int:
        return len(self.marks)

    def next_offset(self, partition: int) -> int:
        """Return the offset that comes next in ``partition``: 0 where nothing of it is covered."""
        mark = self.get(partition)
        return mark.next_offset if mark is not None else 0

    def covers(self, position: Position) -> bool:
        """Say whether the record at ``position`` is part of this basis."""
        return position.topic == self.topic and position.offset < self.next_offset(position.partition)

    @property
    def watermark(self) -> Micros | None:
        """The recorded time up to which *every* partition is covered; ``None`` while one of them has no record."""
        lowest = min((mark.watermark for _, mark in self.marks), default=-1)
        return lowest if lowest >= 0 else None

    def __str__(self) -> str:
        flat = [
            self.topic,
            self.generation,
            self.known_at,
            *(n for partition, mark in self.marks for n in (partition, *mark)),
        ]
        return _PREFIX + base64.urlsafe_b64encode(json.dumps(flat, separators=(",", ":")).encode()).decode().rstrip("=")

    @classmethod
    def parse(cls, token: str) -> Basis:
        """Read the token that ``str(basis)`` gave.

        :raises ArgumentError: if it is not one.
        """
        try:
            body = token.removeprefix(_PREFIX)
            if body == token:
                raise ValueError
            flat = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
            topic, generation, known_at, numbers = flat[0], flat[1], flat[2], flat[3:]
            if not isinstance(topic, str) or len(numbers) % 3 or any(type(n) is not int for n in numbers):
                raise ValueError
            if any(n is not None and type(n) is not int for n in (generation, known_at)):
                raise ValueError
            triples = zip(numbers[::3], numbers[1::3], numbers[2::3], strict=True)
            marks = {partition: Mark(offset, watermark) for partition, offset, watermark in triples}
            return replace(cls.of(topic, marks, known_at), generation=generation)
        except (ValueError, TypeError, IndexError, KeyError, binascii.Error):
            raise ArgumentError(
                "this is not a basis; use answer.basis, or the token that str(answer.basis) gave"
            ) from None


_PREFIX = "b2."
