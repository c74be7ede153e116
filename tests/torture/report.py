"""The report of a run on one place, as JSON and as Markdown."""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import confluent_kafka

from tests.checker.anomalies import Report
from tests.torture import quotas
from tests.torture.tally import PHASES, Tally

_BUCKETS = (0.25, 0.5, 1, 2, 3, 5, 10, 20, math.inf)
_NEVER_TRIED = (
    "more than one broker: replication, elections, a log that is cut off",
    "power failures: servers run without fsync and are killed, the machine is not",
    "a standby that is promoted, a disk that is full, clocks that jump (tests of their own try the first two)",
    "transactions of producers that are aborted (the conformance tests of logs try them)",
    "faults between worker and broker other than kills of the broker: no proxy stands there",
)


def write(directory: Path, tally: Tally, report: Report) -> str:
    """Write ``torture.json`` and ``torture.md``; return the text."""
    values: dict[str, Any] = {
        "verdict": tally.verdict(report),
        "seed": tally.seed,
        "versions": versions(tally),
        "seconds": {name: round(number, 1) for name, number in tally.seconds.items()},
        "owed": tally.owed,
        "done": tally.done(report),
        "kills": dict(tally.kills),
        "kills in a group": dict(tally.group),
        "zombies": dict(tally.zombies),
        "faults": dict(tally.faults),
        "recovery": {mode: recovery(found) for mode, found in sorted(tally.recoveries.items())},
        "lacking": tally.lacking(report),
        "broken": tally.broken,
        "not tried": not_tried(tally),
        "check": json.loads(report.as_json()),
        "timeline": sorted(tally.timeline),
    }
    text = as_markdown(tally, report)
    (directory / "torture.json").write_text(json.dumps(values, indent=1))
    (directory / "torture.md").write_text(text)
    return text


def versions(tally: Tally) -> dict[str, str]:
    """Name what ran, and on what."""
    return {
        **tally.parts,
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "confluent-kafka": version("confluent-kafka"),
        "librdkafka": confluent_kafka.libversion()[0],
        "psycopg": version("psycopg"),
        "SQLAlchemy": version("sqlalchemy"),
        "machine": f"{platform.system()} {platform.release()}, {os.cpu_count()} processors",
    }


def not_tried(tally: Tally) -> list[str]:
    """Say what this run cannot show."""
    missing = [
        f"{name}: not on this place"
        for name in quotas.owed("servers", 1)
        if name not in tally.owed and not tally.faults[name]
    ]
    return [*missing, *_NEVER_TRIED]


def recovery(seconds: Sequence[float]) -> dict[str, Any]:
    """Return quantiles and a histogram."""
    found = sorted(seconds)
    counts = {"p50": _quantile(found, 0.5), "p99": _quantile(found, 0.99), "longest": round(found[-1], 2)}
    low = 0.0
    histogram: dict[str, int] = {}
    for high in _BUCKETS:
        histogram[f"< {high:g} s"] = sum(low <= each < high for each in found)
        low = high
    return {"number": len(found), **counts, "histogram": histogram}


def as_markdown(tally: Tally, report: Report) -> str:
    """Return a report for people."""
    done = tally.done(report)
    lines = [f"# Torture on {tally.target}: {tally.verdict(report)}", "", f"Seed {tally.seed}.", ""]
    lines += [f"- {name}: {what}" for name, what in versions(tally).items()]
    lines += ["", "| what | done | owed |", "|---|---|---|"]
    lines += [f"| {name} | {done[name]} | {number} |" for name, number in tally.owed.items()]
    lines += ["", f"| phase | kills ({tally.kills.total()}) | in a group ({tally.group.total()}) | paused |"]
    lines += ["|---|---|---|---|"]
    for phase, meaning in PHASES.items():
        lines.append(f"| {phase} {meaning} | {tally.kills[phase]} | {tally.group[phase]} | {tally.zombies[phase]} |")
    lines += ["", "| all that happened besides | number |", "|---|---|"]
    lines += [f"| {what} | {count} |" for what, count in sorted(tally.faults.items())]
    lines += ["", *_recoveries(tally), "", "| what took | seconds |", "|---|---|"]
    lines += [f"| {name} | {number:.0f} |" for name, number in tally.seconds.items()]
    if lacking := tally.lacking(report):
        lines += ["", f"Invalid: too little of {', '.join(lacking)}."]
    lines += ["", *(f"- broken: {what}" for what in tally.broken), "", report.as_markdown(), "Not tried:", ""]
    return "\n".join([*lines, *(f"- {what}" for what in not_tried(tally)), ""])


def _recoveries(tally: Tally) -> list[str]:
    if not tally.recoveries:
        return []
    names = " | ".join(f"< {high:g} s" for high in _BUCKETS)
    lines = [f"| from a fault to the first new commit | number | p50 | p99 | longest | {names} |"]
    lines.append("|---" * (5 + len(_BUCKETS)) + "|")
    for mode, found in sorted(tally.recoveries.items()):
        each = recovery(found)
        cells = [mode, each["number"], each["p50"], each["p99"], each["longest"], *each["histogram"].values()]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return lines


def _quantile(found: Sequence[float], part: float) -> float:
    return round(found[min(len(found) - 1, math.ceil(part * len(found)) - 1)], 2)
