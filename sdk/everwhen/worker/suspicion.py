"""The crash-loop breaker: finding the record at which processes die, and applying it no more.

A claim counts as a death unless a batch is committed under it or it is released in order. After three deaths in a row
a partition is under suspicion: its records are applied in small groups, and before a group is even decoded, the store
notes that it is about to be. Where a note outlives its process, the records are applied one by one. When three
processes died at one record, it is kept aside without being decoded. Nothing of it is done while nothing dies.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from everwhen.errors import EverwhenError, ProcessDied, StoreUnavailable
from everwhen.ports.log import Record
from everwhen.ports.store import Claim, Store
from everwhen.projection.rows import Quarantined
from everwhen.worker.lines import place_of
from everwhen.worker.patience import Abandoned, Patience

_log = logging.getLogger("everwhen.worker")
_DEATHS: Final = 3
"""So many make a partition suspicious, and so many at one record convict it."""
_GROUP: Final = 64
"""How many records are applied at once under suspicion, and how many one by one where a group was deadly."""
_WARY: Final = 20_000
"""For how many records suspicion lasts: as many as one batch has at most, with the default settings."""
_SURVIVED = (EverwhenError, Abandoned, KeyboardInterrupt, SystemExit)
"""With these a worker ends in order. Any other exception, such as ``MemoryError``, is as good as a death."""


class Suspicion:
    """How carefully the records of one claimed partition are to be applied.

    :param claim: says what happened under earlier ones.
    """

    def __init__(self, claim: Claim) -> None:
        self.moved = False
        """Whether a batch was committed under the claim."""
        self.deadly = False
        """Whether applying a batch is what ends this process, or this worker."""
        suspected = claim.suspect is not None
        self._singles = _GROUP if suspected else 0
        self._wary = _WARY if suspected or claim.deaths >= _DEATHS else 0

    def __bool__(self) -> bool:
        return bool(self._wary)

    def most(self, usual: int) -> int:
        """Return how many records may be applied at once.

        :param usual: without suspicion.
        """
        if not self._wary:
            return usual
        return 1 if self._singles else min(usual, _GROUP)

    def passed(self, records: int) -> None:
        """Note that so many records were applied, and the process lives."""
        self.moved = True
        self._wary = max(0, self._wary - records)
        self._singles = max(0, self._singles - records)


class Breaker:
    """Notes in the store what is about to be applied where partitions are under suspicion.

    :param store: where it is noted.
    :param patience: with the store.
    """

    def __init__(self, store: Store, patience: Patience) -> None:
        self._store = store
        self._patience = patience

    @contextmanager
    def applying(
        self, claim: Claim, suspicion: Suspicion, records: Sequence[Record], unwanted: Callable[[], bool]
    ) -> Iterator[int]:
        """Apply records inside this; it gives in how many processes that died they were applied alone.

        :param unwanted: whether the partition was taken away.
        :raises Fenced: if another worker has claimed the partition.
        :raises Abandoned: if the partition was taken away, or the worker told to stop, while the store was away.
        :raises StoreUnavailable: if it was away for too long.
        """
        suspects = records if suspicion else ()
        deaths = self._note(claim, suspects, unwanted) - 1 if suspects else 0
        try:
            yield deaths if len(suspects) == 1 else 0
        except _SURVIVED:
            if suspects:
                self._take_back(claim, suspects)
            raise
        except BaseException:
            suspicion.deadly = True
            raise
        suspicion.passed(len(records))

    def release(self, claims: Sequence[Claim]) -> None:
        """Say that claims end in order, if the store can be told: else they count as deaths, which only slows down."""
        if not claims or self._patience.is_store_away:
            return
        try:
            self._store.release(claims)
        except EverwhenError as error:
            places = [place_of(claim.generation.topic, claim.partition) for claim in claims]
            _log.debug("claim.unreleased %s", error, extra={"places": places})

    def _note(self, claim: Claim, records: Sequence[Record], unwanted: Callable[[], bool]) -> int:
        while True:
            try:
                deaths = self._store.suspect(claim, records[0].offset, len(records))
            except StoreUnavailable as error:
                self._patience.bear(error, unwanted)
            else:
                self._patience.succeeded()
                return deaths

    def _take_back(self, claim: Claim, records: Sequence[Record]) -> None:
        try:
            self._store.take_back(claim, records[0].offset, len(records))
        except EverwhenError as error:
            place = place_of(claim.generation.topic, claim.partition, records[0].offset)
            text = "suspect.unclear whether a process died at it, since the store cannot be told: %s"
            _log.warning(text, error, extra=place)


def convicted(where: str, deaths: int) -> ProcessDied | None:
    """Return why a record is not decoded any more, if that is so.

    :param where: its position and entity.
    :param deaths: in how many processes that died it was applied alone.
    """
    if deaths < _DEATHS:
        return None
    return ProcessDied(
        f"{where}: {deaths} processes died one after the other while they applied this record alone, so it was kept "
        "aside without being decoded again. Find out what ends them, as a crash in native code or too little memory, "
        "mend that, and retry the record"
    )


def is_convicted(row: Quarantined) -> bool:
    """Whether a record that is kept aside may end the process that decodes it."""
    return row.error_class == ProcessDied.__name__


def verdict(row: Quarantined) -> ProcessDied:
    """Return the error that such a record was kept aside for."""
    return ProcessDied(row.error or "")


def portions(requests: Iterable[Quarantined], suspicion: Suspicion) -> Iterator[tuple[list[Quarantined], bool]]:
    """Divide what is asked for with kept records into transactions; say which of these may end the process.

    What may is tried for one entity at a time, so that the others' requests are carried out whatever happens.
    """
    by_entity: dict[str | None, list[Quarantined]] = {}
    for row in requests:
        by_entity.setdefault(row.entity_id, []).append(row)
    harmless: list[Quarantined] = []
    dangerous: list[list[Quarantined]] = []
    for rows in by_entity.values():
        retried = [row for row in rows if row.request == "retry"]
        if retried and (suspicion or any(map(is_convicted, retried))):
            dangerous.append(rows)
        else:
            harmless += rows
    if harmless:
        yield harmless, False
    for rows in dangerous:
        yield rows, True
