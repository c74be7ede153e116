"""Being told that a projection has moved on: part of the store port."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeAlias


class Moved(NamedTuple):
    """A batch was committed."""

    number: int
    """Of the generation."""
    partition: int
    next_offset: int
    """Where the partition stands now."""


Heard: TypeAlias = Callable[[Moved | None], None]
"""Called with what was committed; with ``None`` when something may have been that was not heard of. Must not block."""


class Listening(Protocol):
    """Says whether anything is going to be heard."""

    @property
    def active(self) -> bool:
        """Whether the database tells of batches at this moment; if not, only asking it helps."""
        ...


class Standing(NamedTuple):
    """Where a partition of a generation stands, and what it is read from."""

    next_offset: int
    cluster_id: str
    topic_id: str
