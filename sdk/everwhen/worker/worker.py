"""The worker: reads a topic, folds it into a store, exactly once."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from everwhen.errors import (
    ArgumentError,
    ClosedError,
    EverwhenError,
    Fenced,
    RecordError,
    TopicSettingsError,
    UnknownSchema,
)
from everwhen.ports.clock import Clock
from everwhen.ports.continuity import Trouble
from everwhen.ports.generations import Blueprint
from everwhen.ports.log import Log
from everwhen.ports.store import Store
from everwhen.projection import Projection, Tally, columns
from everwhen.worker.continuity import trouble_of
from everwhen.worker.desk import RequestDesk
from everwhen.worker.fetcher import Fetcher
from everwhen.worker.idle import IdleWatch
from everwhen.worker.inbox import Inbox, Work
from everwhen.worker.lines import Place, place_of
from everwhen.worker.measuring import Measuring
from everwhen.worker.observer import Observer
from everwhen.worker.patience import Abandoned, Outage, Patience
from everwhen.worker.projector import Owned, Projector
from everwhen.worker.retention import RetentionWatch
from everwhen.worker.schemas import SchemaWatch
from everwhen.worker.settings import WorkerSettings

if TYPE_CHECKING:
    from everwhen.event.codec import SchemaIds

_log = logging.getLogger("everwhen.worker")
_WAIT_SECONDS = 0.5
_REJOIN_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is, after a batch.

    :ivar records: read from the log in this run.
    :ivar expected: how many there were to read when it began, ``None`` for a run without an end.
    :ivar tally: what became of them.
    """

    records: int
    expected: int | None
    tally: Tally


