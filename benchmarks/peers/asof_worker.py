"""Run by :mod:`benchmarks.peers.asof` in an environment of its own: one join, and what it took.

Usage: ``python asof_worker.py EXPORT PAIRS TIES``. The first two are CSV files; the last of several events at one
instant is found ``before`` the clock starts or ``within``. It prints the seconds, and a digest of the answers in order.
"""

import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import duckdb

JOIN = (
    "SELECT p.n, v.valid_from, v.valid_to, v.recorded_at, v.event_id, v.event_type, v.partition, v.position, v.state "
    "FROM pairs p ASOF LEFT JOIN versions v ON p.entity_id = v.entity_id AND p.valid_at >= v.valid_from"
)
TYPES = (
    "{'entity_id': 'VARCHAR', 'valid_from': 'BIGINT', 'recorded_at': 'BIGINT', 'event_id': 'VARCHAR', "
    "'event_type': 'VARCHAR', 'partition': 'INTEGER', 'position': 'BIGINT', 'state': 'VARCHAR'}"
)
LAST = """
    SELECT * FROM (
      SELECT *, lead(valid_from) OVER (PARTITION BY entity_id ORDER BY valid_from, position) AS valid_to
      FROM '{versions}'
    ) WHERE valid_to IS NULL OR valid_to <> valid_from
"""


def main(export: str, pairs: str, ties: str) -> None:
    """Load, join once to have everything in memory, and once for the time."""
    database = duckdb.connect()
    every, last = Path(export).with_suffix(".parquet"), Path(export).with_suffix(".last.parquet")
    if not every.exists():
        rows = f"SELECT * FROM read_csv('{export}', header = true, columns = {TYPES})"
        database.execute(f"COPY ({rows} ORDER BY entity_id, valid_from, position) TO '{every}'")
        database.execute(f"COPY ({LAST.format(versions=every)} ORDER BY entity_id, valid_from) TO '{last}'")
    versions = f"SELECT * FROM '{last}'" if ties == "before" else LAST.format(versions=every)
    database.execute(f"CREATE VIEW versions AS {versions}")
    given = "{'n': 'BIGINT', 'entity_id': 'VARCHAR', 'valid_at': 'BIGINT'}"
    database.execute(f"CREATE TABLE pairs AS SELECT * FROM read_csv('{pairs}', header = true, columns = {given})")
    database.execute(JOIN).fetchall()
    began = time.perf_counter()
    rows = database.execute(JOIN).fetchall()
    found: list[Any] = [None] * len(rows)
    for row in rows:
        found[row[0]] = row
    seconds = time.perf_counter() - began
    digest = hashlib.sha256()
    for _, valid_from, _, _, event_id, _, _, _, state in found:
        digest.update(f"{valid_from} {event_id} {state}\n".encode())
    print(json.dumps([seconds, digest.hexdigest()]))


main(*sys.argv[1:])
