"""A against L: what readers were told while everything went on, compared with the fold of what they could know.

A file of JSON lines: ``{"valid_at", "known_at", "below", "told"}`` are the instant asked for (``null`` for whole
histories), the recorded time up to which records count (or ``null``), the offset below which records of a partition
count, by partition, and for each entity the versions that were told, as ``[valid_from, offset, items]`` with ``null``
for a deletion. Times in microseconds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.checker.anomalies import Anomaly
from tests.checker.folding import IGNORED, Belief, fold
from tests.checker.records import Record


def compare(path: Path, records: Mapping[str, list[Record]], partition: int) -> Iterator[Anomaly | None]:
    """Yield for each answer about an entity of the partition what is wrong with it, or ``None``."""
    with path.open() as file:
        for line in file:
            if not line.endswith("\n"):
                continue
            asked = json.loads(line)
            for entity, versions in asked["told"].items():
                if entity in records:
                    yield _wrong(asked, versions, records[entity], partition)


def _wrong(asked: dict[str, Any], versions: list[Any], records: list[Record], partition: int) -> Anomaly | None:
    below, known_at = asked["below"].get(str(partition), 0), asked["known_at"]
    known: dict[str, Record] = {}
    for record in records:
        counts = record.type not in IGNORED or record.withdraws is not None
        if counts and record.offset < below and (known_at is None or record.recorded_at <= known_at):
            known.setdefault(record.event_id, record)
    visible = _visible(known)
    if asked["valid_at"] is not None:
        visible = [each for each in visible if each[0] <= asked["valid_at"]][-1:]
    told = [(at, offset, None if items is None else tuple(items)) for at, offset, items in versions]
    if told == visible:
        return None
    place = f"{records[0].entity} below {below}, valid {asked['valid_at']}, known {known_at}"
    return Anomaly("answers.differ", place, f"expected {visible!r:.200}, told {told!r:.200}")


def _visible(known: dict[str, Record]) -> Belief:
    """Of several events at one instant the last one's version is visible."""
    states = fold(known.values())
    moments = {record.offset: record.valid_at for record in known.values()}
    last = {moments[offset]: (moments[offset], offset, state) for offset, state in sorted(states.items())}
    return [last[moment] for moment in sorted(last)]
