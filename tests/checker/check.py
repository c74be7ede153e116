"""All comparisons at once, partition by partition, in as many processes as there are processors."""

from __future__ import annotations

import multiprocessing
import os
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.checker import answers, history, logs, projected, sent, stores
from tests.checker.anomalies import Anomaly, Report
from tests.checker.folding import Entity
from tests.checker.logs import Log
from tests.checker.records import by_entity
from tests.checker.sent import Sent
from tests.checker.stores import Tables

_WORTH_PROCESSES = 30_000_000
"""From this size of the history in bytes on; starting a process takes half a second."""


@dataclass(frozen=True)
class Share:
    """One partition to compare; every entity belongs to one."""

    log_url: str
    topic: str
    schemas: Path
    store_url: str
    projection: str
    sent: Path
    answers: Path | None
    partition: int


@dataclass
class Compared:
    """What came of a share."""

    report: Report
    entities: set[str]
    rows: Counter[str]


def check(
    log_url: str,
    topic: str,
    schemas: Path,
    store_url: str,
    projection: str,
    history_file: Path,
    answers_file: Path | None = None,
) -> Report:
    """Read the three witnesses, and what readers were told, and compare them."""
    begin = time.monotonic()
    number = logs.partitions(log_url, topic)
    with tempfile.TemporaryDirectory(dir=history_file.parent) as directory:
        files, anomalies = sent.split(history_file, Path(directory), number)
        shares = [
            Share(log_url, topic, schemas, store_url, projection, file, answers_file, partition)
            for partition, file in enumerate(files)
        ]
        large = history_file.stat().st_size > _WORTH_PROCESSES
        done = _in_processes(shares) if large else [share_compared(share) for share in shares]
    report = Report([*anomalies, *_across(done, stores.sizes(store_url, projection))])
    counts: Counter[str] = Counter()
    for each in done:
        report.anomalies += each.report.anomalies
        counts.update(each.report.counts)
    report.counts = dict(counts)
    report.cost = {
        "seconds of the check": round(time.monotonic() - begin, 1),
        "most memory of one of its processes in MiB": max(each.report.cost["MiB"] for each in done),
        "processes": min(os.cpu_count() or 1, len(shares)) if large else 1,
    }
    return report


def share_compared(share: Share) -> Compared:
    """Compare one partition."""
    log = logs.read(share.log_url, share.topic, share.schemas, share.partition)
    said = sent.read(share.sent)
    with stores.opened(share.store_url, share.projection, share.partition) as tables:
        mine = {**tables, "checkpoints": [row for row in tables["checkpoints"] if row["partition"] == share.partition]}
        rows: Counter[str] = Counter()
        report = compare(said, log, projected.Expected(log), mine, rows)
    if share.answers is not None:
        told = list(answers.compare(share.answers, by_entity(log.records), share.partition))
        report.anomalies += [each for each in told if each is not None]
        report.counts["answers compared with the fold"] = len(told)
    report.cost["MiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return Compared(report, {record.entity for record in log.records}, rows)


def compare(
    said: Sequence[Sent],
    log: Log,
    expected: Mapping[str, Entity],
    tables: Tables,
    rows: Counter[str] | None = None,
) -> Report:
    """Compare the three witnesses."""
    rows = Counter() if rows is None else rows
    anomalies = [*log.anomalies, *history.compare(said, log.records)]
    anomalies += projected.compare(log, expected, tables, rows)
    counts = {
        "events sent": len(said),
        "events acknowledged": sum(each.at is not None for each in said),
        "records in the log": len(log.records),
        "entities": len(expected),
        "versions": rows["versions"],
        "superseded beliefs": rows["superseded"],
        "withdrawals": rows["withdrawals"],
        "conflicts": rows["conflicts"],
        "lists of intervals": rows["lists of intervals"],
        "intervals": rows["intervals"],
        "entities with beliefs that are not kept": rows["entities with beliefs that are not kept"],
    }
    return Report(anomalies, counts)


def _in_processes(shares: Sequence[Share]) -> list[Compared]:
    # Spawned, so that none of them has what another one imported; one share each, so that the memory is given back.
    with multiprocessing.get_context("spawn").Pool(min(os.cpu_count() or 1, len(shares)), maxtasksperchild=1) as pool:
        return pool.map(share_compared, shares, chunksize=1)


def _across(done: Sequence[Compared], sizes: Mapping[str, int]) -> Iterator[Anomaly]:
    """What no single share can see: an entity in two partitions, and rows of no partition."""
    homes: dict[str, int] = {}
    for partition, each in enumerate(done):
        for entity in each.entities:
            if homes.setdefault(entity, partition) != partition:
                yield Anomaly("log.split-entity", entity, f"it has records in {homes[entity]} and in {partition}")
    for table, size in sizes.items():
        seen = sum(each.rows[table] for each in done)
        if seen != size:
            yield Anomaly(f"{table}.unplaced", table, f"of {size} rows {seen} are of a partition of the log")
