"""H: the load generator's own history, a file of JSON lines.

``{"n": 7, "send": {"entity", "id", "type", "valid_at", "payload", "withdraws"}}`` stands there before an event is
sent, and later ``{"n": 7, "at": [partition, offset]}`` or ``{"n": 7, "error": "..."}``. With neither, or with an error,
nobody knows whether the log has it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple


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
    text = path.read_text()
    return parse(line for line in text.splitlines(keepends=True) if line.endswith("\n"))


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
