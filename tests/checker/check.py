"""All comparisons at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.checker import history, logs, projected, sent, stores
from tests.checker.anomalies import Report
from tests.checker.folding import Entity
from tests.checker.logs import Log
from tests.checker.sent import Sent
from tests.checker.stores import Tables


def check(log_url: str, topic: str, schemas: Path, store_url: str, projection: str, history_file: Path) -> Report:
    """Read the three witnesses and compare them."""
    log = logs.read(log_url, topic, schemas)
    return compare(sent.read(history_file), log, projected.expect(log), stores.read(store_url, projection))


def compare(said: Sequence[Sent], log: Log, expected: Mapping[str, Entity], tables: Tables) -> Report:
    """Compare the three witnesses."""
    anomalies = [*log.anomalies, *history.compare(said, log.records), *projected.compare(log, expected, tables)]
    counts = {
        "events sent": len(said),
        "events acknowledged": sum(each.at is not None for each in said),
        "records in the log": len(log.records),
        "entities": len(expected),
        "versions": len(tables["versions"]),
        "superseded beliefs": len(tables["superseded"]),
        "withdrawals": len(tables["withdrawals"]),
        "conflicts": len(tables["conflicts"]),
        "lists of intervals": sum(len(entity.beliefs) for entity in expected.values()),
        "intervals": sum(len(belief) for entity in expected.values() for _, belief in entity.beliefs),
        "entities with beliefs that are not kept": sum(r["unstored_offset"] is not None for r in tables["entities"]),
    }
    return Report(anomalies, counts)
