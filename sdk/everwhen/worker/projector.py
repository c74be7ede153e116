"""Applying a batch of one partition in one transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from everwhen.errors import RecordError
from everwhen.event import Event
from everwhen.instants import Micros
from everwhen.ports.log import Record
from everwhen.ports.store import Claim, Store, StoreBatch
from everwhen.positions import Mark
from everwhen.projection import Arrival, Folder, Late, Loaded, Projection, Tally, Timeline, since
from everwhen.projection.rows import Changes, Head, Known, Version
from everwhen.worker.heads import HeadCache
from everwhen.worker.intake import Intake

_LATE_STRIDE: Final = 4
_TAIL_ROWS: Final = 50_000
"""About how many stored versions are held at a time to be folded again; an entity's are not divided."""


class Owned:
    """A partition that this worker has claimed, and how far it is.

    :param claim: the claim.
    :param cache_bytes: about how much memory the heads of its entities may take.
    """

    def __init__(self, claim: Claim, cache_bytes: int) -> None:
        self.claim = claim
        self.mark = claim.mark
        self.quiet_until = claim.quiet_until
        self.heads = HeadCache(cache_bytes)
        self.stride = 1
        """How many times the usual number of records the next batch may take."""

    @property
    def partition(self) -> int:
        """The partition's number."""
        return self.claim.partition


class Projector:
    """Folds records into the store: one call, one partition, one transaction.

    :param projection: what to fold.
    :param store: where to.
    :param depth: how many superseded beliefs one batch may store for one entity.

    Used by one thread.
    """

    def __init__(self, projection: Projection[Any], store: Store, *, depth: int) -> None:
        self._store = store
        self._depth = depth
        self._intake = Intake(projection)
        self._folder = Folder(projection)
        self._late = projection.late

    def apply(self, owned: Owned, records: Sequence[Record], reached: int) -> Tally:
        """Apply the records and move the checkpoint to ``reached``, the offset that comes after them.

        When one of them cannot be applied, those before it are applied and committed first.

        :raises RecordError: for the first record that cannot be applied; the checkpoint then stands in front of it.
        :raises Fenced: if another worker has claimed the partition; nothing was written.
        :raises StoreUnavailable: if the database failed.
        """
        try:
            return self._apply_whole(owned, records, reached)
        except RecordError:
            if len(records) <= 1:
                raise
        middle = len(records) // 2
        tally = self.apply(owned, records[:middle], records[middle].offset)
        tally.add(self.apply(owned, records[middle:], reached))
        return tally

    def _apply_whole(self, owned: Owned, records: Sequence[Record], reached: int) -> Tally:
        batch = _Batch(self._folder, self._depth, self._late)
        watermark = owned.mark.watermark
        for record in records:
            watermark = max(watermark, record.timestamp)
            batch.take(*self._intake.read(record, watermark))
        mark = Mark(reached, watermark)
        with self._store.batch(owned.claim, owned.mark.next_offset, mark) as transaction:
            heads = batch.write(transaction, owned.heads)
        owned.mark = mark
        owned.heads.put(heads)
        # Each batch of late events rewrites what comes after them once, however many they are.
        owned.stride = _LATE_STRIDE if batch.tally.refolded > len(records) else 1
        return batch.tally


class _Batch:
    """The records of one transaction, by entity."""

    def __init__(self, folder: Folder[Any], depth: int, late: Late) -> None:
        self.tally = Tally()
        self._folder = folder
        self._depth = depth
        self._late = late
        self._arrivals: dict[str, list[Arrival]] = {}
        self._events: dict[int, Event] = {}

    def take(self, arrival: Arrival, event: Event) -> None:
        self._arrivals.setdefault(arrival.row.entity_id, []).append(arrival)
        self._events[arrival.row.offset] = event

    def write(self, store: StoreBatch, cache: HeadCache) -> list[Head]:
        """Fold and write all entities; return their new heads."""
        heads = self._heads(store, cache)
        corrected = {entity_id for entity_id, head in heads.items() if head.withdrawals}
        known = self._known(store, heads, corrected)
        withdrawn = store.withdrawn(corrected) if corrected else {}
        written: list[Head] = []
        for group in self._groups(heads, known):
            starts = {entity_id: start for entity_id, start in group.items() if start is not None}
            tails = store.tails(starts) if starts else {}
            changes = Changes()
            for entity_id, start in group.items():
                loaded = Loaded(
                    head=heads.get(entity_id),
                    since=start,
                    tail=tails.get(entity_id, ()),
                    known=known.get(entity_id, {}),
                    withdrawn=withdrawn.get(entity_id, {}),
                )
                self._apply(entity_id, loaded, changes)
            store.write(changes)
            written += changes.heads
        return written

    def _apply(self, entity_id: str, loaded: Loaded, changes: Changes) -> None:
        timeline = Timeline(entity_id, loaded, self._fold, self._depth, changes, self.tally, self._late)
        for arrival in self._arrivals[entity_id]:
            timeline.apply(arrival)
        timeline.finish()

    def _fold(self, state: str | None, row: Version) -> str | None:
        event = self._events.get(row.offset)
        return self._folder.fold(state, row) if event is None else self._folder.apply(state, row, event)

    def _groups(
        self, heads: Mapping[str, Head], known: Mapping[str, Mapping[str, Known]]
    ) -> Iterator[dict[str, Micros | None]]:
        """Divide the entities so that few stored versions are in memory; say from where on each one's are needed."""
        group: dict[str, Micros | None] = {}
        rows = 0
        for entity_id, arrivals in self._arrivals.items():
            head = heads.get(entity_id)
            start = since(head, arrivals, known.get(entity_id, {}), self._late)
            if head is not None and start is not None:
                if rows and rows + head.versions > _TAIL_ROWS:
                    yield group
                    group, rows = {}, 0
                rows += head.versions
            group[entity_id] = start
        yield group

    def _heads(self, store: StoreBatch, cache: HeadCache) -> dict[str, Head]:
        heads = {entity_id: head for entity_id in self._arrivals if (head := cache.get(entity_id)) is not None}
        missing = self._arrivals.keys() - heads.keys()
        return heads | store.heads(missing) if missing else heads

    def _known(
        self, store: StoreBatch, heads: Mapping[str, Head], corrected: Collection[str]
    ) -> dict[str, dict[str, Known]]:
        pairs: set[tuple[str, str]] = set()
        for entity_id in heads:
            for row, _ in self._arrivals[entity_id]:
                pairs.add((entity_id, row.event_id))
                if row.withdraws is not None:
                    pairs.add((entity_id, row.withdraws))
        found: dict[str, dict[str, Known]] = {}
        for known in store.known(pairs, corrected) if pairs else ():
            found.setdefault(known.entity_id, {})[known.event_id] = known
        return found
