"""What goes with a log line as ``extra``, so that a machine need not read the message."""

from __future__ import annotations

from typing import TypedDict


class Place(TypedDict, total=False):
    """Where in the log something happened, and to whom: never what a record holds."""

    topic: str
    partition: int
    offset: int
    entity: str


def place_of(topic: str, partition: int | None = None, offset: int | None = None, entity: str | None = None) -> Place:
    """Return what is known of a place."""
    place = Place(topic=topic)
    if partition is not None:
        place["partition"] = partition
    if offset is not None:
        place["offset"] = offset
    if entity is not None:
        place["entity"] = entity
    return place
