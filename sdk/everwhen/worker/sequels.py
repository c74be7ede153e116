"""The entities of a batch whose events simply follow all that they have: nearly all."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from everwhen.projection import Apply, Arrival, Coming, Sequel, is_plain
from everwhen.projection.rows import Head, VersionValues
from everwhen.worker.intake import Read


class Sequels:
    """Folds such events in the order of the log, and sorts out the others.

    :param partition: where the records come from.
    :param named: the entities that are looked at; of others everything is sorted out.
    :param heads: of these, what is stored of them.
    :param apply: applies an event.
    """

    def __init__(self, partition: int, named: Collection[str], heads: Mapping[str, Head], apply: Apply) -> None:
        self.left: dict[str, list[Coming]] = {}
        """By entity, what was sorted out: the first event that is of another kind, and whatever comes after it."""
        self.ended: list[Head] = []
        """Of these entities, what is known of those of which events were folded before that."""
        self.count = 0
        """How many events were folded."""
        self._partition = partition
        self._named = named
        self._heads = heads
        self._apply = apply
        self._sequels: dict[str, Sequel] = {}

    def follow(self, read: Sequence[Read]) -> list[VersionValues]:
        """Take more records; return their rows, in the order of the log."""
        rows: list[VersionValues] = []
        sequels, apply = self._sequels, self._apply
        for version, contributes, event in read:
            entity_id = version[0]
            sequel = sequels.get(entity_id) or self._begin(entity_id)
            row = sequel.follow(version, event, apply) if contributes and sequel is not None else None
            if row is None:
                self.leave(entity_id, Arrival(version, contributes))
            else:
                rows.append(row)
        self.count += len(rows)
        return rows

    def leave(self, entity_id: str, coming: Coming) -> None:
        """Sort out a record, and so all that comes of its entity from here on."""
        self.left.setdefault(entity_id, []).append(coming)
        sequel = self._sequels.pop(entity_id, None)
        if sequel is not None and sequel.count:
            self.ended.append(sequel.head())

    def heads(self) -> list[Head]:
        """Return what is known of the entities whose events were all folded."""
        return [sequel.head() for sequel in self._sequels.values()]

    def _begin(self, entity_id: str) -> Sequel | None:
        head = self._heads.get(entity_id)
        if entity_id in self.left or entity_id not in self._named or not is_plain(head, self._partition):
            return None
        sequel = self._sequels[entity_id] = Sequel(entity_id, self._partition, head)
        return sequel
