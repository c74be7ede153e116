"""The relay: takes events from an outbox to the log.

Why the order of an entity's events is kept, whatever dies or stands still: a relay reads, for each entity, what waits
from the first on without a hole, and sends it in that order over one connection that keeps it; and what comes before
the first one that waits was acknowledged by the log. So whoever sends a version, an owner of the shard or one that was
replaced long ago, sends it behind the version before it. What is sent twice has the same event id, which projections
apply once. Shards and their fence are there for little to be sent twice.
"""

from __future__ import annotations

import logging
import math
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Literal, Self

from everwhen.errors import EverwhenError, PublishError
from everwhen.event import Topic
from everwhen.outbox.heartbeat import beating
from everwhen.outbox.settings import RelaySettings
from everwhen.outbox.silence import Silence
from everwhen.outbox.watching import RelayObserver
from everwhen.ports.clock import Clock
from everwhen.ports.log import Acknowledged, Log, LogWriter
from everwhen.ports.outbox import Pending, RelayStore
from everwhen.positions import Position
from everwhen.worker.patience import Abandoned, Outage, Patience

_log = logging.getLogger("everwhen.relay")
_SECOND: Final = 1_000_000
_LOOK_SECONDS: Final = 0.2
_STOP_SECONDS: Final = 10.0
_LONGEST_WAIT: Final = 1.0
_REMOVE_EVERY: Final = 5.0
_REMOVED_AT_ONCE: Final = 5000


@dataclass(frozen=True, slots=True)
class Relayed:
    """What a relay has done.

    :ivar events: how many were sent and noted.
    """

    events: int


class _Batch:
    """Events on their way, and what the log said of them."""

    def __init__(self, events: Sequence[Pending]) -> None:
        self.events = events
        self.positions: list[Position | None] = [None] * len(events)
        self.error: EverwhenError | None = None
        self._asked = 0
        self._answers: list[None] = []  # a writer's own thread may answer, and appending needs no lock

    @property
    def unanswered(self) -> int:
        """How many the log has not answered for."""
        return self._asked - len(self._answers)

    def send(self, writer: LogWriter) -> None:
        """Send all in order, up to the first one that is refused."""
        for index, event in enumerate(self.events):
            if self.error is not None:
                return
            self._asked += 1
            try:
                writer.send(event.entity_id.encode(), event.value, event.headers, self._answer_to(index))
            except EverwhenError as error:
                self._asked -= 1
                self.error = self.error or error

    def sent(self) -> list[Pending]:
        """Return what stands in the log, with everything of its entity before it."""
        holes: set[str] = set()
        found = []
        for event, position in zip(self.events, self.positions, strict=True):
            if position is None:
                holes.add(event.entity_id)
            elif event.entity_id not in holes:
                found.append(event)
        return found

    def _answer_to(self, index: int) -> Acknowledged:
        def answer(position: Position | None, error: EverwhenError | None) -> None:
            self.positions[index] = position
            self.error = self.error or error
            self._answers.append(None)

        return answer


