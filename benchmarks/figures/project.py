"""Projecting by one process: a worker, and what does the same, or less, by hand or with another library."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final

from benchmarks.harness.benchmark import Benchmark
from benchmarks.harness.figure import Cannot, Outcome, Promise, at_least
from benchmarks.harness.machine import sqlite_version, versions
from benchmarks.harness.rig import Rig, Unavailable
from benchmarks.harness.turns import in_turns
from benchmarks.peers import quix, replay
from benchmarks.projecting import limit, rate, worker
from benchmarks.workload import BEGINNING, FEW, Told, beginning, part, publish

SAVED: Final = 40_000
"""Events that eventsourcing writes, which takes it some seconds."""
SAVED_QUICKLY: Final = 2_000
WORKER: Final = "`Worker` on PostgreSQL, one process"
POSTGRES: Final = Promise(
    "project_pg_vs_raw",
    "events projected into PostgreSQL, the same rows on both sides",
    "events/s",
    at_least(0.8),
    WORKER,
    "consumer, fastavro, pydantic and `COPY` by hand (`limits/postgres.py`)",
)
SQLITE: Final = Promise(
    "project_sqlite_vs_raw",
    "the same into SQLite",
    "events/s",
    at_least(0.8),
    "`Worker` on SQLite, one process",
    "the same by hand (`limits/sqlite.py`)",
)
QUIX: Final = Promise(
    "project_vs_quix",
    "events folded, exactly once",
    "events/s",
    at_least(1.2),
    WORKER,
    "Quix Streams, stateful `apply`, one process",
)
HISTORY: Final = Promise(
    "history_cost",
    "what keeping history costs",
    "events/s",
    at_least(0.6),
    WORKER,
    "the latest state of each entity only, by hand (`limits/latest.py`)",
)
SAVING: Final = Promise(
    "project_vs_eventsourcing",
    "events kept so that every version can be asked for",
    "events/s",
    at_least(1.2),
    WORKER,
    f"`eventsourcing` on PostgreSQL: `save`, 100 events of an aircraft at a time; {SAVED:,} of the busiest aircraft",
)
LEAST: Final = 4
"""Rounds: each side runs for a few seconds only, in which the machine may do something else."""
CANNOT: Final = (
    Cannot("Quix Streams", "state at an instant", "a state is a key's latest value"),
    Cannot("Quix Streams", "asking from outside", "state is read inside the callback, for the key that is processed"),
    Cannot("Quix Streams", "late events", "they are folded last, wherever they belong"),
)


def measure(rig: Rig) -> Iterator[Outcome]:
    """Project the beginning of the year, everything on the same topic."""
    number = FEW if rig.quick else BEGINNING
    told = beginning(number)
    publish(rig.log, part, told)

    def on_postgres(run: Callable[[str], float]) -> float:
        with rig.database() as store:
            return run(store)

    def on_sqlite(run: Callable[[str], float]) -> float:
        return run(f"sqlite:///{rig.file('.db')}")

    def by_worker(store: str) -> float:
        return rate(worker(part.name, rig.log, store))

    def by_hand(kind: str, store: str) -> float:
        return limit(kind, part.name, rig.log, store, number)

    sides: dict[str, Callable[[], float]] = {
        "worker, PostgreSQL": partial(on_postgres, by_worker),
        "by hand, PostgreSQL": partial(on_postgres, partial(by_hand, "postgresql")),
        "latest, PostgreSQL": partial(on_postgres, partial(by_hand, "latest")),
        "worker, SQLite": partial(on_sqlite, by_worker),
        "by hand, SQLite": partial(on_sqlite, partial(by_hand, "sqlite")),
    }
    try:
        peer = quix.Peer(rig)
        sides["Quix"] = partial(peer.rate, part.name, number)
    except Unavailable as reason:
        yield QUIX.missing(str(reason))
    try:
        replay.ENVIRONMENT.prepare()
        saved = _busiest(told, SAVED_QUICKLY if rig.quick else SAVED)
        sides["eventsourcing"] = partial(on_postgres, _saving(rig, saved))
    except Unavailable as reason:
        yield SAVING.missing(str(reason))
    found = in_turns(sides, rig.rounds_of_short(LEAST))
    note = f"{number:,} events"
    common = ["confluent-kafka", "fastavro", "pydantic", "SQLAlchemy", "psycopg"]
    server = versions(common, Kafka=rig.kafka_version, PostgreSQL=rig.postgres_version)
    ours = found["worker, PostgreSQL"]
    yield POSTGRES.measured(ours, found["by hand, PostgreSQL"], versions=server, note=note)
    file = versions(common[:-1], Kafka=rig.kafka_version, SQLite=sqlite_version())
    yield SQLITE.measured(found["worker, SQLite"], found["by hand, SQLite"], versions=file, note=note)
    if "Quix" in found:
        yield QUIX.measured(ours, found["Quix"], versions=server | {"Quix Streams": peer.version}, note=note)
    yield HISTORY.measured(ours, found["latest, PostgreSQL"], versions=server, note=note)
    if "eventsourcing" in found:
        theirs = {"eventsourcing": replay.version()}
        yield SAVING.measured(ours, found["eventsourcing"], versions=server | theirs, note=note)


def _saving(rig: Rig, told: Sequence[Told]) -> Callable[[str], float]:
    """Return what has eventsourcing write events to a database, and gives events a second."""
    file = rig.file(".jsonl")
    replay.write_events(file, told)
    return lambda store: len(told) / replay.Peer(store).write(file)


def _busiest(told: Sequence[Told], number: int) -> list[Told]:
    """Take so many events of the aircraft that have the most, so that there are many to be saved at a time."""
    events = Counter(entity_id for entity_id, _, _ in told)
    ordered = sorted(told, key=lambda each: (-events[each[0]], each[0]))  # stable, so each aircraft's keep their order
    return ordered[:number]


BENCHMARK = Benchmark((POSTGRES, SQLITE, QUIX, HISTORY, SAVING), measure, CANNOT)
