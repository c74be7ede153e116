"""The whole year: one worker, two as a rebuild has them, and Kafka Streams on one thread and on two."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final

from examples.flights.data import EVENTS, events
from examples.flights.model import Aircraft, aircraft, flights
from sqlalchemy import create_engine, text

from benchmarks.harness.benchmark import Benchmark
from benchmarks.harness.figure import Cannot, Outcome, Promise, at_least, at_most
from benchmarks.harness.machine import sqlite_version, versions
from benchmarks.harness.process import alone
from benchmarks.harness.rig import Rig, Unavailable
from benchmarks.harness.turns import in_turns
from benchmarks.peers import streams
from benchmarks.places import bytes_of
from benchmarks.projecting import Run, rate, worker, workers
from benchmarks.workload import FEW, Told, publish
from everwhen import Reader
from everwhen.instants import from_micros, to_micros
from everwhen.sql.tables import tables_of

QUESTIONS: Final = 20_000
SHARES: Final = ((0, 1), (2, 3))
"""The partitions of two processes."""
STREAMS: Final = "Kafka Streams, versioned store, `exactly_once_v2`"
ONE: Final = "`Worker` on PostgreSQL, one process"
TWO: Final = "a rebuild on PostgreSQL with two processes"

ONE_THREAD: Final = Promise(
    "project_vs_kstreams_eos",
    "events folded, each version kept, exactly once",
    "events/s",
    at_least(0.9),
    ONE,
    f"{STREAMS}, one thread",
)
TWO_THREADS: Final = Promise(
    "project2_vs_kstreams2_eos", "the same by two", "events/s", at_least(1.2), TWO, f"{STREAMS}, two threads"
)
GET: Final = Promise(
    "get_sqlite_vs_kstreams",
    "states of aircraft at random instants, asked one after the other in the process that holds the store",
    "questions/s",
    at_least(3),
    "`Reader.get` on SQLite",
    f"{STREAMS}: `VersionedKeyQuery.asOf`, partition known",
)
REBUILD: Final = Promise("rebuild_rate", "what a second process adds to a rebuild", "events/s", at_least(1.7), TWO, ONE)
MEMORY: Final = Promise(
    "rss_worker_mb", "most memory of a worker over the year", "MB", at_most(250), "`Worker`, peak resident memory"
)
BYTES: Final = Promise(
    "bytes_per_event",
    "room in PostgreSQL, all tables and indexes",
    "bytes an event",
    at_most(3),
    "the store",
    "the event rows alone, without state and index",
)
CANNOT: Final = (
    Cannot("Kafka Streams", "late events", "an aggregate is put at the latest time so far; the past stays as it was"),
    Cannot("Kafka Streams", "two events in one instant", "times are milliseconds, and the second replaces the first"),
    Cannot("Kafka Streams", "what was known at an instant", "it has one axis of time"),
    Cannot("Kafka Streams", "all entities at an instant", "a versioned store is asked key by key; no query scans keys"),
    Cannot("Kafka Streams", "history for ever", "versions past the store's retention are gone, and read as null"),
)


class Year:
    """The sides, each of which keeps what its runs took.

    :param number: how many events of the year.
    """

    def __init__(self, rig: Rig, number: int) -> None:
        self._rig = rig
        self._number = number
        self.one: list[Run] = []
        self.two: list[Run] = []
        self.asked: list[float] = []
        self.store_bytes: list[float] = []
        self.row_bytes: list[float] = []
        self.one_thread: list[streams.Streamed] = []
        self.two_threads: list[streams.Streamed] = []
        told = list(islice(events(), number))
        publish(rig.log, flights, told)
        self._questions = _write_questions(rig.file(".txt"), told)
        self._seconds = 0.5 if rig.quick else 2.0
        self._file = f"sqlite:///{rig.file('.db')}"
        worker(flights.name, rig.log, self._file)

    def project(self) -> None:
        """Run one worker."""
        with self._rig.database() as store:
            self.one.append(worker(flights.name, self._rig.log, store))
            self.store_bytes.append(bytes_of(store) / self._number)
            self.row_bytes.append(_bytes_of_rows(store) / self._number)

    def rebuild(self) -> None:
        """Run two processes with the settings of a rebuild."""
        with self._rig.database() as store:
            self.two.append(workers(flights.name, self._rig.log, store, SHARES))

    def ask(self) -> None:
        """Ask a reader."""
        self.asked.append(alone(partial(_ask, self._file, self._questions, self._seconds)))

    def stream(self, peer: streams.Peer) -> None:
        """Run Kafka Streams on one thread, and ask it."""
        self.one_thread.append(peer.run(flights.name, self._number, 1, self._questions, self._seconds))

    def stream_twice(self, peer: streams.Peer) -> None:
        """Run Kafka Streams on two threads."""
        self.two_threads.append(peer.run(flights.name, self._number, 2))


def measure(rig: Rig) -> Iterator[Outcome]:
    """Project the year by all sides, everything on the same topic."""
    number = FEW if rig.quick else EVENTS
    year = Year(rig, number)
    sides: dict[str, Callable[[], None]] = {
        "worker": year.project,
        "two processes": year.rebuild,
        "Reader.get on SQLite": year.ask,
    }
    missing = ""
    try:
        peer = streams.Peer(rig)
        sides["Kafka Streams, one thread, and asOf"] = partial(year.stream, peer)
        sides["Kafka Streams, two threads"] = partial(year.stream_twice, peer)
    except Unavailable as reason:
        missing = str(reason)
    in_turns(sides, rig.rounds)
    note = f"{number:,} events"
    if missing:
        yield from (promise.missing(missing) for promise in (ONE_THREAD, TWO_THREADS, GET))
    else:
        yield from _against_streams(rig, year, note)
    yield from _our_own(rig, year, note)


def _against_streams(rig: Rig, year: Year, note: str) -> Iterator[Outcome]:
    theirs = {"Kafka": rig.kafka_version, "Kafka Streams": streams.VERSION}
    used = _server(rig) | theirs
    ones = [rate(run) for run in year.one]
    yield ONE_THREAD.measured(ones, [run.rate for run in year.one_thread], versions=used, note=note)
    twos = [rate(run) for run in year.two]
    yield TWO_THREADS.measured(twos, [run.rate for run in year.two_threads], versions=used, note=note)
    file = versions(["SQLAlchemy"], SQLite=sqlite_version(), **theirs)
    yield GET.measured(year.asked, [run.asked for run in year.one_thread], versions=file, note=note)


def _our_own(rig: Rig, year: Year, note: str) -> Iterator[Outcome]:
    used = _server(rig)
    ones, twos = ([rate(run) for run in runs] for runs in (year.one, year.two))
    yield REBUILD.measured(twos, ones, versions=used, note=note)
    yield MEMORY.measured([run.peak_mb for run in year.one], versions=used, note=note)
    yield BYTES.measured(year.store_bytes, year.row_bytes, versions=used, note=note)


def _server(rig: Rig) -> dict[str, str]:
    packages = ["confluent-kafka", "fastavro", "pydantic", "SQLAlchemy", "psycopg"]
    return versions(packages, Kafka=rig.kafka_version, PostgreSQL=rig.postgres_version)


def _write_questions(file: Path, told: Sequence[Told]) -> Path:
    """Choose aircraft and instants at random; each instant is after the aircraft's first record, so has a state."""
    chance, latest = random.Random(1), dict[str, int]()
    wanted = set(chance.sample(range(len(told)), min(QUESTIONS, len(told))))
    lines = []
    for place, (entity_id, _, occurred_at) in enumerate(told):
        at = latest[entity_id] = max(to_micros(occurred_at, "occurred_at"), latest.get(entity_id, 0))
        if place in wanted:
            lines.append(f"{entity_id} {at // 1000 + chance.randrange(600_000)}\n")
    chance.shuffle(lines)
    file.write_text("".join(lines))
    return file


