"""Applying a batch of one partition in one transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from everwhen.errors import Fenced, RecordError, StoreUnavailable
from everwhen.event import Event
from everwhen.instants import Micros
from everwhen.ports.log import Record
from everwhen.ports.store import Claim, Store, StoreBatch
from everwhen.positions import Mark
from everwhen.projection import Arrival, Folder, Late, Loaded, Projection, Tally, Timeline, since
from everwhen.projection.rows import Changes, Head, Known, Version
from everwhen.worker.heads import HeadCache
from everwhen.worker.intake import Intake
from everwhen.worker.patience import Patience, no_patience

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
        self.released = False
        """Whether the log has taken the partition away from us."""

    @property
    def partition(self) -> int:
        """The partition's number."""
        return self.claim.partition


class Projector:
    """Folds records into the store: one call, one partition, one transaction.

    :param projection: what to fold.
    :param store: where to.
    :param depth: how many superseded beliefs one batch may store for one entity.
    :param patience: with the store when a batch fails and it may pass; none if left out.

    Used by one thread.
    """

    def __init__(
        self, projection: Projection[Any], store: Store, *, depth: int, patience: Patience | None = None
    ) -> None:
        self._store = store
        self._depth = depth
        self._intake = Intake(projection)
        self._folder = Folder(projection)
        self._late = projection.late
        self._patience = patience or no_patience()

    def apply(self, owned: Owned, records: Sequence[Record], reached: int) -> Tally:
        """Apply the records and move the checkpoint to ``reached``, the offset that comes after them.

        When one of them cannot be applied, those before it are applied and committed first.

        :raises RecordError: for the first record that cannot be applied; the checkpoint then stands in front of it.
        :raises Fenced: if another worker has claimed the partition; nothing was written.
        :raises StoreUnavailable: if the database failed for longer than there is patience.
        :raises Abandoned: if the partition was taken away, or the worker told to stop, while the database was away;
            the batch is committed or not, as a whole, and whoever claims the partition finds out.
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
        committed = False
        while not committed:
            # Read again for each attempt: a handler may have changed an event that it was given.
            batch, mark = self._read(owned, records, reached)
            try:
                with self._store.batch(owned.claim, owned.mark.next_offset, mark) as transaction:
                    batch.write(transaction, owned.heads)
                committed = True
            except StoreUnavailable as error:
                committed = self._was_committed(owned, mark, error)
        self._patience.succeeded()
        owned.mark = mark
        owned.heads.put(batch.heads)
        # Each batch of late events rewrites what comes after them once, however many they are.
        owned.stride = _LATE_STRIDE if batch.tally.refolded > len(records) else 1
        return batch.tally

    def _read(self, owned: Owned, records: Sequence[Record], reached: int) -> tuple[_Batch, Mark]:
        batch = _Batch(self._folder, self._depth, self._late)
        watermark = owned.mark.watermark
        for record in records:
            watermark = max(watermark, record.timestamp)
            batch.take(*self._intake.read(record, watermark))
        return batch, Mark(reached, watermark)

    def _was_committed(self, owned: Owned, mark: Mark, error: StoreUnavailable) -> bool:
        """Wait until the store is back; find out whether the batch that failed took effect all the same."""
        while True:
            self._patience.bear(error, lambda: owned.released)
            try:
                stands = self._store.next_offset(owned.claim)
            except StoreUnavailable as again:
                error = again
                continue
            if stands in (owned.mark.next_offset, mark.next_offset):
                return stands == mark.next_offset
            raise Fenced(
                f"{owned.claim.generation.topic}[{owned.partition}] of projection {owned.claim.generation.projection} "
                f"was left at offset {owned.mark.next_offset}, and after a failure of the database it stands at "
                f"{stands}: the database was set back. Claim the partition again to go on from there"
            ) from error


class _Batch:
    """The records of one transaction, by entity."""

    def __init__(self, folder: Folder[Any], depth: int, late: Late) -> None:
        self.tally = Tally()
        self.heads: list[Head] = []
        """The new heads of all entities, once they are written."""
        self._folder = folder
        self._depth = depth
        self._late = late
        self._arrivals: dict[str, list[Arrival]] = {}
        self._events: dict[int, Event] = {}

    def take(self, arrival: Arrival, event: Event) -> None:
        self._arrivals.setdefault(arrival.row.entity_id, []).append(arrival)
        self._events[arrival.row.offset] = event

    def write(self, store: StoreBatch, cache: HeadCache) -> None:
        """Fold and write all entities."""
        heads = self._heads(store, cache)
        corrected = {entity_id for entity_id, head in heads.items() if head.withdrawals}
        known = self._known(store, heads, corrected)
        withdrawn = store.withdrawn(corrected) if corrected else {}
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
            self.heads += changes.heads

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
