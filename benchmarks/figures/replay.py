"""One entity with 2,000 versions: a seek against replaying its stream."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from statistics import median
from typing import Final

from examples.flights.model import aircraft

from benchmarks.entities import FIRST, STEP, Place, in_order
from benchmarks.harness.benchmark import Benchmark
from benchmarks.harness.figure import Cannot, Outcome, Promise, at_least
from benchmarks.harness.machine import versions
from benchmarks.harness.rig import Rig
from benchmarks.harness.turns import in_turns
from benchmarks.limits.ask import analyze
from benchmarks.peers import replay
from everwhen import Reader
from everwhen.instants import from_micros
from everwhen.sql import SqlStore

VERSIONS: Final = 2_000
ASKED: Final = 500
"""Times in a turn; the peer a fiftieth of that."""

REPLAY: Final = Promise(
    "get_vs_replay",
    f"an entity at version {VERSIONS:,}, on PostgreSQL, p50",
    "us",
    at_least(200),
    f"`eventsourcing`: `repository.get(version={VERSIONS})`",
    "`Reader.get`",
)
CANNOT: Final = (
    Cannot("eventsourcing", "what was true at an instant", "the past is asked for by version number only"),
    Cannot("eventsourcing", "a late event", "a version is numbered when it is saved; nothing can be put before it"),
)


def measure(rig: Rig) -> Iterator[Outcome]:
    """Ask both."""
    with rig.database() as store, rig.database() as other:
        peer = replay.Peer(other)
        with closing(SqlStore(store)) as opened:
            Place(opened).fill("deep", in_order(VERSIONS))
        analyze(store)
        with Reader(aircraft, store) as reader:
            at = from_micros(FIRST + (VERSIONS - 1) * STEP)

            def get() -> replay.Replayed:
                taken = []
                for _ in range(ASKED):
                    began = time.perf_counter()
                    answer = reader.get("deep", valid_at=at)
                    taken.append(time.perf_counter() - began)
                    if answer.require().departures != VERSIONS:
                        raise AssertionError(f"not version {VERSIONS}: {answer}")
                return replay.Replayed(median(taken) * 1e6, 0)

            found = in_turns({"replay": lambda: peer.get(VERSIONS, ASKED // 50), "get": get}, rig.rounds)
    snapshots = median(a.from_snapshot / b.whole for a, b in zip(found["replay"], found["get"], strict=True))
    yield REPLAY.measured(
        [each.whole for each in found["replay"]],
        [each.whole for each in found["get"]],
        versions=versions(["psycopg"], PostgreSQL=rig.postgres_version, eventsourcing=replay.version()),
        note=f"with its snapshots every 100 versions, and one at the version that is asked for: {snapshots:.0f}",
    )


BENCHMARK = Benchmark((REPLAY,), measure, CANNOT)
