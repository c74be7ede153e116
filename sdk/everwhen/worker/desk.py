"""Where requests about records that are kept aside are found, every few seconds."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Sequence

from everwhen.errors import Fenced, StoreUnavailable
from everwhen.ports.store import Store
from everwhen.worker.observer import Observer
from everwhen.worker.projector import Owned, Projector
from everwhen.worker.settings import WorkerSettings

_log = logging.getLogger("everwhen.worker")


class RequestDesk:
    """Carries out what users ask about quarantined records of the partitions that are owned.

    :param store: where it is asked.
    :param settings: of the worker.
    :param observer: is told of failures.

    Used by the thread that applies records.
    """

    def __init__(self, store: Store, settings: WorkerSettings, observer: Observer) -> None:
        self._observer = observer
        self._store = store
        self._every = settings.idle_seconds
        self._look_at = 0.0
        self._known: set[tuple[str, int]] = set()

    def look(self, owned: Sequence[Owned], projector: Projector) -> None:
        """Look for requests if it is time to, or if partitions were claimed since the last look, and carry them out.

        A database that does not answer, or a partition that was lost, is logged: what is asked for stays asked for.
        """
        claims = {(each.claim.owner, each.partition) for each in owned}
        if claims <= self._known and time.monotonic() < self._look_at:
            return
        try:
            self._carry_out({each.partition: each for each in owned}, projector)
            self._known = claims
        except (StoreUnavailable, Fenced) as error:
            if isinstance(error, StoreUnavailable):
                self._observer.store_failed(error)
            _log.warning("quarantine.unknown whether something is asked for, looked at again later: %s", error)
        self._look_at = time.monotonic() + self._every

    def _carry_out(self, owned: dict[int, Owned], projector: Projector) -> None:
        requests = self._store.requests([each.claim for each in owned.values()])
        for partition, rows in itertools.groupby(requests, lambda row: row.partition):
            projector.carry_out(owned[partition], list(rows))
