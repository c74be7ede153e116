"""What a run did: kills by phase, zombies, faults, and whether that is enough to count."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.checker.anomalies import Report

PHASES = {
    "P1": "fetched",
    "P2": "decode",
    "P3": "fold",
    "P4": "transaction open, before the fence",
    "P5": "after the fence, before the commit",
    "P6": "commit sent, its answer not taken",
    "P7": "after the commit, before the hint",
    "P8": "claim",
    "P9": "partitions revoked",
    "P10": "shutdown",
}


@dataclass
class Tally:
    """Counts of one run. Thread-safe where it is counted."""

    seed: int
    parts: dict[str, str]
    quota: int
    kills: Counter[str] = field(default_factory=Counter)
    """Kills that landed in their phase, after a batch was committed since the last one."""
    zombies: Counter[str] = field(default_factory=Counter)
    """Workers that were paused, lost their partition, and were let go on, by the phase they stood in."""
    faults: Counter[str] = field(default_factory=Counter)
    """Everything else: how zombies were stopped, kills that missed, workers that ended, servers that were stopped."""
    broken: list[str] = field(default_factory=list)
    """What must not happen, seen while it ran."""
    timeline: list[tuple[float, str]] = field(default_factory=list)
    """When what was done, in seconds from the beginning."""
    seconds: float = 0.0
    _begin: float = field(default_factory=time.monotonic)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, counter: Counter[str], what: str) -> None:
        """Add one."""
        with self._lock:
            counter[what] += 1
            self.timeline.append((round(time.monotonic() - self._begin, 2), what))

    def least(self, phases: list[str]) -> list[str]:
        """Return those of the phases with the fewest kills."""
        with self._lock:
            fewest = min(self.kills[phase] for phase in phases)
            return [phase for phase in phases if self.kills[phase] == fewest]

    def lacking(self) -> list[str]:
        """Return the phases that were not met often enough: the quota and, but for P9, 2 % of all.

        P9 takes a group, and so a session's length each time.
        """
        share = self.kills.total() // 50
        return [each for each in PHASES if self.kills[each] < max(self.quota, 0 if each == "P9" else share)]

    def verdict(self, report: Report) -> str:
        """Say ``passed``, ``failed`` or ``invalid``."""
        if report.anomalies or self.broken:
            return "failed"
        return "invalid" if self.lacking() else "passed"

    def write(self, directory: Path, report: Report) -> None:
        """Write ``torture.json`` and ``torture.md``."""
        values: dict[str, Any] = {
            "verdict": self.verdict(report),
            "seed": self.seed,
            "parts": self.parts,
            "seconds": round(self.seconds, 1),
            "kills": dict(self.kills),
            "zombies": dict(self.zombies),
            "faults": dict(self.faults),
            "timeline": self.timeline,
            "lacking": self.lacking(),
            "broken": self.broken,
            "check": json.loads(report.as_json()),
        }
        (directory / "torture.json").write_text(json.dumps(values, indent=1))
        (directory / "torture.md").write_text(self.as_markdown(report))

    def as_markdown(self, report: Report) -> str:
        """Return a short report for people."""
        lines = [
            f"# Torture: {self.verdict(report)}",
            "",
            f"Seed {self.seed}, {self.seconds:.0f} s, on {' and '.join(self.parts.values())}.",
            "",
            f"| phase | kills ({self.kills.total()}) | zombies ({self.zombies.total()}) |",
            "|---|---|---|",
        ]
        lines += [f"| {p} {meaning} | {self.kills[p]} | {self.zombies[p]} |" for p, meaning in PHASES.items()]
        lines += ["", "| also | number |", "|---|---|"]
        lines += [f"| {what} | {count} |" for what, count in sorted(self.faults.items())]
        if lacking := self.lacking():
            lines += ["", f"Invalid: too few kills in {', '.join(lacking)}."]
        lines += ["", *(f"- broken: {what}" for what in self.broken), "", report.as_markdown()]
        return "\n".join(lines)
