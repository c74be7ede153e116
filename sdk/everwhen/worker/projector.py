"""Applying a batch of one partition in one transaction."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from everwhen.errors import Fenced, RecordError, StoreUnavailable
from everwhen.ports.continuity import Applied
from everwhen.ports.log import Record
from everwhen.ports.store import Claim, Repeated, Store
from everwhen.positions import Mark, Position
from everwhen.projection import CheckingFolder, Folder, Projection, Tally
from everwhen.projection.rows import Quarantined
from everwhen.tracing import BatchTracing
from everwhen.worker.batch import Batch, Rules
from everwhen.worker.continuity import applied_of
from everwhen.worker.heads import HeadCache
from everwhen.worker.intake import Intake
from everwhen.worker.lines import Place, place_of
from everwhen.worker.observer import BatchReport, Observer
from everwhen.worker.patience import Patience, no_patience
from everwhen.worker.quarantine import Window
from everwhen.worker.requests import cross_out, decide
from everwhen.worker.stream import Ahead
from everwhen.worker.suspicion import Breaker, Suspicion, convicted, portions

if TYPE_CHECKING:
    from everwhen.event.codec import SchemaIds

_log = logging.getLogger("everwhen.worker")
_traces = logging.getLogger("everwhen.worker.traceback")
_LATE_STRIDE: Final = 2
_timestamp = attrgetter("timestamp")


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
        self.proven = True
        """Whether the log is known to go on where the store stands."""
        self.trouble = claim.trouble
        """What the store holds against the partition."""
        self.released = False
        """Whether the log has taken the partition away from us."""
        self.suspicion = Suspicion(claim)
        self.failures = Window()

    @property
    def partition(self) -> int:
        """The partition's number."""
        return self.claim.partition

    @property
    def needs_release(self) -> bool:
        """Whether to release the claim when it is given up: it would count as a death, and this one is none."""
        return not self.suspicion.moved and not self.suspicion.deadly

    def most(self, records: int) -> int:
        """Return how many records the next batch may take.

        :param records: usually.
        """
        return self.suspicion.most(records * self.stride)


class _Attempt(NamedTuple):
    """Records that are to be applied in one transaction."""

    batch: Batch
    mark: Mark
    """Where the partition stands then."""
    records: int
    applied: Applied | None = None
    """The last of them."""


