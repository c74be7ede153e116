"""The thread that asks the log how far partitions are from both its ends, while batches go on."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from contextvars import copy_context
from typing import Final

from everwhen.errors import EverwhenError
from everwhen.instants import Micros
from everwhen.worker.fetcher import Fetcher
from everwhen.worker.inbox import Inbox
from everwhen.worker.observer import Measured, Observer
from everwhen.worker.projector import Owned
from everwhen.worker.retention import RetentionWatch, Unread

_LOOK_SECONDS: Final = 0.2


class Measuring(threading.Thread):
    """Tells an observer where partitions end, and when their unread records may be deleted.

    Every so often, and soon after partitions were claimed.

    :param fetcher: whose consumer is asked.
    :param inbox: knows which partitions are owned.
    :param observer: is told; says how often.
    :param retention: warns of what may be deleted, observed or not.
    """

    def __init__(self, fetcher: Fetcher, inbox: Inbox, observer: Observer, retention: RetentionWatch) -> None:
        super().__init__(name=f"everwhen-measure-{fetcher.name}", daemon=True)
        self._context = copy_context()
        self._fetcher = fetcher
        self._inbox = inbox
        self._observer = observer
        self._every = observer.measure_seconds
        self._stopping = threading.Event()
        self._known: frozenset[str] = frozenset()
        self._again_at = 0.0
        self._retention: RetentionWatch | None = retention
        self._judged: frozenset[str] = frozenset()

    def run(self) -> None:
        """Ask until stopped."""
        self._context.run(self._run)

    def _run(self) -> None:
        self._watch_retention({})
        while self._every is not None or self._retention is not None:
            if self._stopping.wait(_LOOK_SECONDS):
                return
            if owned := {each.partition: each for each in self._inbox.owned()}:
                if self._every is not None:
                    self._look(owned, self._every)
                self._watch_retention(owned)

    def stop(self) -> None:
        """End the thread; a question that is under way is waited for, two seconds at most."""
        self._stopping.set()
        if self.is_alive():
            self.join()

    def _look(self, owned: Mapping[int, Owned], every: float) -> None:
        claims = _claims(owned)
        if claims <= self._known and time.monotonic() < self._again_at:
            return
        self._known, self._again_at = claims, time.monotonic() + every
        try:
            # With pending ones: this question waits for two seconds only where the log does not answer.
            ends = self._fetcher.consumer.ends(sorted(owned), pending=True)
        except EverwhenError as error:
            self._observer.log_failed(error)
            return
        self._observer.measured({p: Measured(end, _complete_until(owned[p])) for p, end in ends.items()})

    def _watch_retention(self, owned: Mapping[int, Owned]) -> None:
        claims = _claims(owned)
        if self._retention is None or (claims <= self._judged and not self._retention.due()):
            return
        self._judged = claims
        unread = {p: Unread(each.mark.next_offset, _complete_until(each)) for p, each in owned.items()}
        try:
            expiries = self._retention.look(unread)
        except EverwhenError as error:
            self._observer.log_failed(error)
            return
        if expiries is None:
            self._retention = None  # nothing will ever be deleted
        else:
            self._observer.retained(expiries)


def _claims(owned: Mapping[int, Owned]) -> frozenset[str]:
    return frozenset(each.claim.owner for each in owned.values())


def _complete_until(owned: Owned) -> Micros:
    return max(owned.mark.watermark, owned.quiet_until)