def _ask(store: str, file: Path, seconds: float) -> float:
    """Ask for some seconds, unmeasured, and then for as many; return questions a second."""
    parts = [line.split() for line in file.read_text().splitlines()]
    questions = [(entity_id, from_micros(int(at) * 1000)) for entity_id, at in parts]
    with Reader(aircraft, store) as reader:
        _ask_for(reader, questions, seconds)
        return _ask_for(reader, questions, seconds)


def _ask_for(reader: Reader[Aircraft], questions: Sequence[tuple[str, datetime]], seconds: float) -> float:
    began = now = time.perf_counter()
    asked = 0
    while now - began < seconds:
        entity_id, valid_at = questions[asked % len(questions)]
        if reader.get(entity_id, valid_at=valid_at).state is None:
            raise AssertionError(f"{entity_id} was to have a state at {valid_at}")
        asked += 1
        now = time.perf_counter()
    return asked / (now - began)


def _bytes_of_rows(store: str) -> int:
    """Return what the event rows would take alone: their columns but the state, and no index."""
    columns = ", ".join(f'"{column.name}"' for column in tables_of("postgresql", aircraft.name, 1).versions.c[:-1])
    engine = create_engine(store)
    try:
        with engine.begin() as connection:
            make = f"CREATE UNLOGGED TABLE bare AS SELECT {columns} FROM everwhen.aircraft__1_versions"
            connection.execute(text(make))
            return int(connection.execute(text("SELECT pg_relation_size('bare')")).scalar_one())
    finally:
        engine.dispose()


BENCHMARK = Benchmark((ONE_THREAD, TWO_THREADS, GET, REBUILD, MEMORY, BYTES), measure, CANNOT)
