"""Where a worker stands now: its hearts, its partitions, and whether that is well."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from everwhen.errors import EverwhenError
from everwhen.instants import Micros
from everwhen.ports.clock import Clock
from everwhen.ports.store import Claim
from everwhen.worker import BatchReport, Expiry, Measured, Observer

_SECOND: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Limits:
    """Beyond what a worker counts as dead, or as not ready; in seconds.

    :ivar fetch: for how long the thread that fetches may take no turn. It takes ten a second, but waits for a claim,
        which a database that says nothing can hold up for three times ``takeover_seconds``.
    :ivar loop: for how long the thread that applies may take no turn. It takes none inside a batch, whose handlers may
        be slow, so this is generous.
    :ivar lag: how far behind a partition may be to be ready; ``None``: any time.
    """

    fetch: float = 120.0
    loop: float = 600.0
    lag: float | None = None


@dataclass(frozen=True, slots=True)
class PartitionStanding:
    """Where one claimed partition stands."""

    next_offset: int
    complete_until: Micros
    """Up to which instant it is projected; -1 if not known."""
    end: int | None = None
    """Where the log ended when it was last asked."""
    stopped: str | None = None
    """The name of the error that it stopped with."""
    committed_at: float = field(default_factory=time.monotonic)
    """When this worker last committed or claimed it."""
    expiry: Expiry | None = None
    """When the log may delete what is not projected yet; ``None`` if it keeps everything, or was not asked yet."""

    @property
    def gap(self) -> int | None:
        """Offsets up to the log's end; ``None`` if that is not known yet."""
        return None if self.end is None else max(0, self.end - self.next_offset)

    def lag(self, now: Micros) -> float | None:
        """Seconds since the instant up to which it is projected, 0 without a gap; ``None`` if that is not known."""
        if self.gap == 0:
            return 0.0
        if self.gap is None or self.complete_until < 0:
            return None
        return max(0.0, (now - self.complete_until) / _SECOND)


class Standing(Observer):
    """Keeps in memory what a worker tells, for questions that must wait for nothing.

    :param clock: what lag in time is measured by.

    Thread-safe.
    """

    measure_seconds = 5.0

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._partitions: dict[int, PartitionStanding] = {}
        self._outside: dict[int, str] = {}
        self._joined = False
        self._looped_at = time.monotonic()
        self._fetched_at: float | None = None
        self.unclaimed: frozenset[int] = frozenset()
        """Partitions that were assigned and could not be claimed yet."""
        self.is_store_away = False
        """Whether a batch or a claim waits for the database."""

    def looped(self) -> None:
        """Note a turn."""
        self._looped_at = time.monotonic()

    def fetched(self, unclaimed: Collection[int]) -> None:
        """Note a turn, and what is not claimed."""
        self._fetched_at = time.monotonic()
        self.unclaimed = frozenset(unclaimed)

    def claimed(self, claims: Collection[Claim]) -> None:
        """Note partitions that came."""
        with self._lock:
            for claim in claims:
                until = max(claim.mark.watermark, claim.quiet_until)
                self._partitions[claim.partition] = PartitionStanding(claim.mark.next_offset, until)
            self._joined = True

    def revoked(self, partitions: Sequence[int], *, lost: bool) -> None:
        """Forget partitions that went."""
        with self._lock:
            for partition in partitions:
                self._partitions.pop(partition, None)

    def stopped(self, partition: int, error: EverwhenError) -> None:
        """Note that a partition stands still."""
        name = type(error).__name__
        with self._lock:
            if partition in self._partitions:
                self._change(partition, stopped=name)
            else:
                self._outside[partition] = name

    def applied(self, report: BatchReport) -> None:
        """Note how far a partition is."""
        with self._lock:
            if (stand := self._partitions.get(report.partition)) is not None:
                until = max(stand.complete_until, report.mark.watermark)
                now = time.monotonic()
                self._change(
                    report.partition, next_offset=report.mark.next_offset, complete_until=until, committed_at=now
                )

    def store_away(self, *, away: bool) -> None:
        """Note whether the database is away."""
        self.is_store_away = away

    def measured(self, stands: Mapping[int, Measured]) -> None:
        """Note where partitions end."""
        with self._lock:
            for partition, measured in stands.items():
                if (stand := self._partitions.get(partition)) is not None:
                    until = max(stand.complete_until, measured.complete_until)
                    self._change(partition, end=measured.end, complete_until=until)

    def retained(self, expiries: Mapping[int, Expiry]) -> None:
        """Note when unread records may be deleted."""
        with self._lock:
            for partition in self._partitions:
                self._change(partition, expiry=expiries.get(partition))

    def partitions(self) -> dict[int, PartitionStanding]:
        """Return where each claimed partition stands."""
        with self._lock:
            return dict(self._partitions)

    def hearts(self) -> dict[str, float]:
        """Return for each thread that has begun how many seconds ago it took a turn."""
        now = time.monotonic()
        beats = {"loop": self._looped_at, "fetch": self._fetched_at}
        return {thread: max(0.0, now - at) for thread, at in beats.items() if at is not None}

    def now(self) -> Micros:
        """Read the clock."""
        return self._clock.now()

    def deaths(self, limits: Limits) -> list[str]:
        """Say which threads have taken no turn for too long; empty while the worker lives."""
        bounds = {"loop": limits.loop, "fetch": limits.fetch}
        return [
            f"the {thread} thread took no turn for {age:.0f} s, more than {bounds[thread]:g}"
            for thread, age in self.hearts().items()
            if age > bounds[thread]
        ]

    def obstacles(self, limits: Limits) -> list[str]:
        """Say what keeps the worker from being ready; empty if nothing does."""
        partitions, now = self.partitions(), self.now()
        found = [] if self._joined else ["no partitions were assigned yet"]
        found += [f"partition {partition} is assigned and not claimed yet" for partition in sorted(self.unclaimed)]
        stopped = self._outside | {p: stand.stopped for p, stand in partitions.items() if stand.stopped is not None}
        found += [f"partition {partition} is stopped by {error}" for partition, error in sorted(stopped.items())]
        if limits.lag is not None:
            found += _behind({p: stand.lag(now) for p, stand in sorted(partitions.items())}, limits.lag)
        return found

    def _change(self, partition: int, **values: object) -> None:
        self._partitions[partition] = replace(self._partitions[partition], **values)  # type: ignore[arg-type]


def _behind(lags: Mapping[int, float | None], limit: float) -> list[str]:
    unknown = [
        f"how far partition {partition} is behind is not known yet" for partition, s in lags.items() if s is None
    ]
    return unknown + [
        f"partition {partition} is {seconds:.1f} s behind, more than {limit:g}"
        for partition, seconds in lags.items()
        if seconds is not None and seconds > limit
    ]
