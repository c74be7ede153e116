"""The heads of entities that were touched lately, so that a busy entity is not read again for every batch."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from everwhen.projection.rows import Head

_FIXED_BYTES = 600
"""About what a head weighs in memory apart from its state."""


class HeadCache:
    """Least recently used heads of one claimed partition, bounded by their size.

    It is filled only after a commit and thrown away with the claim, so it never knows more than the store. What changes
    a head without a claim, pruning, is counted with the checkpoint.

    :param limit_bytes: about how much memory it may take.

    Not thread-safe.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._size = 0
        self._heads: OrderedDict[str, Head] = OrderedDict()
        self._prunings: int | None = None

    def follow(self, prunings: int) -> None:
        """Forget all if entities of the partition were pruned since the last batch.

        :param prunings: as :class:`~everwhen.ports.store.StoreBatch` says.
        """
        if prunings != self._prunings:
            self.clear()
            self._prunings = prunings

    def get(self, entity_id: str) -> Head | None:
        """Return the head if it is here."""
        head = self._heads.get(entity_id)
        if head is not None:
            self._heads.move_to_end(entity_id)
        return head

    def put(self, heads: Iterable[Head]) -> None:
        """Keep these heads, dropping those that were not used for longest."""
        for head in heads:
            before = self._heads.pop(head.entity_id, None)
            self._size += _weight(head) - (_weight(before) if before is not None else 0)
            self._heads[head.entity_id] = head
        while self._size > self._limit and self._heads:
            self._size -= _weight(self._heads.popitem(last=False)[1])

    def clear(self) -> None:
        """Forget all: it is not known what the store holds."""
        self._heads.clear()
        self._size = 0


def _weight(head: Head) -> int:
    return _FIXED_BYTES + len(head.state or "")
