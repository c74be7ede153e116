"""What the store has of a batch's entities, and in which portions their versions are loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from everwhen.instants import Micros
from everwhen.projection import Loaded, Waiting
from everwhen.projection.rows import Head, Known

_TAIL_ROWS: Final = 50_000
"""About how many stored versions are held at a time to be folded again; an entity's are not divided."""


class Stored(NamedTuple):
    """What the store has of a batch's entities, by entity, but for the versions that are folded again."""

    heads: Mapping[str, Head]
    known: Mapping[str, Mapping[str, Known]]
    withdrawn: Mapping[str, Mapping[str, int]]
    waiting: Mapping[str, Sequence[Waiting]]

    def of(self, entity_id: str) -> Loaded:
        """Return what a timeline starts from where no stored version changes."""
        return Loaded(
            head=self.heads.get(entity_id),
            known=self.known.get(entity_id, {}),
            withdrawn=self.withdrawn.get(entity_id, {}),
        )


def is_pruned(head: Head | None) -> bool:
    """Say whether a part of the entity's history was dropped."""
    return head is not None and head.pruned_before is not None


def groups(starts: Mapping[str, Micros | None], heads: Mapping[str, Head]) -> Iterator[dict[str, Micros]]:
    """Divide the entities that have a start, so that few stored versions are in memory."""
    group: dict[str, Micros] = {}
    rows = 0
    for entity_id, start in starts.items():
        if start is None:
            continue
        versions = heads[entity_id].versions
        if rows and rows + versions > _TAIL_ROWS:
            yield group
            group, rows = {}, 0
        group[entity_id] = start
        rows += versions
    if group:
        yield group
