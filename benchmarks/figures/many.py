"""All aircraft at one instant, and many points at once, against hand-written SQL and DuckDB."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from examples.flights.data import EVENTS
from examples.flights.model import aircraft

from benchmarks.filled import fill
from benchmarks.harness.benchmark import Benchmark
from benchmarks.harness.figure import Cannot, Outcome, Promise, at_least
from benchmarks.harness.machine import versions
from benchmarks.harness.rig import Rig, Unavailable
from benchmarks.harness.turns import in_turns
from benchmarks.limits import many
from benchmarks.limits.ask import connect
from benchmarks.peers import asof
from benchmarks.workload import FEW
from everwhen import Answer, Reader
from everwhen.sql import SqlStore

BEGIN: Final = datetime(2013, 1, 1, tzinfo=UTC)
PAIRS: Final = 100_000
SNAPSHOTS: Final = 5
"""In a turn."""
LEAST: Final = 5
"""Rounds: they are short, and client and server share two cores with all else that the machine does."""
SQL: Final = "the best hand-written SQL, as tuples of the driver"

SNAPSHOT: Final = Promise(
    "snapshot_rate", "all aircraft at one instant, on PostgreSQL", "rows/s", at_least(0.8), "`Reader.snapshot`", SQL
)
JOIN: Final = Promise(
    "join_vs_sql",
    f"{PAIRS:,} pairs of aircraft and instant, on PostgreSQL",
    "rows/s",
    at_least(0.8),
    "`Reader.join`",
    SQL,
)
DUCKDB: Final = Promise(
    "join_vs_duckdb",
    "the same against an export to Parquet, of several events at one instant only the last",
    "rows/s",
    at_least(0.7),
    "`Reader.join`",
    "DuckDB `ASOF JOIN`, as tuples",
)
DUCKDB_TIES: Final = Promise(
    "join_vs_duckdb_ties",
    "the same against an export of all versions: the last of several events at one instant is found in the query",
    "rows/s",
    at_least(0.7),
    "`Reader.join`",
    "DuckDB `ASOF JOIN`, as tuples",
)
CANNOT: Final = (
    Cannot("DuckDB", "what is projected now", "it joins an export, which is as old as it is"),
    Cannot("DuckDB", "what was known at an instant", "`ASOF JOIN` has one axis of time"),
)


def measure(rig: Rig) -> Iterator[Outcome]:
    """Fill a store with the year, and ask it."""
    with rig.database() as store:
        with closing(SqlStore(store)) as opened:
            fill(opened, events_at_most=FEW if rig.quick else EVENTS)
        with Reader(aircraft, store) as reader, connect(store) as connection:
            connection.execute("VACUUM ANALYZE")
            yield from _measure(rig, reader, connection)


def _measure(rig: Rig, reader: Reader[Any], connection: Any) -> Iterator[Outcome]:
    names = [row[0] for row in connection.execute("SELECT entity_id FROM everwhen.aircraft__1_entities").fetchall()]
    lots, days = random.Random(5), 10 if rig.quick else 365
    number = PAIRS // 20 if rig.quick else PAIRS
    pairs = [(lots.choice(names), BEGIN + timedelta(seconds=lots.randrange(days * 86_400))) for _ in range(number)]
    middle = BEGIN + timedelta(days=days / 2)
    answers = list(reader.join(pairs))
    _compare(answers, many.join(connection, pairs))
    wanted = asof.digest(answers)
    del answers  # as a caller lets go of them
    aircraft_then = list(reader.snapshot(valid_at=middle))
    _compare(aircraft_then, many.snapshot(connection, middle))
    digests: list[str] = []
    sides: dict[str, Callable[[], float]] = {
        "Reader.snapshot": lambda: _rate(lambda: list(reader.snapshot(valid_at=middle)), SNAPSHOTS),
        "SQL, snapshot": lambda: _rate(lambda: many.snapshot(connection, middle), SNAPSHOTS),
        "Reader.join": lambda: _rate(lambda: list(reader.join(pairs)), 1),
        "SQL, join": lambda: _rate(lambda: many.join(connection, pairs), 1),
    }
    missing = ""
    try:
        peer = asof.Peer(rig, connection, pairs)
        sides["DuckDB"] = lambda: _rate_of(peer, "before", number, digests)
        sides["DuckDB, ties"] = lambda: _rate_of(peer, "within", number, digests)
    except Unavailable as reason:
        missing = str(reason)
    found = in_turns(sides, rig.rounds_of_short(LEAST))
    versions_ = versions(["psycopg"], PostgreSQL=rig.postgres_version)
    rows = f"{len(aircraft_then):,} rows; each of ours has a validated state, its basis and its status"
    yield SNAPSHOT.measured(found["Reader.snapshot"], found["SQL, snapshot"], versions=versions_, note=rows)
    yield JOIN.measured(found["Reader.join"], found["SQL, join"], versions=versions_)
    if missing:
        yield from (promise.missing(missing) for promise in (DUCKDB, DUCKDB_TIES))
        return
    if set(digests) != {wanted}:
        raise AssertionError("DuckDB's answers differ from ours")
    versions_ |= {"DuckDB": peer.version}
    yield DUCKDB.measured(found["Reader.join"], found["DuckDB"], versions=versions_)
    yield DUCKDB_TIES.measured(found["Reader.join"], found["DuckDB, ties"], versions=versions_)


def _rate(work: Callable[[], list[Any]], times: int) -> float:
    began = time.perf_counter()
    rows = sum(len(work()) for _ in range(times))
    return rows / (time.perf_counter() - began)


def _rate_of(peer: asof.Peer, ties: asof.Ties, pairs: int, digests: list[str]) -> float:
    seconds, digest = peer.join(ties)
    digests.append(digest)
    return pairs / seconds


def _compare(answers: list[Answer[Any]], rows: list[tuple[Any, ...]]) -> None:
    """Stop if the two sides do not say the same."""
    for answer, row in zip(answers, rows, strict=True):
        state = None if answer.state is None else answer.state.model_dump_json()
        # Where no version is valid yet, an answer says nothing of the next one.
        next_begin = row[2] if row[1] is not None else None
        ours = (answer.valid_from, answer.valid_to, answer.recorded_at, answer.event_id, state)
        if ours != (row[1], next_begin, row[3], row[4], row[8]):
            raise AssertionError(f"the answers differ: {answer} and {row}")


BENCHMARK = Benchmark((SNAPSHOT, JOIN, DUCKDB, DUCKDB_TIES), measure, CANNOT)
