"""H: the load generator's own history, a file of JSON lines.

``{"n": 7, "send": {"entity", "id", "type", "valid_at", "payload", "withdraws"}}`` stands there before an event is
sent, and later ``{"n": 7, "at": [partition, offset]}`` or ``{"n": 7, "error": "..."}``. With neither, or with an error,
nobody knows whether the log has it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from tests.checker.anomalies import Anomaly


class Sent(NamedTuple):
    """One event that was sent."""

    n: int
    entity: str
    event_id: str
    type: str
    valid_at: int | None
    """Microseconds; ``None`` for a retraction, which has no valid time of its own."""
    payload: dict[str, Any]
    withdraws: str | None
    at: tuple[int, int] | None
    """Partition and offset, as they were acknowledged."""
    error: str | None


def read(path: Path) -> list[Sent]:
    """Read the file. A last line that was not written whole is passed over: its writer was killed."""
    with path.open() as file:
        return parse(line for line in file if line.endswith("\n"))


def split(path: Path, into: Path, partitions: int) -> tuple[list[Path], list[Anomaly]]:
    """Divide the file by the partitions that the log gave to the entities; what fits several stands in all of them.

    Where two partitions were given to one entity, that is an anomaly.
    """
    files = [into / f"sent-{number}.jsonl" for number in range(partitions)]
    anomalies: list[Anomaly] = []
    homes: dict[str, int] = {}
    unanswered: dict[int, tuple[str, str]] = {}
    with ExitStack() as stack:
        outputs = [stack.enter_context(file.open("w")) for file in files]
        for line in stack.enter_context(path.open()):
            if not line.endswith("\n"):
                continue
            entry = json.loads(line)
            if "send" in entry:
                unanswered[entry["n"]] = entry["send"]["entity"], line
            elif "at" in entry and entry["n"] in unanswered:
                entity, intent = unanswered.pop(entry["n"])
                home = entry["at"][0]
                if homes.setdefault(entity, home) != home:
                    detail = f"send {entry['n']} went to partition {home}, another one to {homes[entity]}"
                    anomalies.append(Anomaly("log.split-entity", entity, detail))
                if home < partitions:
                    outputs[home].write(intent + line)
                else:
                    anomalies.append(Anomaly("log.lost", entity, f"there is no partition {home}"))
        for entity, intent in unanswered.values():
            for output in outputs if entity not in homes else [outputs[homes[entity]]]:
                output.write(intent)
    return files, anomalies


def parse(lines: Iterable[str]) -> list[Sent]:
    """Put intents and answers together, in the order of sending."""
    intents: dict[int, dict[str, Any]] = {}
    answers: dict[int, dict[str, Any]] = {}
    for line in lines:
        entry = json.loads(line)
        (intents if "send" in entry else answers)[entry["n"]] = entry
    return [_sent(n, entry["send"], answers.get(n, {})) for n, entry in sorted(intents.items())]


def _sent(n: int, send: dict[str, Any], answer: dict[str, Any]) -> Sent:
    at = answer.get("at")
    return Sent(
        n,
        send["entity"],
        send["id"],
        send["type"],
        send["valid_at"],
        send["payload"],
        send["withdraws"],
        (at[0], at[1]) if at else None,
        answer.get("error"),
    )
