"""Waiting for a schema that is not known yet: its partition stands, and everything else goes on."""

from __future__ import annotations

import logging
import math
import time
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

from everwhen.errors import SchemaOutOfReach, SchemaWithheld, UnknownSchema
from everwhen.event import Topic
from everwhen.positions import Position
from everwhen.worker.lines import place_of
from everwhen.worker.projector import Owned

if TYPE_CHECKING:
    from everwhen.event.newer import NewerContracts

_log = logging.getLogger("everwhen.worker")
_SHORTEST: Final = 0.2  # seconds
_LONGEST: Final = 10.0  # seconds
_DOUBLINGS: Final = 10


class _Wait(NamedTuple):
    owned: Owned
    offset: int
    began: float
    attempts: int


class SchemaWatch:
    """Waits for schemas, for each partition on its own.

    :param topic: whose contract files are looked at again.
    :param patience: for how many seconds a record's schema is waited for; 0: not at all.

    Used by the thread that applies records.
    """

    def __init__(self, topic: Topic, patience: float) -> None:
        self._topic = topic
        self._patience = patience
        self._waits: dict[int, _Wait] = {}

    @cached_property
    def _newer(self) -> NewerContracts:
        from everwhen.event.newer import NewerContracts  # not at the top: it loads fastavro, as Topic says

        return NewerContracts(self._topic)

    def missed(self, owned: Owned, error: UnknownSchema) -> float:
        """Look for the schema of the partition's next record.

        :return: after how many seconds to try again.
        :raises UnknownSchema: if it was waited for long enough.
        :raises SchemaWithheld: at once: waiting gives nobody the right to read it.
        """
        now, offset = time.monotonic(), owned.mark.next_offset
        wait = self._waits.get(owned.partition)
        if wait is None or wait.owned is not owned or wait.offset != offset:
            wait = _Wait(owned, offset, now, 0)
        if self._newer.look():
            self._waits[owned.partition] = wait
            return 0.0
        if isinstance(error, SchemaWithheld):
            self._waits.pop(owned.partition, None)
            raise error
        away = isinstance(error, SchemaOutOfReach)
        if away:  # nobody can say that it is unknown: that wait has not begun
            wait = wait._replace(began=now)
        left = math.inf if away else wait.began + self._patience - now
        if left <= 0:
            self._waits.pop(owned.partition, None)
            raise self._too_long(error) from error
        if not wait.attempts:
            place = place_of(owned.claim.generation.topic, owned.partition, offset)
            bound = "as long as its registry is away" if away else f"up to {self._patience:g} s"
            _log.warning("schema.awaited for %s; its partition stands: %s", bound, error, extra=place)
        self._waits[owned.partition] = wait._replace(attempts=wait.attempts + 1)
        return min(left, _LONGEST, _SHORTEST * 2.0 ** min(wait.attempts, _DOUBLINGS))

    def passed(self, owned: Owned) -> bool:
        """Note that records of the partition were applied; say whether it had been waiting."""
        wait = self._waits.pop(owned.partition, None)
        if wait is None or wait.owned is not owned:
            return False
        at = Position(owned.claim.generation.topic, owned.partition, wait.offset)
        _log.info("schema.arrived %s goes on after %.1f s", at, time.monotonic() - wait.began, extra=place_of(*at))
        return True

    def _too_long(self, error: UnknownSchema) -> UnknownSchema:
        found = "".join(f". {problem}" for problem in self._newer.problems)
        return UnknownSchema(
            f"{error}{found}. It was waited for, {self._patience:g} s by schema_patience_seconds: a publisher is "
            "ahead. Deploy the contract files and event classes that it uses, and start again; nothing was skipped"
        )
