"""What tracing costs an event: published to a local log, and projected into a SQLite store.

Three sides, taken in turns (A B C A B C …) so that what else the machine does meets all of them, and of each its best
round: a program that does not use OpenTelemetry, one that has loaded its API and set no provider, and one with a
provider that records every span and exports none.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import click
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from pydantic import BaseModel

from everwhen import Event, Projection, Publisher, Topic, Worker, tracing
from everwhen.event import contracts

_START = datetime(2026, 3, 1, tzinfo=UTC)
_ENTITIES = 1_000


class Counted(Event, type="bench.counted"):
    """Adds one."""


class Count(BaseModel):
    """How many there were."""

    number: int = 0


class Side(NamedTuple):
    """How a program uses OpenTelemetry."""

    name: str
    loaded: str
    """The module that is looked for."""
    tracer: Callable[[str], trace.Tracer]


SIDES = (
    Side("not used", "nothing.of.the.kind", trace.get_tracer),
    Side("API alone", "opentelemetry.trace", trace.get_tracer),
    Side("provider", "opentelemetry.trace", TracerProvider().get_tracer),
)


@click.command()
@click.option("--events", default=30_000, help="How many events a side and round.")
@click.option("--rounds", default=7)
def main(events: int, rounds: int) -> None:
    """Print microseconds an event, and the ratio to the side without."""
    taken: dict[str, list[tuple[float, float]]] = {side.name: [] for side in SIDES}
    for _ in range(rounds):
        for side in SIDES:
            tracing._API, trace.get_tracer = side.loaded, side.tracer  # type: ignore[misc,assignment]
            with TemporaryDirectory() as directory:
                taken[side.name].append(_measure(Path(directory), events))
    first = [min(each) for each in zip(*taken[SIDES[0].name], strict=True)]
    for name, seconds in taken.items():
        for what, own, base in zip(("publish", "project"), zip(*seconds, strict=True), first, strict=True):
            print(f"{what}\t{name}\t{min(own) / events * 1e6:.1f} us\t{min(own) / base:.3f}")


def _measure(directory: Path, events: int) -> tuple[float, float]:
    contracts.write(directory / "schemas", [Counted])
    topic = Topic("bench", events=[Counted], schemas=directory / "schemas", partitions=1)
    projection: Projection[Count] = Projection("bench", version=1, topic=topic, state=Count)
    projection.on(Counted)(_count)
    log, store = f"sqlite:///{directory}/log.db", f"sqlite:///{directory}/store.db"
    began = time.perf_counter()
    with Publisher(topic, log) as publisher:
        for n in range(events):
            publisher.publish(f"e{n % _ENTITIES}", Counted(), occurred_at=_START + timedelta(seconds=n))
    published = time.perf_counter()
    with Worker(projection, log, store) as worker:
        worker.run(until="end")
    return published - began, time.perf_counter() - published


def _count(state: Count | None, event: Counted) -> Count:
    return Count(number=(state or Count()).number + 1)


if __name__ == "__main__":
    main()
