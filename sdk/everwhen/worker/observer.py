"""What a worker tells whoever watches it: the seam for metrics and health, without a dependency."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

from everwhen.errors import EverwhenError, StoreUnavailable
from everwhen.instants import Micros
from everwhen.ports.store import Claim
from everwhen.positions import Mark
from everwhen.projection import Tally
from everwhen.worker.retention import Expiry

Phase: TypeAlias = Literal["decode", "load", "fold", "write", "commit"]
PHASES: Final[tuple[Phase, ...]] = get_args(Phase)


class Laps:
    """How long the phases of a batch took; read a few times a batch, never for each record."""

    def __init__(self) -> None:
        self.seconds: dict[Phase, float] = dict.fromkeys(PHASES, 0.0)
        self._at = time.perf_counter()

    def lap(self, phase: Phase) -> None:
        """Say that the time since the last lap was this phase's."""
        now = time.perf_counter()
        self.seconds[phase] += now - self._at
        self._at = now


class BatchReport(NamedTuple):
    """A batch that was committed."""

    partition: int
    records: int
    """Read from the log; 0 where records that were kept aside were tried again."""
    tally: Tally
    mark: Mark
    """Where the partition stands now."""
    seconds: Mapping[Phase, float]


class Measured(NamedTuple):
    """How far a partition is from the log's end."""

    end: int
    """The offset that the next record will get; records of open transactions count."""
    complete_until: Micros
    """Up to which instant the partition is projected; -1 if not known."""


class Observer:
    """Is told what a worker does; this one does nothing with it.

    Methods are called from the worker's threads, some in each turn of a loop and none for each record. They must be
    quick, must not raise, and must not ask the log or the store.
    """

    measure_seconds: float | None = None
    """How often the log is asked for the ends of partitions, by a thread of its own; ``None``: never."""

    def looped(self) -> None:
        """The thread that applies took a turn, or waits for the store; no turn ends inside a batch."""

    def fetched(self, unclaimed: Collection[int]) -> None:
        """The thread that fetches took a turn.

        :param unclaimed: partitions that were assigned, and that the store could not be asked for yet.
        """

    def claimed(self, claims: Collection[Claim]) -> None:
        """Partitions were assigned and claimed; be it none."""

    def revoked(self, partitions: Sequence[int], *, lost: bool) -> None:
        """Partitions were given up; ``lost``: others may have had them already."""

    def stopped(self, partition: int, error: EverwhenError) -> None:
        """A partition does not go on; ``Fenced`` if another worker has it."""

    def applied(self, report: BatchReport) -> None:
        """A batch was committed."""

    def store_failed(self, error: StoreUnavailable) -> None:
        """The database did not do what it was asked; that is tried again, unless patience is over."""

    def store_away(self, *, away: bool) -> None:
        """A batch or a claim waits for the database, or none does any more."""

    def measured(self, stands: Mapping[int, Measured]) -> None:
        """The log was asked for the ends of partitions."""

    def retained(self, expiries: Mapping[int, Expiry]) -> None:
        """The log was asked when it may delete what is not projected yet; empty if it keeps everything."""

    def log_failed(self, error: EverwhenError) -> None:
        """The log did not say where partitions end, or what it keeps; it is asked again."""