class Projector:
    """Folds records into the store: one call, one partition, one transaction.

    :param projection: what to fold.
    :param store: where to.
    :param depth: how many superseded beliefs one batch may store for one entity.
    :param limit_share: which share of a partition's records may be kept aside, before it stops.
    :param check_handlers: apply every event twice and compare.
    :param patience: with the store when a batch fails and it may pass; none if left out.
    :param observer: is told of each batch that was committed.
    :param address: of the log, for traces.
    :param ids: a schema registry.

    Used by one thread.
    """

    def __init__(
        self,
        projection: Projection[Any],
        store: Store,
        *,
        depth: int,
        limit_share: float = 1.0,
        check_handlers: bool = False,
        patience: Patience | None = None,
        observer: Observer | None = None,
        address: str = "",
        ids: SchemaIds | None = None,
    ) -> None:
        self._observer = observer or Observer()
        self._tracing = BatchTracing(address, projection.topic.name, projection.name)
        self._store = store
        self._topic = projection.topic.name
        self._limit = limit_share
        folder = CheckingFolder(projection) if check_handlers else Folder(projection)
        self._rules = Rules(Intake(projection, ids), folder, depth, projection.late)
        self._patience = patience or no_patience()
        self._breaker = Breaker(store, self._patience)

    def apply(self, owned: Owned, records: Sequence[Record], reached: int) -> Tally:
        """Apply the records and move the checkpoint to ``reached``, the offset that comes after them.

        A record that cannot be applied is kept aside and parks its entity; all others go on. In front of a record
        whose schema is not known yet it ends, and the checkpoint stands there.

        :raises UnknownSchema: if the first record is such a one.
        :raises QuarantineLimit: if too many records cannot be applied; nothing was written.
        :raises Fenced: if another worker has claimed the partition; nothing was written.
        :raises StoreUnavailable: if the database failed for longer than there is patience.
        :raises Abandoned: if the partition was taken away, or the worker told to stop, while the database was away;
            the batch is committed or not, as a whole, and whoever claims the partition finds out.
        """
        suspecting = self._breaker.applying(owned.claim, owned.suspicion, records, lambda: owned.released)
        with self._tracing.applying(records), suspecting as deaths:
            return self._apply(owned, records, reached, deaths)

    def _apply(self, owned: Owned, records: Sequence[Record], reached: int, deaths: int) -> Tally:
        error = convicted(self._rules.intake.where(records[0]), deaths) if deaths else None
        committed = careful = False
        while not committed:
            # Read again for each attempt: a handler may have changed an event that it was given.
            if error is None:
                attempt = self._take(owned, records, reached)
            else:
                attempt = self._refuse(owned, records[0], reached, error)
            try:
                self._write(owned, attempt, careful=careful)
                committed = True
            except Ahead as ahead:
                if not ahead.before:
                    raise ahead.error from None
                records, reached = records[: ahead.before], records[ahead.before].offset
            except Repeated:
                if careful:
                    raise
                careful = True
            except StoreUnavailable as failure:
                committed = self._was_committed(owned, attempt.mark, failure)
        self._patience.succeeded()
        self._committed(owned, attempt)
        return attempt.batch.tally

    def carry_out(self, owned: Owned, requests: Sequence[Quarantined]) -> None:
        """Do what is asked for with records of the partition that are kept aside.

        What may end the process is crossed out first and then tried once.

        :raises Fenced: if another worker has claimed the partition; nothing was written.
        :raises StoreUnavailable: if the database failed; the rest is asked for still.
        """
        for rows, dangerous in portions(requests, owned.suspicion):
            if dangerous:
                self._cross_out(owned, rows)
            self._carry_out(owned, rows)

    def _cross_out(self, owned: Owned, requests: Sequence[Quarantined]) -> None:
        with self._store.batch(owned.claim, owned.mark.next_offset, owned.mark) as transaction:
            cross_out(transaction, requests)
        for row in requests:
            _log.warning(
                "quarantine.trying once, since it may end this process: %s", self._place(row), extra=self._facts(row)
            )

    def _carry_out(self, owned: Owned, requests: Sequence[Quarantined]) -> None:
        batch = Batch(self._rules, owned.partition)
        try:
            with self._store.batch(owned.claim, owned.mark.next_offset, owned.mark) as transaction:
                done = decide(transaction, batch, requests, owned.mark.next_offset)
                batch.write(transaction, owned.heads, careful=True)
        except StoreUnavailable:
            owned.heads.clear()  # it may have been committed
            raise
        owned.heads.put(batch.heads)
        for message, row in done:
            text = "quarantine.discarded %s" if message == "discarded" else "quarantine.retried %s"
            _log.info(text, self._place(row), extra=self._facts(row))
        self._report(owned, batch, 0)

    def _refuse(self, owned: Owned, record: Record, reached: int, error: RecordError) -> _Attempt:
        batch = Batch(self._rules, owned.partition)
        recorded_at = max(owned.mark.watermark, record.timestamp)
        batch.refuse(record, recorded_at, error)
        return _Attempt(batch, Mark(reached, recorded_at), 1)

    def _take(self, owned: Owned, records: Sequence[Record], reached: int) -> _Attempt:
        batch = Batch(self._rules, owned.partition)
        before = owned.mark.watermark
        batch.take(records, before)
        watermark = max(before, max(map(_timestamp, records), default=before))
        return _Attempt(batch, Mark(reached, watermark), len(records), applied_of(records[-1]) if records else None)

    def _write(self, owned: Owned, attempt: _Attempt, *, careful: bool) -> None:
        place = f"{self._topic}[{owned.partition}]"
        opened = self._store.batch(owned.claim, owned.mark.next_offset, attempt.mark, applied=attempt.applied)
        with opened as transaction:
            attempt.batch.write(transaction, owned.heads, careful=careful)
            owned.failures.check(place, self._limit, attempt.records, attempt.batch.failed)

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

    def _committed(self, owned: Owned, attempt: _Attempt) -> None:
        batch = attempt.batch
        owned.failures.add(attempt.records, batch.failed)
        owned.mark = attempt.mark
        owned.trouble = None
        owned.heads.put(batch.heads)
        # Each batch of late events rewrites what comes after them once, however many they are.
        owned.stride = _LATE_STRIDE if batch.tally.refolded > attempt.records else 1
        self._report(owned, batch, attempt.records)

    def _report(self, owned: Owned, batch: Batch, records: int) -> None:
        batch.laps.lap("commit")
        self._tracing.committed(owned.mark.next_offset, batch.laps.seconds.items())
        self._observer.applied(BatchReport(owned.partition, records, batch.tally, owned.mark, batch.laps.seconds))
        for row in batch.notes.parked:
            _log.error("entity.parked in front of %s: %s", self._place(row), row.error, extra=self._facts(row))
            if (error := batch.notes.errors.get(row.offset)) is not None and error.__cause__ is not None:
                _log_trace(self._place(row), error.__cause__, self._facts(row))
        for row in batch.notes.unkeyed:
            _log.error("record.parked %s", row.error, extra=self._facts(row))
        for entity_id, offset in batch.notes.healed:
            position = Position(self._topic, owned.partition, offset)
            _log.info("entity.healed %s, entity %r", position, entity_id, extra=place_of(*position, entity_id))

    def _facts(self, row: Quarantined) -> Place:
        return place_of(self._topic, row.partition, row.offset, row.entity_id)

    def _place(self, row: Quarantined) -> str:
        position = Position(self._topic, row.partition, row.offset)
        return f"{position}, entity {row.entity_id!r}" if row.entity_id is not None else f"{position}, without entity"


def _log_trace(place: str, cause: BaseException, facts: Place) -> None:
    """Log where a handler failed, without the error's own text, which may hold values of the event."""
    if _traces.isEnabledFor(logging.DEBUG):
        lines = "".join(traceback.format_tb(cause.__traceback__)).rstrip()
        _traces.debug("handler.traceback of %s in front of %s\n%s", type(cause).__name__, place, lines, extra=facts)
