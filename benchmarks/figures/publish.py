"""Publishing: a publisher, and the same records sent by hand."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from itertools import count
from typing import Final, TypeAlias

from examples.flights.model import SCHEMAS, Cancelled, Departed, Landed

from benchmarks.harness.benchmark import Benchmark
from benchmarks.harness.figure import Outcome, Promise, at_least
from benchmarks.harness.machine import versions
from benchmarks.harness.rig import Rig
from benchmarks.harness.turns import in_turns
from benchmarks.limits.publish import publish as publish_by_hand
from benchmarks.workload import BEGINNING, FEW, Told, beginning
from everwhen import Publisher, Topic
from everwhen.connect import open_log

Publish: TypeAlias = Callable[[str, str, list[Told]], None]
"""Sends events to a topic of a log, and waits for their acknowledgements."""

LEAST: Final = 5
"""Rounds: each takes seconds, and how fast a broker answers differs by half from one to the next."""

PUBLISH: Final = Promise(
    "publish_vs_raw",
    "events published, each with headers and an id of its own, all acknowledged",
    "events/s",
    at_least(0.8),
    "`Publisher`",
    "`Producer.produce` and fastavro by hand (`limits/publish.py`)",
)


def measure(rig: Rig) -> Iterator[Outcome]:
    """Publish the beginning of the year, again and again to new topics."""
    told = beginning(FEW if rig.quick else BEGINNING)
    numbers = count(1)

    def run(publish: Publish, told: list[Told] = told) -> float:
        topic = f"flights-{next(numbers)}"
        with closing(open_log(rig.log)) as log:
            log.create_topic(topic, 4)
        began = time.perf_counter()
        publish(rig.log, topic, told)
        seconds = time.perf_counter() - began
        rig.delete_topic(topic)
        return len(told) / seconds

    run(_by_hand, told[:1_000])  # a broker that has just started is slow to give its first idempotent producer an id
    gc.freeze()  # the events themselves are nobody's garbage
    sides: dict[str, Callable[[], float]] = {"publisher": partial(run, _publish), "by hand": partial(run, _by_hand)}
    found = in_turns(sides, rig.rounds_of_short(LEAST))
    gc.unfreeze()
    yield PUBLISH.measured(
        found["publisher"],
        found["by hand"],
        versions=versions(["confluent-kafka", "fastavro", "pydantic"], Kafka=rig.kafka_version),
        note=f"{len(told):,} events",
    )


def _publish(log: str, topic: str, told: list[Told]) -> None:
    there = Topic(topic, events=[Departed, Landed, Cancelled], schemas=SCHEMAS)
    with Publisher(there, log) as publisher:
        for entity_id, event, occurred_at in told:
            publisher.publish(entity_id, event, occurred_at=occurred_at)


def _by_hand(log: str, topic: str, told: list[Told]) -> None:
    publish_by_hand(log.removeprefix("kafka://"), topic, f"/{topic}", SCHEMAS, told)


BENCHMARK = Benchmark((PUBLISH,), measure)