class Relay:
    """Takes the events of one topic from an outbox to the log, in order for each entity; each is sent at least once.

    Several relays of a topic share its key space, on one machine or on many.

    :param topic: what is relayed.
    :param store: where from.
    :param log: where to.
    :param settings: how.
    :param clock: when an event was sent, and how old a row is.
    :param observer: is told what it does.

    :meth:`run` is called by one thread; :meth:`stop` by any, and by a signal's handler.
    """

    def __init__(
        self,
        topic: Topic,
        store: RelayStore,
        log: Log,
        settings: RelaySettings,
        clock: Clock,
        observer: RelayObserver | None = None,
    ) -> None:
        self._topic = topic
        self._store = store
        self._log = log
        self._settings = settings
        self._clock = clock
        self._observer = observer or RelayObserver()
        self._owner = secrets.token_hex(16)
        self._held: dict[int, int] = {}
        self._events = 0
        self._stopping = False
        self._share_at = self._remove_at = self._measure_at = 0.0
        self._silence = Silence(log.address, self._observer)
        self._patience = Patience(Outage(settings.store_patience_seconds, self._observer), lambda: self._stopping)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def run(self, until: Literal["end"] | None = None) -> Relayed:
        """Relay until stopped.

        :param until: ``"end"``: only until nothing waits any more.
        :raises TopicNotFound: if the log has no such topic.
        :raises StoreMismatch: if there is no outbox, or one of another version.
        :raises PublishError: if the log refuses an event. What came behind it waits.
        :raises StoreUnavailable: if the database was away for longer than the settings allow.
        """
        try:
            self._patience.insist(self._store.check)
            self._relay(until)
        except Abandoned:
            pass  # it was told to stop while the database was away
        return Relayed(self._events)

    def stop(self) -> None:
        """Have :meth:`run` finish its batch and return. Safe in a signal handler and from any thread."""
        self._stopping = True

    def close(self) -> None:
        """Free everything. Idempotent."""
        self._store.close()
        self._log.close()

    def _relay(self, until: Literal["end"] | None) -> None:
        writer = self._log.writer(self._topic.name)
        try:
            _log.info("relay.started topic %s from %s to %s", self._topic.name, self._store.address, self._log.address)
            with beating(lambda: self._store.renew(self._owner, self._held), self._settings.lease_seconds / 3):
                self._loop(writer, until)
        finally:
            self._end(writer)

    def _loop(self, writer: LogWriter, until: Literal["end"] | None) -> None:
        while not self._stopping:
            self._observer.looped()
            self._keep_house()
            if self._turn(writer):
                continue
            if until == "end" and self._patience.insist(self._store.backlog).events == 0:
                return
            self._wait()

    def _turn(self, writer: LogWriter) -> bool:
        """Relay one batch; return whether there was one."""
        began = time.monotonic()
        read = self._patience.insist(lambda: self._store.pending(self._held, self._settings.batch_events))
        if not read:
            return False
        batch = _Batch(read)
        batch.send(writer)
        self._await(batch, writer)
        if sent := batch.sent():
            self._note(sent, began)
        if batch.error is not None:
            self._observer.refused(batch.error)
            raise _refusal(self._topic.name, batch) from batch.error
        return True

    def _await(self, batch: _Batch, writer: LogWriter) -> None:
        """Wait for the log's answers, however long it is away."""
        give_up_at: float | None = None
        self._silence.begin()
        while before := batch.unanswered:
            writer.poll(_LOOK_SECONDS)
            self._observer.looped()
            self._silence.look(unanswered=batch.unanswered, heard=batch.unanswered < before)
            self._measure(time.monotonic())
            if self._stopping:
                give_up_at = give_up_at or time.monotonic() + _STOP_SECONDS
                if time.monotonic() > give_up_at:
                    _log.warning(
                        "relay.unanswered %d events of topic %s: the log has not answered; they are sent again by the "
                        "next relay",
                        batch.unanswered,
                        self._topic.name,
                    )
                    return

    def _note(self, sent: Sequence[Pending], began: float) -> None:
        shards = {event.shard for event in sent}
        held = {shard: epoch for shard, epoch in self._held.items() if shard in shards}
        # Noted twice is as well as once, so an unknown end of the transaction needs no more than to try again.
        kept = self._patience.insist(lambda: self._store.done(self._owner, held, sent, self._clock.now()))
        if lost := held.keys() - kept:
            _log.warning(
                "relay.fenced %d shards of topic %s are another relay's by now, as this one was silent for too long; "
                "what it sent of them is sent again",
                len(lost),
                self._topic.name,
            )
            self._observer.fenced()
            self._share_at = 0.0
        noted = sum(event.shard in kept for event in sent)
        self._events += noted
        self._observer.sent(noted, time.monotonic() - began)

    def _keep_house(self) -> None:
        now = time.monotonic()
        if now >= self._share_at:
            self._share()
        if now >= self._remove_at:
            self._remove(now)
        self._measure(now)

    def _measure(self, now: float) -> None:
        if self._observer.measure_seconds is not None and now >= self._measure_at:
            self._measure_at = now + self._observer.measure_seconds
            self._observer.waiting(self._patience.insist(self._store.backlog))

    def _share(self) -> None:
        lease = self._settings.lease_seconds
        before = len(self._held)
        self._held = self._patience.insist(lambda: self._store.share(self._owner, self._held, lease))
        # One that has none yet is waiting for the others to give some back.
        self._share_at = time.monotonic() + min(lease / 3, math.inf if self._held else _LONGEST_WAIT)
        self._observer.shared(len(self._held))
        if len(self._held) != before:
            _log.info("relay.shared topic %s: %d shards are this one's", self._topic.name, len(self._held))

    def _remove(self, now: float) -> None:
        before = self._clock.now() - round(self._settings.keep_seconds * _SECOND)
        removed = self._patience.insist(lambda: self._store.remove(before, _REMOVED_AT_ONCE))
        if removed:
            self._observer.removed(removed)
        # With more to remove, again after the next batch.
        self._remove_at = now if removed == _REMOVED_AT_ONCE else now + _REMOVE_EVERY

    def _wait(self) -> None:
        end = time.monotonic() + min(self._settings.poll_seconds, max(0.0, self._share_at - time.monotonic()))
        while not self._stopping and (left := end - time.monotonic()) > 0:
            if self._store.wait(min(left, _LOOK_SECONDS)):
                return

    def _end(self, writer: LogWriter) -> None:
        try:
            self._store.leave(self._owner)
        except EverwhenError as error:
            _log.warning(
                "relay.unreleased shards of topic %s stay taken until the lease ends: %s", self._topic.name, error
            )
        # One that is closed waits for its answers, and the log may be away for long.
        if writer.flush(0 if self._stopping else _STOP_SECONDS) == 0:
            writer.close()
        _log.info("relay.ended topic %s: %d events", self._topic.name, self._events)


def _refusal(topic: str, batch: _Batch) -> PublishError:
    index = next(i for i, position in enumerate(batch.positions) if position is None)
    event = batch.events[index]
    return PublishError(
        f"version {event.version} of entity {event.entity_id!r} was not taken by topic {topic}: {batch.error}. It "
        "stays in the outbox and what is behind it waits; remove the cause and start the relay again"
    )
