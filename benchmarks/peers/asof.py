"""Runs DuckDB in an environment of its own, on an export of a store in PostgreSQL."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import psycopg

from benchmarks.harness.rig import Rig
from benchmarks.peers.environment import Environment
from everwhen import Answer
from everwhen.instants import to_micros

_HERE: Final = Path(__file__).parent
ENVIRONMENT: Final = Environment("duckdb", _HERE / "asof_requirements.txt")
_EXPORT: Final = """
COPY (
  SELECT entity_id, (extract(epoch FROM valid_from) * 1000000)::bigint AS valid_from,
    (extract(epoch FROM recorded_at) * 1000000)::bigint AS recorded_at, event_id, event_type, partition,
    "offset" AS position, state::text
  FROM everwhen.aircraft__1_versions
) TO STDOUT (FORMAT csv, HEADER)
"""
Ties: TypeAlias = Literal["before", "within"]
"""When the last of several events at one instant is found, as ``ASOF`` takes any: before the clock starts or within."""


class Peer:
    """DuckDB, with the versions in Parquet files.

    :param connection: to the store that is exported.
    :raises Unavailable: if it cannot be had.
    """

    def __init__(self, rig: Rig, connection: psycopg.Connection[Any], pairs: Sequence[tuple[str, datetime]]) -> None:
        ENVIRONMENT.prepare()
        self.version = ENVIRONMENT.version("duckdb")
        self._export, self._pairs = rig.file(".csv"), rig.file(".csv")
        with self._export.open("wb") as file, connection.cursor().copy(_EXPORT) as copy:
            for block in copy:
                file.write(block)
        with self._pairs.open("w", newline="") as text:
            lines = csv.writer(text)
            lines.writerow(["n", "entity_id", "valid_at"])
            for place, (entity_id, valid_at) in enumerate(pairs):
                lines.writerow([place, entity_id, to_micros(valid_at, "valid_at")])

    def join(self, ties: Ties) -> tuple[float, str]:
        """Return how many seconds it took, and a digest of the answers."""
        worker = str(_HERE / "asof_worker.py")
        seconds, digest = json.loads(ENVIRONMENT.run(worker, str(self._export), str(self._pairs), ties))
        return seconds, digest


def digest(answers: Iterable[Answer[Any]]) -> str:
    """Return the digest that DuckDB's answers must have."""
    found = hashlib.sha256()
    for answer in answers:
        state = None if answer.state is None else answer.state.model_dump_json()
        valid_from = None if answer.valid_from is None else to_micros(answer.valid_from, "valid_from")
        found.update(f"{valid_from} {answer.event_id} {state}\n".encode())
    return found.hexdigest()
