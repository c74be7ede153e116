"""The verdicts of ``everwhen schema check``: of versions on one another, and of a projection on all of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from everwhen.cli.output import write_rows
from everwhen.event import Topic
from everwhen.event.contracts import Contract
from everwhen.event.modes import Mode, Verdict, judge
from everwhen.event.versions import Version
from everwhen.projection import Projection
from everwhen.projection.replay import Outcome, Replayed, replay

_PAIR_TITLES = ("EVENT", "WRITER", "READER", "VERDICT", "WHY")
_REPLAY_TITLES = ("EVENT", "VERSION", "VERDICT", "EXAMPLES", "UPCASTERS", "HANDLER", "REFUSED")


def write_verdicts(topic: Topic, mode: Mode) -> list[str]:
    """Print whether the versions that a mode asks about read one another; return what stands in the way."""
    rows, problems = [], []
    for contract in topic.contracts:
        for verdict in judge([version.node for version in contract.versions], mode):
            writer, reader = contract.versions[verdict.writer], contract.versions[verdict.reader]
            said, why = _judged(contract, writer, reader, verdict)
            rows.append((contract.type, str(writer.number), str(reader.number), said, why))
            if said == "no":
                problems.append(f"{contract.type} {reader.number}.avsc does not read {writer.number}.avsc: {why}")
    if rows:
        write_rows(_PAIR_TITLES, rows)
    return problems


def _judged(contract: Contract, writer: Version, reader: Version, verdict: Verdict) -> tuple[str, str]:
    steps = contract.steps(writer) if reader is contract.newest else []
    if steps:
        return "bridged", ", ".join(f"{step.upcaster.name}()" for step in steps)
    return ("no", "; ".join(map(str, verdict.found))) if verdict.found else ("yes", "")


def replay_verdicts(projection: Projection[Any]) -> list[str]:
    """Print what became of examples of every version; return what is wrong."""
    found = replay(projection)
    write_rows(_REPLAY_TITLES, map(_replay_row, found))
    return [problem for each in found for problem in _problems(each)]


def _replay_row(each: Replayed) -> tuple[str, ...]:
    return (
        each.type,
        str(each.version),
        each.outcome.value,
        str(each.examples),
        ", ".join(each.upcasters) or "-",
        each.handler or "ignored",
        "; ".join(f"{count}: {reason}" for reason, count in each.refused.items()) or "-",
    )


def _problems(each: Replayed) -> Iterator[str]:
    if each.outcome is Outcome.BROKEN:
        for problem in each.problems:
            yield f"{each.type} version {each.version}: {problem}"
