"""What a run did: kills by phase, zombies, faults, how fast it recovered, and whether that is enough to count."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.checker.anomalies import Report
from tests.torture import quotas

PHASES = {
    "P1": "fetched",
    "P2": "decode",
    "P3": "fold",
    "P4": "transaction open, before the fence",
    "P5": "after the fence, before the commit",
    "P5c": "in the middle of the rows of a COPY",
    "P6": "commit sent, its answer not taken",
    "P7": "after the commit, before the hint",
    "P8": "claim",
    "P9": "partitions revoked",
    "P10": "shutdown",
}
EXPLICIT = tuple(phase for phase in PHASES if phase != "P9")
_SHARE = 50
"""A phase must have at least one of so many kills."""


@dataclass
class Tally:
    """Counts of one run on one place. Thread-safe where it is counted."""

    target: str
    seed: int
    parts: dict[str, str]
    owed: dict[str, int]
    """The fewest that count, by the names of :mod:`tests.torture.quotas`."""
    phases: Sequence[str] = EXPLICIT
    """Those in which workers on explicit partitions can be killed here."""
    kills: Counter[str] = field(default_factory=Counter)
    """Kills that landed in their phase, after a batch was committed since the last one."""
    group: Counter[str] = field(default_factory=Counter)
    """The same of members of a group."""
    zombies: Counter[str] = field(default_factory=Counter)
    """Workers that were paused, lost their partition, and were let go on, by the phase they stood in."""
    faults: Counter[str] = field(default_factory=Counter)
    """Everything else: what was done to servers and networks, kills that missed, workers that ended."""
    broken: list[str] = field(default_factory=list)
    """What must not happen, seen while it ran."""
    timeline: list[tuple[float, str]] = field(default_factory=list)
    """When what was done, in seconds from the beginning."""
    recoveries: dict[str, list[float]] = field(default_factory=dict)
    """Seconds from a fault to the first new commit, by mode."""
    seconds: dict[str, float] = field(default_factory=dict)
    """What took how long."""
    _begin: float = field(default_factory=time.monotonic)
    _outages: list[tuple[float, float]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, counter: Counter[str], what: str, number: int = 1) -> None:
        """Add to a counter."""
        with self._lock:
            counter[what] += number
            kind = {id(self.kills): "killed ", id(self.group): "killed in a group ", id(self.zombies): "resumed "}
            text = f"{kind.get(id(counter), '')}{what}" + (f" ({number})" if number != 1 else "")
            self.timeline.append((round(time.monotonic() - self._begin, 2), text))

    @contextmanager
    def outage(self) -> Iterator[None]:
        """Note that a server is away: what recovers meanwhile is counted apart."""
        begin = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                self._outages.append((begin, time.monotonic()))

    def recovered(self, mode: str, begin: float, end: float) -> None:
        """Note how long it took from a fault to the first new commit, both in seconds of the monotonic clock."""
        with self._lock:
            # A server is back before its clients are.
            if any(begin < over + 1 and away < end for away, over in self._outages):
                mode += ", while a server was away or had just come back"
            self.recoveries.setdefault(mode, []).append(end - begin)

    def least(self, phases: Sequence[str]) -> list[str]:
        """Return those of the phases with the fewest kills."""
        with self._lock:
            fewest = min(self.kills[phase] for phase in phases)
            return [phase for phase in phases if self.kills[phase] == fewest]

    def done(self, report: Report | None = None) -> dict[str, int]:
        """Return what was done, by the names of the quotas; what only the check can tell is 0 before it."""
        done = {name: self.faults[name] for name in self.owed}
        done |= {
            quotas.KILLS: self.kills.total(),
            quotas.GROUP: self.group.total(),
            quotas.ZOMBIES: self.zombies.total(),
        }
        if report is not None:
            done[quotas.EVENTS] = report.counts.get("records in the log", 0)
        return done

    def summary(self) -> str:
        """Say in one line how much is done."""
        done = self.done()
        return ", ".join(f"{done[name]}/{number} {name}" for name, number in self.owed.items() if name not in _CHECKED)

    def progress(self, name: str) -> float:
        """Return how much of a quota is done; 1 is enough."""
        if name not in self.owed:
            return float("inf")
        return self.done()[name] / max(1, self.owed[name])

    def lacking(self, report: Report) -> list[str]:
        """Return the quotas that were not met, and the phases that got less than 2 % of the kills."""
        return [*self.lacking_faults(), *(n for n in _CHECKED if self.done(report)[n] < self.owed.get(n, 0))]

    def lacking_faults(self) -> list[str]:
        """Return what :meth:`lacking` does, without what only the check can tell."""
        done = self.done()
        few = [name for name, number in self.owed.items() if name not in _CHECKED and done[name] < number]
        share = max(self.kills.total() // _SHARE, min(3, self.owed[quotas.KILLS]))
        few += [f"kills in {phase}" for phase in self.phases if self.kills[phase] < share]
        return few if self.has_revoked() else [*few, "kills in P9"]

    def has_revoked(self) -> bool:
        """Whether enough members of groups were killed while they gave partitions up."""
        return self.group["P9"] >= min(3, self.owed[quotas.GROUP])

    def verdict(self, report: Report) -> str:
        """Say ``passed``, ``failed`` or ``invalid``."""
        if report.anomalies or self.broken:
            return "failed"
        return "invalid" if self.lacking(report) else "passed"


_CHECKED = (quotas.EVENTS, quotas.ASKED)