class Worker:
    """Projects a topic into a store.

    :param projection: what to fold; every event type of its topic must be handled or ignored.
    :param log: where the events are.
    :param store: where the timelines go. The position is kept there, in the same transaction as the rows.
    :param settings: see :class:`WorkerSettings`.
    :param progress: called after every batch, in the thread of :meth:`run`.
    :param generation: the number of the one to write; see :meth:`everwhen.ports.store.Store.prepare`.
    :param clock: tells how long an idle partition has been quiet; no record's time comes from it.
    :param observer: is told what the worker does; see :class:`~everwhen.worker.Observer`.
    :param ids: a schema registry, for records that name a schema of it.

    One object runs once, in one thread; only :meth:`stop` may be called from others and from signal handlers.
    """

    def __init__(
        self,
        projection: Projection[Any],
        log: Log,
        store: Store,
        settings: WorkerSettings,
        progress: Callable[[Progress], None] | None = None,
        *,
        generation: int | None = None,
        clock: Clock,
        observer: Observer | None = None,
        ids: SchemaIds | None = None,
    ) -> None:
        self._projection = projection
        self._ids = ids
        self._log = log
        self._store = store
        self._settings = settings
        self._notify = progress
        self._number = generation
        self._inbox = Inbox(settings.buffer_bytes)
        self._observer = observer or Observer()
        self._outage = Outage(settings.store_patience_seconds, self._observer)
        self._patience = Patience(self._outage, self._beat)
        self._watch = IdleWatch(projection.topic.name, store, clock, settings, self._observer)
        self._desk = RequestDesk(store, settings, self._observer)
        self._schemas = SchemaWatch(projection.topic, settings.schema_patience_seconds)
        self._stopping = False
        self._started = False
        self._progress = Progress(0, None, Tally())
        self._ends: dict[int, int] = {}
        self._given_up: dict[int, EverwhenError] = {}
        self._fenced_at: float | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def run(self, until: Literal["end"] | None = None) -> Progress:
        """Project until stopped, or until the present end of the log.

        Blocks. A record that cannot be applied is kept aside and parks its entity. When too many cannot, or the schema
        of one does not come within ``schema_patience_seconds``, its partition stops and the others go on; the error is
        raised when they have reached the end, when this worker is stopped, or when no partition is left. While the
        database is away it waits, up to ``store_patience_seconds``, and stays a member of its group.

        :param until: ``"end"`` returns once everything is projected that stood in the log at the start.
        :return: what was done.
        :raises DeclarationError: if the projection does not handle every event type.
        :raises ContractError: if classes and contract files do not agree.
        :raises TopicNotFound: if there is no such topic.
        :raises TopicSettingsError: if the topic's settings endanger the guarantee.
        :raises GenerationMismatch: if the store holds what other code or another version built.
        :raises GenerationNotFound: if it holds no generation of the number asked for.
        :raises UnknownSchema: if a record was written with a schema that is not among the contracts, and none came.
        :raises SchemaWithheld: if the registry that has a record's schema refuses the credentials.
        :raises QuarantineLimit: if too many records of a partition cannot be applied.
        :raises ContinuityError: if the log does not go on where the store stands, in a partition or at all.
        :raises Fenced: if an explicitly named partition was claimed by another worker.
        :raises StoreUnavailable: if the database was away for longer; what was committed stays.
        """
        if until not in (None, "end"):
            raise ArgumentError("until must be 'end' or left out")
        if self._started:
            raise ClosedError("this worker has run already; make a new one")
        self._started = True
        try:
            fetcher, projector = self._start()
        except Abandoned:
            return self._progress
        retention = RetentionWatch(self._log, self._projection.topic.name)
        measuring = Measuring(fetcher, self._inbox, self._observer, retention)
        measuring.start()
        try:
            self._loop(fetcher, projector, to_end=until == "end")
        finally:
            fetcher.stop()
            measuring.stop()
            fetcher.join()
        if self._given_up:
            raise self._given_up[min(self._given_up)]
        return self._progress

    def stop(self) -> None:
        """Ask :meth:`run` to finish its batch and return. Safe in a signal handler and from any thread."""
        self._stopping = True
        self._inbox.wake()

    def close(self) -> None:
        """Free the connections to log and store. Idempotent."""
        self._log.close()
        self._store.close()

    def _start(self) -> tuple[Fetcher, Projector]:
        projection = self._projection
        projection.check_complete()
        topic = self._log.describe(projection.topic.name)
        self._check_topic(projection.topic.name)
        projector = Projector(
            projection,
            self._store,
            depth=self._settings.depth,
            limit_share=self._settings.quarantine_limit_share,
            check_handlers=self._settings.check_handlers,
            patience=self._patience,
            observer=self._observer,
            address=self._log.address,
            ids=self._ids,
        )
        generation = self._patience.insist(lambda: self._store.prepare(blueprint(projection), self._number))
        patience = Patience(self._outage, lambda: self._stopping)
        fetcher = Fetcher(
            self._log, topic, self._store, generation, self._inbox, self._settings, patience, self._observer
        )
        fetcher.start()
        return fetcher, projector

    def _beat(self) -> bool:
        """Tell the observer that the loop is alive, though it waits for the store; say whether it shall stop."""
        self._observer.looped()
        return self._stopping

    def _check_topic(self, topic: str) -> None:
        problems = self._log.topic_problems(topic)
        if not self._settings.accept_topic and problems:
            raise TopicSettingsError("; ".join(map(str, problems)))
        for problem in problems:
            _log.warning("topic.accepted %s", problem, extra=place_of(topic))

    def _loop(self, fetcher: Fetcher, projector: Projector, *, to_end: bool) -> None:
        while not self._beat():
            work = self._inbox.take(self._settings.batch_records, _WAIT_SECONDS)
            if to_end:
                self._learn_ends(fetcher)
            self._check_continuity(fetcher)
            self._desk.look(self._going_on(), projector)
            if work is not None:
                self._apply(fetcher, projector, work)
            if to_end and self._at_end():
                self._watch.look(self._read_to_end(), fetcher.consumer)
                return
            if self._nothing_left():
                return
            if self._must_rejoin():
                fetcher.rejoin()
            if self._watch.due():
                self._watch.look(self._inbox.idle(), fetcher.consumer)

    def _apply(self, fetcher: Fetcher, projector: Projector, work: Work) -> None:
        owned = work.owned
        self._watch.check(owned, work.records)
        try:
            tally = projector.apply(owned, work.records, work.reached)
        except Fenced as error:
            # In a group the new owner is known already or soon; an explicit partition is somebody's mistake.
            _log.warning("partition.fenced %s", error, extra=self._at(owned))
            self._patience.succeeded()
            self._fenced_at = time.monotonic()
            self._give_up(owned, error, final=self._settings.partitions is not None)
        except Abandoned:
            place = self._at(owned)
            _log.info("batch.abandoned %(topic)s[%(partition)d]@%(offset)d", place, extra=place)
        except UnknownSchema as error:
            self._await_schema(work, error)
        except RecordError as error:
            self._stop_partition(owned, error)
        else:
            reached = owned.mark.next_offset
            left = [record for record in work.records if record.offset >= reached]
            if self._schemas.passed(owned) or left:
                self._inbox.put_back(owned, left)
            self._advance(len(work.records) - len(left), tally)
            fetcher.hint(owned.partition, owned.mark.next_offset)
        finally:
            self._inbox.done()

    def _await_schema(self, work: Work, error: UnknownSchema) -> None:
        try:
            self._inbox.put_back(work.owned, work.records, self._schemas.missed(work.owned, error))
        except UnknownSchema as waited:
            self._stop_partition(work.owned, waited)

    def _stop_partition(self, owned: Owned, error: RecordError) -> None:
        _log.error("partition.stopped %s", error, extra=self._at(owned))
        self._give_up(owned, error, final=True)

    def _check_continuity(self, fetcher: Fetcher) -> None:
        """Stop partitions where the log does not go on, and keep in the store that they do, or do not."""
        for owned, error in self._inbox.broken():
            _log.error("partition.stopped %s", error, extra=self._at(owned))
            self._give_up(owned, error, final=self._keep(owned, trouble_of(error)))
        stopped = self._inbox.stopped()
        for owned in self._inbox.owned():
            if owned.trouble is not None and owned.proven and owned.partition not in stopped:
                self._keep(owned, None)
        for partition in fetcher.repartitioned.keys() - self._given_up.keys():
            self._given_up[partition] = fetcher.repartitioned[partition]
            self._observer.stopped(partition, fetcher.repartitioned[partition])

    def _keep(self, owned: Owned, trouble: Trouble | None) -> bool:
        """Keep why a partition stands still; return whether it is still ours."""
        try:
            self._patience.insist(lambda: self._store.note_trouble(owned.claim, trouble))
        except Fenced as error:
            _log.warning("partition.fenced %s", error, extra=self._at(owned))
            return False
        except Abandoned:
            place = self._at(owned)
            _log.info("trouble.unkept %(topic)s[%(partition)d]", place, extra=place)
        owned.trouble = trouble
        return True

    def _at(self, owned: Owned) -> Place:
        return place_of(self._projection.topic.name, owned.partition, owned.mark.next_offset)

    def _going_on(self) -> list[Owned]:
        stopped = self._inbox.stopped()
        return [owned for owned in self._inbox.owned() if owned.partition not in stopped]

    def _give_up(self, owned: Owned, error: EverwhenError, *, final: bool) -> None:
        self._inbox.stop(owned.partition, error)
        self._observer.stopped(owned.partition, error)
        if final:
            self._given_up[owned.partition] = error

    def _advance(self, records: int, tally: Tally) -> None:
        self._progress.tally.add(tally)
        self._progress = replace(self._progress, records=self._progress.records + records)
        if self._notify is not None:
            self._notify(self._progress)

    def _learn_ends(self, fetcher: Fetcher) -> None:
        """Note where the log ends for partitions that are new to this run."""
        new = [owned for owned in self._inbox.owned() if owned.partition not in self._ends]
        if not new:
            return
        try:
            ends = fetcher.consumer.ends([owned.partition for owned in new])
        except ClosedError:
            return  # it is left for another one; what made it close is raised by the inbox
        left = sum(max(0, ends[owned.partition] - owned.mark.next_offset) for owned in new)
        self._ends |= ends
        self._progress = replace(self._progress, expected=(self._progress.expected or 0) + left)

    def _at_end(self) -> bool:
        done = {owned.partition for owned in self._read_to_end()} | self._inbox.stopped().keys()
        return self._inbox.joined and all(owned.partition in done for owned in self._inbox.owned())

    def _read_to_end(self) -> list[Owned]:
        """Return the partitions that are at the end which the log had when this run began with them."""
        stopped = self._inbox.stopped()
        return [
            owned
            for owned in self._inbox.owned()
            if owned.partition not in stopped
            and owned.proven
            and owned.mark.next_offset >= self._ends.get(owned.partition, owned.mark.next_offset + 1)
        ]

    def _must_rejoin(self) -> bool:
        """A partition has been fenced for so long that the group must think it is still ours.

        Then a claim of an earlier owner came late, or the database was set back: nobody else goes on with it.
        """
        if self._fenced_at is None or time.monotonic() - self._fenced_at < _REJOIN_SECONDS:
            return False
        self._fenced_at = None
        return any(
            isinstance(error, Fenced) and partition not in self._given_up
            for partition, error in self._inbox.stopped().items()
        )

    def _nothing_left(self) -> bool:
        """Every partition that we own has been given up for good."""
        owned = self._inbox.owned()
        return (
            self._inbox.joined
            and bool(owned)
            and bool(self._given_up)
            and all(each.partition in self._given_up for each in owned)
        )


def blueprint(projection: Projection[Any]) -> Blueprint:
    """What a store must know of a projection."""
    return Blueprint(
        projection=projection.name,
        version=projection.version,
        fingerprint=projection.fingerprint,
        topic=projection.topic.name,
        columns=columns(projection.state),
    )
