"""How far a partition is projected while nothing comes: what lets ``known_at`` come close to now."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Final

from everwhen.errors import ClosedError, EverwhenError, LogError, StoreUnavailable
from everwhen.instants import Micros
from everwhen.ports.clock import Clock
from everwhen.ports.log import LogConsumer, Record
from everwhen.ports.store import Store
from everwhen.worker.lines import place_of
from everwhen.worker.observer import Observer
from everwhen.worker.projector import Owned
from everwhen.worker.settings import WorkerSettings

_log = logging.getLogger("everwhen.worker")
_SECOND: Final = 1_000_000
_MILLISECOND: Final = 1_000
_WARN_AGAIN: Final = 60 * _SECOND


class IdleWatch:
    """Notes in the store up to which instant idle partitions are complete, though no record says so.

    A partition is complete up to a moment before the worker's clock was read if the log, asked after that, ends where
    the checkpoint stands. The moment is ``clock_allowance_seconds``: the log's clock must not be behind the worker's
    by more, and a record must not take longer to be replicated, as the log does not show it before. No record's time
    comes from here, so a rebuild gives the same rows.

    :param topic: the topic's name.
    :param store: where it is noted.
    :param clock: the worker's clock.
    :param settings: of the worker.
    :param observer: is told of failures.

    Used by the thread that applies records.
    """

    def __init__(self, topic: str, store: Store, clock: Clock, settings: WorkerSettings, observer: Observer) -> None:
        self._observer = observer
        self._topic = topic
        self._store = store
        self._clock = clock
        self._every = settings.idle_seconds
        self._allowance = settings.clock_allowance_seconds
        self._look_at = time.monotonic() + self._every
        self._failing = False
        self._warned: dict[int, Micros] = {}

    def due(self) -> bool:
        """Whether it is time to look again."""
        return time.monotonic() >= self._look_at

    def look(self, idle: Sequence[Owned], consumer: LogConsumer) -> None:
        """Ask the log whether these partitions are idle, and note it for those that are.

        Nothing is asked where the last record is recent enough. A log or a database that does not answer is logged,
        and asked again next time: no record depends on it.
        """
        until = self._complete_until(self._clock.now())
        silent = {owned.partition: owned for owned in idle if max(owned.mark.watermark, owned.quiet_until) < until}
        try:
            if silent:
                self._note(silent, consumer.ends(sorted(silent), pending=True), until)
                self._failing = False
        except (LogError, StoreUnavailable, ClosedError) as error:
            # A consumer is closed under us when fetching failed; that error is the one to be raised.
            self._report(error)
        self._look_at = time.monotonic() + self._every

    def check(self, owned: Owned, records: Sequence[Record]) -> None:
        """Warn, once a minute, of a record from a time up to which the partition was noted to be complete.

        The first one tells: a record's recorded time is never before that of those in front of it.
        """
        if not records or records[0].timestamp > owned.quiet_until or owned.mark.watermark >= owned.quiet_until:
            return
        now, warned = self._clock.now(), self._warned.get(owned.partition)
        if warned is not None and abs(now - warned) < _WARN_AGAIN:
            return
        self._warned[owned.partition] = now
        _log.warning(
            "clock.behind %s[%d]@%d was recorded %.3f s before an instant up to which its partition was noted to be "
            "complete: the log's clock is behind this worker's by more than clock_allowance_seconds, or a record took "
            "longer to be replicated. What was answered by known_at in between may be answered otherwise now; answers "
            "pinned by a basis are not touched. Set the clocks right, or allow more",
            self._topic,
            owned.partition,
            records[0].offset,
            (owned.quiet_until - records[0].timestamp) / _SECOND,
            extra=place_of(self._topic, owned.partition, records[0].offset),
        )

    def _complete_until(self, now: Micros) -> Micros:
        """The last microsecond of the millisecond before: Kafka rounds a record's time down to one."""
        earliest = now - round(self._allowance * _SECOND)
        return earliest // _MILLISECOND * _MILLISECOND - 1

    def _note(self, silent: Mapping[int, Owned], ends: Mapping[int, int], until: Micros) -> None:
        stands = [
            (owned.claim, owned.mark.next_offset)
            for partition, owned in silent.items()
            if ends.get(partition) == owned.mark.next_offset
        ]
        if stands:
            for partition in self._store.note_quiet(stands, until):
                silent[partition].quiet_until = until

    def _report(self, error: EverwhenError) -> None:
        if isinstance(error, StoreUnavailable):
            self._observer.store_failed(error)
        else:
            self._observer.log_failed(error)
        level = logging.DEBUG if self._failing else logging.WARNING
        self._failing = True
        text = "idle.unknown whether partitions of %s are idle, asked again later: %s"
        _log.log(level, text, self._topic, error, extra=place_of(self._topic))
