"""The thread that asks how far partitions are from the log's end, while batches go on."""

from __future__ import annotations

import threading
import time
from typing import Final

from everwhen.errors import EverwhenError
from everwhen.worker.fetcher import Fetcher
from everwhen.worker.inbox import Inbox
from everwhen.worker.observer import Measured, Observer

_LOOK_SECONDS: Final = 0.2


class Measuring(threading.Thread):
    """Tells an observer where partitions end: every so often, and soon after they were claimed.

    :param fetcher: whose consumer is asked.
    :param inbox: knows which partitions are owned.
    :param observer: is told; says how often.
    """

    def __init__(self, fetcher: Fetcher, inbox: Inbox, observer: Observer) -> None:
        super().__init__(name=f"everwhen-measure-{fetcher.name}", daemon=True)
        self._fetcher = fetcher
        self._inbox = inbox
        self._observer = observer
        self._every = observer.measure_seconds
        self._stopping = threading.Event()
        self._known: frozenset[str] = frozenset()
        self._again_at = 0.0

    def run(self) -> None:
        """Ask until stopped."""
        while self._every is not None and not self._stopping.wait(_LOOK_SECONDS):
            self._look(self._every)

    def stop(self) -> None:
        """End the thread; a question that is under way is waited for, two seconds at most."""
        self._stopping.set()
        if self.is_alive():
            self.join()

    def _look(self, every: float) -> None:
        owned = {each.partition: each for each in self._inbox.owned()}
        claims = frozenset(each.claim.owner for each in owned.values())
        if not owned or (claims <= self._known and time.monotonic() < self._again_at):
            return
        self._known, self._again_at = claims, time.monotonic() + every
        try:
            # With pending ones: this question waits for two seconds only where the log does not answer.
            ends = self._fetcher.consumer.ends(sorted(owned), pending=True)
        except EverwhenError as error:
            self._observer.log_failed(error)
            return
        self._observer.measured(
            {p: Measured(end, max(owned[p].mark.watermark, owned[p].quiet_until)) for p, end in ends.items()}
        )
