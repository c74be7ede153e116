"""The thread that polls the log, busy or not, and claims what it is assigned."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from contextvars import copy_context
from dataclasses import replace

from everwhen.errors import (
    ContinuityError,
    LogUnavailable,
    OffsetOutOfRange,
    Repartitioned,
    StoreUnavailable,
    TopicNotFound,
)
from everwhen.ports.generations import Generation
from everwhen.ports.log import Chunk, Log, LogConsumer, TopicDescription
from everwhen.ports.store import Claim, Store
from everwhen.worker.continuity import Continuity, Placing
from everwhen.worker.inbox import Inbox
from everwhen.worker.lines import place_of
from everwhen.worker.observer import Observer
from everwhen.worker.patience import Patience
from everwhen.worker.projector import Owned
from everwhen.worker.settings import WorkerSettings
from everwhen.worker.suspicion import Breaker, Suspicion

_log = logging.getLogger("everwhen.worker")
_POLL_SECONDS = 0.1
_ROOM_SECONDS = 0.5
"""How long a full buffer is waited for before its partitions are paused: the client must be polled now and then."""
_NOTHING = Chunk([], {})


class Fetcher(threading.Thread):
    """Keeps the worker a member of its group however long a batch takes, and fills the inbox.

    :param log: where the records are.
    :param topic: which topic, as the log describes it.
    :param store: where partitions are claimed; the position always comes from there.
    :param generation: what is being built.
    :param inbox: where records go.
    :param settings: of the worker.
    :param patience: with the store while it cannot be asked for partitions. Polling goes on meanwhile, so that the
        worker stays in its group.
    :param observer: is told of each turn, and of partitions that come and go.

    Errors end the thread and are raised by ``inbox.take``.
    """

    def __init__(
        self,
        log: Log,
        topic: TopicDescription,
        store: Store,
        generation: Generation,
        inbox: Inbox,
        settings: WorkerSettings,
        patience: Patience,
        observer: Observer,
    ) -> None:
        super().__init__(name=f"everwhen-fetch-{generation.projection}", daemon=True)
        self._context = copy_context()  # of the worker's own thread: log lines and spans of this one belong to it
        self._log = log
        self._topic = topic
        self._store = store
        self._generation = generation
        self._inbox = inbox
        self._settings = settings
        self._patience = patience
        self._observer = observer
        self._breaker = Breaker(store, patience)
        self._unclaimed: frozenset[int] = frozenset()
        self._rejoining = threading.Event()
        self._stopping = threading.Event()
        self._paused: frozenset[int] = frozenset()
        self._hints: dict[int, int] = {}
        self._continuity = Continuity(log, topic, generation, sparse=settings.accept_topic)
        self._out_of_range: dict[int, OffsetOutOfRange] = {}
        self.repartitioned: dict[int, Repartitioned] = {}
        """New partitions of the topic that were seen while it was read."""
        self.consumer: LogConsumer = self._open()

    def run(self) -> None:
        """Poll until stopped."""
        self._context.run(self._run)

    def _run(self) -> None:
        try:
            try:
                while not self._stopping.is_set():
                    self._poll_once()
            finally:
                self.consumer.close()
        except BaseException as error:  # noqa: BLE001 - it is raised again in the worker's own thread
            self._inbox.fail(error)

    def stop(self) -> None:
        """Ask the thread to give its partitions up and end."""
        self._stopping.set()

    def rejoin(self) -> None:
        """Ask the thread to leave the group and to join it anew, so that every partition is claimed again."""
        self._rejoining.set()

    def hint(self, partition: int, next_offset: int) -> None:
        """Let the log's dashboards know how far we are, with the next poll. Any thread may call it."""
        self._hints[partition] = next_offset

    def _open(self) -> LogConsumer:
        group = self._settings.group or default_group(self._generation)
        return self._log.consumer(self._topic.name, self, group=group, partitions=self._settings.partitions)

    def _poll_once(self) -> None:
        if self._rejoining.is_set():
            self._rejoining.clear()
            self.consumer.close()
            self.consumer, self._paused = self._open(), frozenset()
        # A client that is paused throws away what it has fetched ahead, and fetches it again afterwards.
        self._inbox.await_room(_ROOM_SECONDS)
        wanted = self._inbox.paused()
        if wanted != self._paused:
            # Only then: a consumer that is resumed looks for records at once, and an idle worker would do nothing else.
            self.consumer.pause(wanted - self._paused)
            self.consumer.resume(self._paused - wanted)
            self._paused = wanted
        if self._hints:
            # From this thread: the client makes a commit of another one wait for the poll that is under way.
            hints, self._hints = self._hints, {}
            self.consumer.hint(hints)
        self._unclaimed = frozenset()
        self._poll()
        # Each poll asks for all that it has no answer for: what it did not ask for was given to others.
        self._inbox.await_claims(self._unclaimed)
        self._observer.fetched(self._unclaimed)
        if not self._unclaimed:
            self._patience.forget()

    def _poll(self) -> None:
        """Hand on what the log delivers, as far as it goes on where the store stands."""
        try:
            chunk = self.consumer.poll(self._settings.batch_records, _POLL_SECONDS)
        except OffsetOutOfRange as error:
            if error.partition is None:
                raise
            self._out_of_range[error.partition] = error
            chunk = _NOTHING
        except TopicNotFound:
            self._interrupt_all(self._continuity.recreated())
            return
        chunk, proven, broken = self._continuity.check(chunk)
        self._inbox.interrupt(broken)
        self._inbox.put(chunk)
        self._inbox.prove(proven)
        self._explain()
        self._look_for_partitions()

    def _explain(self) -> None:
        """Find out why the log does not hold what comes next; asked again with the next poll if it does not say."""
        for partition, error in list(self._out_of_range.items()):
            wanted = self._inbox.reached(partition)
            try:
                if wanted is not None:
                    self._inbox.interrupt({partition: self._continuity.out_of_range(partition, wanted, error)})
            except LogUnavailable as unknown:
                place = place_of(self._topic.name, partition, wanted)
                _log.warning("continuity.unknown %s; asked again: %s", error, unknown, extra=place)
            else:
                del self._out_of_range[partition]

    def _interrupt_all(self, error: ContinuityError) -> None:
        """Stop all partitions; what was fetched is applied."""
        owned = [each.partition for each in self._inbox.owned()]
        if not owned:
            raise error
        self._inbox.interrupt(dict.fromkeys(owned, error))
        while not self._stopping.wait(_POLL_SECONDS):
            self._observer.fetched(self._unclaimed)

    def _look_for_partitions(self) -> None:
        """Note in the store what the topic has more of than it had."""
        if self.consumer.partitions <= self._topic.partitions or not self._patience.due():
            return
        before = self._topic.partitions
        topic = replace(self._topic, partitions=self.consumer.partitions)
        if self._claim([], topic) is None:
            return
        self._topic = topic
        new = {p: self._continuity.repartitioned(p, before, topic.partitions) for p in range(before, topic.partitions)}
        _log.error("log.repartitioned %s", new[before], extra=place_of(topic.name, before))
        self.repartitioned = self.repartitioned | new  # at once, for the thread that reads it

    def assigned(self, partitions: Sequence[int]) -> Mapping[int, int] | None:
        """Claim the partitions in the store; start where the store says. ``None``: the store is away."""
        claims = self._claim(partitions, self._topic) if partitions else {}
        placing = None if claims is None else self._place(claims)
        if claims is None or placing is None:
            self._unclaimed = frozenset(partitions)
            self._inbox.await_claims(self._unclaimed)
            return None
        for partition, claim in sorted(claims.items()):
            _log.info(
                "partition.claimed %s[%d] next offset %d, epoch %d",
                self._topic.name,
                partition,
                claim.mark.next_offset,
                claim.epoch,
                extra=place_of(self._topic.name, partition, claim.mark.next_offset),
            )
            if Suspicion(claim):
                _log.warning(
                    "partition.suspected %s[%d]: processes died in front of offset %d, so what follows is applied a "
                    "few records at a time",
                    self._topic.name,
                    partition,
                    claim.mark.next_offset,
                    extra=place_of(self._topic.name, partition, claim.mark.next_offset),
                )
        share = self._settings.cache_bytes // max(1, self._topic.partitions)
        owned = [Owned(claim, share) for claim in claims.values()]
        for each in owned:
            each.proven = each.partition not in placing.unproven and each.partition not in placing.broken
        self._inbox.open(owned)
        self._inbox.interrupt(placing.broken)
        self._observer.claimed(list(claims.values()))
        return placing.starts

    def _place(self, claims: Mapping[int, Claim]) -> Placing | None:
        """Find out where to begin; ``None``: the log does not say what it holds."""
        try:
            return self._continuity.place(claims)
        except LogUnavailable as unknown:
            _log.warning(
                "continuity.unknown %s is not read before it is known what it holds: %s",
                self._topic.name,
                unknown,
                extra=place_of(self._topic.name),
            )
            self._breaker.release(list(claims.values()))
            return None

    def _claim(self, partitions: Sequence[int], topic: TopicDescription) -> Mapping[int, Claim] | None:
        """Claim the partitions, or do not even try before it is time to."""
        if not self._patience.due():
            return None
        try:
            claims = self._store.claim(self._generation, partitions, topic)
        except StoreUnavailable as error:
            self._patience.failed(error)
            return None
        self._patience.succeeded()
        return claims

    def revoked(self, partitions: Sequence[int], *, lost: bool) -> None:
        """Give the partitions up, after the batch that is being applied unless they are lost already."""
        if partitions:
            text = "partitions.lost %s%s" if lost else "partitions.revoked %s%s"
            facts = {**place_of(self._topic.name), "partitions": sorted(partitions)}
            _log.info(text, self._topic.name, sorted(partitions), extra=facts)
            self._observer.revoked(partitions, lost=lost)
        self._paused -= set(partitions)
        self._continuity.forget(partitions)
        left = self._inbox.close(partitions, timeout=0 if lost else self._settings.revoke_seconds)
        self._breaker.release([owned.claim for owned in left if owned.needs_release])


def default_group(generation: Generation) -> str:
    """The consumer group of a projection's generation: two of them never share partitions."""
    return f"everwhen-{generation.projection}-{generation.number}"
