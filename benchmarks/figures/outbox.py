"""From an outbox in PostgreSQL to the log: how fast one relay moves events."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final

from benchmarks.harness.benchmark import Benchmark
from benchmarks.harness.figure import Outcome, Promise, at_least
from benchmarks.harness.machine import versions
from benchmarks.harness.process import alone, together
from benchmarks.harness.rig import Rig
from benchmarks.outbox import prepare, topic_of, write
from everwhen.connect import Relay, open_log

EVENTS: Final = 25_000
FEW: Final = 2_000
WRITERS: Final = 2
TOGETHER: Final = 500
"""Events of a transaction: filling the outbox is not what is measured."""

RELAY: Final = Promise(
    "relay_rate",
    "events moved from PostgreSQL to Kafka, each acknowledged and then marked as sent",
    "events/s",
    at_least(5_000),
    "`everwhen relay`, one process",
)


def measure(rig: Rig) -> Iterator[Outcome]:
    """Fill an outbox, and let one relay empty it."""
    number = FEW if rig.quick else EVENTS
    names = count(1)
    rates = [_round(rig, f"outbox-{next(names)}", number) for _ in range(rig.rounds)]
    used = versions(
        ["confluent-kafka", "SQLAlchemy", "psycopg"], Kafka=rig.kafka_version, PostgreSQL=rig.postgres_version
    )
    yield RELAY.measured(
        rates, versions=used, note=f"{number:,} events of {WRITERS},000 entities, about 100 bytes each"
    )


def _round(rig: Rig, name: str, number: int) -> float:
    schemas = rig.file(".schemas")
    with closing(open_log(rig.log)) as log, rig.database() as database:
        log.create_topic(name, 4)
        prepare(database, name, schemas)
        share = number // WRITERS
        together([partial(write, database, name, schemas, each, share, TOGETHER, False) for each in range(WRITERS)])
        rate = alone(partial(_relayed, database, name, schemas, rig.log))
        rig.delete_topic(name)
        return rate


def _relayed(database: str, name: str, schemas: Path, log: str) -> float:
    with Relay(topic_of(name, schemas), database, log) as relay:
        began = time.perf_counter()
        done = relay.run(until="end")
        return done.events / (time.perf_counter() - began)


BENCHMARK = Benchmark((RELAY,), measure)
