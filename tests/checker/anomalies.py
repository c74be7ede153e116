"""What the checker found, as JSON and as Markdown."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

_SHOWN = 50


class Anomaly(NamedTuple):
    """Something that must not be.

    :ivar kind: its name, such as ``log.lost``, ``versions.missing`` or ``versions.state``.
    :ivar place: an entity, a position, or both.
    :ivar detail: what was expected and what was found.
    """

    kind: str
    place: str
    detail: str


@dataclass
class Report:
    """All anomalies, and how much was compared."""

    anomalies: list[Anomaly] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    cost: dict[str, float] = field(default_factory=dict)
    """What it took to compare."""

    def kinds(self) -> Counter[str]:
        """Return how many there are of each kind."""
        return Counter(each.kind for each in self.anomalies)

    def as_json(self) -> str:
        """Return everything as JSON."""
        return json.dumps({**asdict(self), "anomalies": [each._asdict() for each in self.anomalies]}, indent=1)

    def as_markdown(self) -> str:
        """Return a short report for people."""
        lines = [f"**{len(self.anomalies)} anomalies**", "", "| compared | number |", "|---|---|"]
        lines += [f"| {name} | {count} |" for name, count in (self.counts | self.cost).items()]
        if self.anomalies:
            lines += ["", "| anomaly | number |", "|---|---|"]
            lines += [f"| {kind} | {count} |" for kind, count in sorted(self.kinds().items())]
            lines += ["", *(f"- {each.kind} at {each.place}: {each.detail}" for each in self.anomalies[:_SHOWN])]
        return "\n".join(lines) + "\n"

    def write(self, directory: Path, name: str) -> None:
        """Write both forms."""
        (directory / f"{name}.json").write_text(self.as_json())
        (directory / f"{name}.md").write_text(self.as_markdown())
