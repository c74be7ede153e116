"""The records that are kept aside, and what an operator asks for with them: part of the store port."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

from everwhen.projection.rows import Quarantined

if TYPE_CHECKING:
    from everwhen.ports.generations import Generation


class StoreQuarantine(Protocol):
    """The records of one generation that are kept aside. Thread-safe."""

    @property
    def generation(self) -> Generation:
        """The generation whose records they are."""
        ...

    def records(self) -> list[Quarantined]:
        """Return all of them in order of their positions, discarded ones included, without key, value and headers."""
        ...

    def record(self, partition: int, offset: int) -> Quarantined | None:
        """Return one of them whole."""
        ...

    def ask(
        self,
        request: Literal["retry", "discard"],
        *,
        position: tuple[int, int] | None = None,
        entity_id: str | None = None,
        reason: str | None = None,
    ) -> int:
        """Write down what the worker that owns the partition shall do, for records that are not discarded.

        :param position: of this partition and offset; without it and ``entity_id`` all of them.
        :param entity_id: of this entity.
        :param reason: why they are discarded.
        :return: how many records are asked for.
        :raises StoreUnavailable: if the database cannot be reached.
        """
        ...
