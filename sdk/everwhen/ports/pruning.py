"""Dropping history that nobody asks about any more: part of the store port."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple, Protocol

from everwhen.instants import Micros

if TYPE_CHECKING:
    from everwhen.ports.generations import Generation


class Pruned(NamedTuple):
    """How much is dropped."""

    entities: int = 0
    """Whose history begins later."""
    versions: int = 0
    """Events that stood."""
    superseded: int = 0
    """Beliefs that later records had replaced, and events that were withdrawn."""
    parked: int = 0
    """Entities that are left as they are, as a record of them is kept aside."""

    def plus(self, other: Pruned) -> Pruned:
        """Return the sum of both."""
        return Pruned(*(a + b for a, b in zip(self, other, strict=True)))


class StorePruning(Protocol):
    """Drops history of one generation, beside workers and readers. Thread-safe.

    Of every entity that has versions before an instant, the last of these stays: the floor, from whose state all later
    ones follow. So do all versions from the instant on, those that were superseded included; every event id that was
    dropped, with a digest of its event; and every withdrawal. Dropped are the other versions, superseded beliefs and
    conflicts before the instant. The head says from when on, and as known at which bases, the answers are whole.
    """

    @property
    def generation(self) -> Generation:
        """The generation whose history is dropped."""
        ...

    def outlook(self, before: Micros) -> Pruned:
        """Return what :meth:`portions` would drop, and change nothing. Looks at all rows.

        :raises StoreUnavailable: if the database cannot be reached.
        """
        ...

    def portions(self, before: Micros) -> Iterator[Pruned]:
        """Drop the history before an instant, some entities in each transaction; yield what each has dropped.

        No batch of a partition is written meanwhile: either waits for the other. Where it is interrupted, what was
        yielded is done, and calling it again does the rest. An entity that was pruned up to here or later is passed
        over.

        :raises StoreUnavailable: if the database failed.
        """
        ...
