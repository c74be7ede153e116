"""The verdicts of ``everwhen schema check``: of versions on one another, and of a projection on all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from everwhen.cli.output import write_rows
from everwhen.event import Topic
from everwhen.event.compatibility import Incompatibility
from everwhen.event.contracts import Contract
from everwhen.event.modes import Mode, Verdict, judge
from everwhen.projection.replay import Outcome, Replayed

_PAIR_TITLES = ("EVENT", "WRITER", "READER", "VERDICT", "WHY")
_REPLAY_TITLES = ("EVENT", "VERSION", "VERDICT", "EXAMPLES", "UPCASTERS", "HANDLER", "REFUSED")


class Pair(NamedTuple):
    """Whether one version of an event reads what another one wrote.

    :ivar upcasters: the names of those that bridge the two; then nothing else counts.
    """

    type: str
    writer: int
    reader: int
    upcasters: list[str]
    found: Sequence[Incompatibility]

    @property
    def verdict(self) -> str:
        """Yes, no, or bridged."""
        return "bridged" if self.upcasters else "no" if self.found else "yes"

    @property
    def why(self) -> str:
        """What the verdict rests on, for people."""
        return ", ".join(f"{name}()" for name in self.upcasters) or "; ".join(map(str, self.found))


def pairs(topic: Topic, mode: Mode) -> list[Pair]:
    """Judge the versions that a mode asks about."""
    return [
        _pair(contract, verdict)
        for contract in topic.contracts
        for verdict in judge([version.node for version in contract.versions], mode)
    ]


def _pair(contract: Contract, verdict: Verdict) -> Pair:
    writer, reader = contract.versions[verdict.writer], contract.versions[verdict.reader]
    steps = contract.steps(writer) if reader is contract.newest else []
    names = [step.upcaster.name for step in steps]
    return Pair(contract.type, writer.number, reader.number, names, () if steps else verdict.found)


def write_pairs(judged: Sequence[Pair]) -> None:
    """Print them."""
    if judged:
        write_rows(
            _PAIR_TITLES,
            ((each.type, str(each.writer), str(each.reader), each.verdict, each.why) for each in judged),
        )


def pair_document(each: Pair) -> dict[str, Any]:
    """Return what JSON says of a pair."""
    found = [asdict(reason) | {"rule": reason.rule.name.lower(), "text": str(reason)} for reason in each.found]
    return {
        "event": each.type,
        "writer": each.writer,
        "reader": each.reader,
        "verdict": each.verdict,
        "upcasters": each.upcasters,
        "found": found,
    }


def write_replays(replayed: Sequence[Replayed]) -> None:
    """Print what became of examples of every version."""
    write_rows(_REPLAY_TITLES, map(_replay_row, replayed))


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


def replay_document(each: Replayed) -> dict[str, Any]:
    """Return what JSON says of a version."""
    return {
        "event": each.type,
        "version": each.version,
        "verdict": each.outcome.value,
        "examples": each.examples,
        "upcasters": list(each.upcasters),
        "handler": each.handler,
        "refused": each.refused,
        "problems": list(each.problems),
    }


def problems_of(judged: Sequence[Pair], replayed: Sequence[Replayed]) -> Iterator[str]:
    """Say what is wrong, a line for each."""
    for pair in judged:
        if pair.verdict == "no":
            yield f"{pair.type} {pair.reader}.avsc does not read {pair.writer}.avsc: {pair.why}"
    for each in replayed:
        if each.outcome is Outcome.BROKEN:
            yield from (f"{each.type} version {each.version}: {problem}" for problem in each.problems)
