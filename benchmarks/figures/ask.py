"""One entity at one instant: `Reader.get` against the bare statement, against a round trip, and at any depth."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from itertools import islice
from statistics import median
from typing import Any, Final, NamedTuple, TypeAlias

from examples.flights.data import EVENTS, events
from examples.flights.model import aircraft

from benchmarks.entities import FIRST, STEP, Place, in_order
from benchmarks.filled import fill
from benchmarks.harness.benchmark import Benchmark
from benchmarks.harness.figure import Outcome, Promise, at_most
from benchmarks.harness.machine import sqlite_version, versions
from benchmarks.harness.pinned import pinned
from benchmarks.harness.rig import Rig
from benchmarks.limits import ask
from benchmarks.workload import BEGINNING, FEW
from everwhen import Answer, Reader
from everwhen.instants import from_micros, to_micros
from everwhen.sql import SqlStore

Question: TypeAlias = tuple[str, datetime]
Side: TypeAlias = Callable[[str, datetime], Any]

BLOCK: Final = 500
"""Questions of one side in a turn."""
ROUNDS: Final = 15
QUICK_ROUNDS: Final = 3
BIG, SMALL = 1_000_000, 100
"""Versions of an entity."""
CHECKED: Final = 300
"""Answers of both sides that are compared."""
GET: Final = "`Reader.get`"
L3: Final = "the one statement, prepared, on one connection of the driver"

POSTGRES: Final = Promise("get_pg_vs_sql", "p50 on PostgreSQL", "us", at_most(1.5), GET, L3)
SLOWEST: Final = Promise("get_pg_vs_sql_p99", "p99 of the same", "us", at_most(2), GET, L3)
ROUND_TRIP: Final = Promise(
    "get_vs_select1", "p50 on PostgreSQL", "us", at_most(3), GET, "`select 1` on one connection"
)
SQLITE: Final = Promise("get_sqlite_vs_sql", "p50 on SQLite", "us", at_most(3), GET, L3)
FLAT: Final = tuple(
    Promise(
        f"get_flat{suffix}",
        f"p50 of `Reader.get` on {kind}, by versions of the entity",
        "us",
        at_most(1.3),
        f"{BIG:,} versions",
        f"{SMALL} versions",
    )
    for suffix, kind in (("", "PostgreSQL"), ("_sqlite", "SQLite"))
)


class Percentiles(NamedTuple):
    """What questions of one turn took, in microseconds."""

    p50: float
    p99: float


def measure(rig: Rig) -> Iterator[Outcome]:
    """Ask PostgreSQL, SQLite, and both about entities of different sizes."""
    with rig.database() as store:
        yield from _postgres(rig, store)
    yield from _sqlite(rig, f"sqlite:///{rig.file('.db')}")
    with rig.database() as store:
        yield _flat(rig, FLAT[0], store, versions(["psycopg"], PostgreSQL=rig.postgres_version))
    yield _flat(rig, FLAT[1], f"sqlite:///{rig.file('.db')}", versions(SQLite=sqlite_version()))


def _postgres(rig: Rig, store: str) -> Iterator[Outcome]:
    questions = _filled(store, FEW if rig.quick else EVENTS)
    with Reader(aircraft, store) as reader, ask.connect(store) as connection:
        connection.execute("VACUUM ANALYZE")
        bare = ask.postgres(connection)
        for entity_id, valid_at in questions[:CHECKED]:
            _compare(reader.get(entity_id, valid_at=valid_at), _of_postgres(bare(entity_id, valid_at)))
        sides = {"get": _get(reader), "sql": bare, "one": ask.select_one(connection)}
        found = _turns(sides, questions, _rounds(rig))
        servers = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'"
        )
        with pinned(*[process for (process,) in servers.fetchall()]) as alone:
            together = _turns(sides, questions, 3) if alone else None
    versions_ = versions(["psycopg"], PostgreSQL=rig.postgres_version)

    def outcome(promise: Promise, side: str, part: int) -> Outcome:
        note = ""
        if together is not None:
            ratio = median(a[part] / b[part] for a, b in zip(together["get"], together[side], strict=True))
            note = f"with client and server on one core: {ratio:.2f}"
        return promise.measured(
            [each[part] for each in found["get"]],
            [each[part] for each in found[side]],
            versions=versions_,
            note=note,
        )

    yield outcome(POSTGRES, "sql", 0)
    yield outcome(SLOWEST, "sql", 1)
    yield outcome(ROUND_TRIP, "one", 0)


def _sqlite(rig: Rig, store: str) -> Iterator[Outcome]:
    questions = _filled(store, FEW if rig.quick else BEGINNING)
    connection, bare = ask.sqlite(store.removeprefix("sqlite:///"))
    instants = {valid_at: to_micros(valid_at, "valid_at") for _, valid_at in questions}
    with Reader(aircraft, store) as reader, closing(connection):
        for entity_id, valid_at in questions[:CHECKED]:
            _compare(reader.get(entity_id, valid_at=valid_at), bare(entity_id, instants[valid_at]))
        sides: dict[str, Side] = {"get": _get(reader), "sql": lambda entity_id, at: bare(entity_id, instants[at])}
        found = _turns(sides, questions, _rounds(rig))
    get, sql = ([each.p50 for each in found[side]] for side in sides)
    yield SQLITE.measured(get, sql, versions=versions(SQLite=sqlite_version()))


def _flat(rig: Rig, promise: Promise, store: str, versions_: Mapping[str, str]) -> Outcome:
    big = BIG // 50 if rig.quick else BIG
    with closing(SqlStore(store)) as opened:
        place = Place(opened)
        place.fill("small", in_order(SMALL))
        place.fill("big", in_order(big))
    if store.startswith("postgresql"):
        ask.analyze(store)
    lots = random.Random(5)
    # Of the big one a stretch that the cache holds: what is compared is the depth of the tree, and not the disk.
    stretch = lots.sample(range(big), BLOCK)
    moments = {"big": stretch, "small": [lots.randrange(SMALL) for _ in range(BLOCK)]}
    with Reader(aircraft, store) as reader:
        get = _get(reader)

        def asking(name: str) -> Callable[[], Percentiles]:
            questions = [(name, from_micros(FIRST + minute * STEP)) for minute in moments[name]]
            return lambda: _timed(get, questions)

        sides = {name: asking(name) for name in moments}
        found: dict[str, list[float]] = {name: [] for name in sides}
        for turn in range(_rounds(rig) + 1):
            for name in list(sides)[:: 1 if turn % 2 else -1]:
                taken = sides[name]().p50
                if turn:  # the first one fills caches
                    found[name].append(taken)
    return promise.measured(found["big"], found["small"], versions=versions_, note="rows in the database's cache")


def _filled(store: str, number: int) -> list[Question]:
    """Fill a store, and return questions about aircraft that are in it."""
    with closing(SqlStore(store)) as opened:
        fill(opened, events_at_most=number)
    told = [(entity_id, happened) for entity_id, _, happened in islice(events(), number)]
    lots, first, last = random.Random(11), told[0][1], told[-1][1]
    names = sorted({entity_id for entity_id, _ in told})
    chosen = (lots.choice(names) for _ in range(4 * BLOCK))
    return [(name, from_micros(to_micros(first, "") + int(lots.random() * _micros(last - first)))) for name in chosen]


def _rounds(rig: Rig) -> int:
    return QUICK_ROUNDS if rig.quick else ROUNDS


def _micros(length: Any) -> int:
    return int(length.total_seconds() * 1e6)


def _get(reader: Reader[Any]) -> Side:
    return lambda entity_id, valid_at: reader.get(entity_id, valid_at=valid_at)


def _turns(sides: Mapping[str, Side], questions: Sequence[Question], rounds: int) -> dict[str, list[Percentiles]]:
    """Let the sides take turns of many questions; every other round goes backwards."""
    found: dict[str, list[Percentiles]] = {name: [] for name in sides}
    for turn in range(rounds + 1):
        begin = turn * BLOCK % len(questions)
        some = questions[begin : begin + BLOCK]
        for name in list(sides)[:: 1 if turn % 2 else -1]:
            taken = _timed(sides[name], some)
            if turn:  # the first one prepares statements and fills caches
                found[name].append(taken)
    return found


def _timed(side: Side, questions: Sequence[Question]) -> Percentiles:
    clock, taken = time.perf_counter, []
    for question in questions:
        began = clock()
        side(*question)
        taken.append(clock() - began)
    taken.sort()
    return Percentiles(taken[len(taken) // 2] * 1e6, taken[len(taken) * 99 // 100] * 1e6)


def _compare(answer: Answer[Any], row: tuple[Any, ...] | None) -> None:
    """Stop if the two sides do not say the same."""
    if row is None or answer.position is None or answer.state is None:
        if answer.state is not None or (row is not None and row[0] is not None):
            raise AssertionError(f"the answers differ: {answer}")
        return
    ours = (
        answer.state.model_dump_json(),
        _instant(answer.valid_from),
        _instant(answer.recorded_at),
        answer.event_id,
        answer.event_type,
        answer.position.partition,
        answer.position.offset,
        _instant(answer.valid_to),
    )
    if ours != row[:8]:
        raise AssertionError(f"the answers differ: {ours} and {row[:8]}")


def _instant(instant: datetime | None) -> int | None:
    return None if instant is None else to_micros(instant, "instant")


def _of_postgres(row: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
    return None if row is None else tuple(_instant(each) if isinstance(each, datetime) else each for each in row)


BENCHMARK = Benchmark((POSTGRES, SLOWEST, ROUND_TRIP, SQLITE, *FLAT), measure)
