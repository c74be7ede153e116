"""The domain of the torture: lists of items, so that loss, doubling and reordering all show in the state."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Self

from pydantic import BaseModel, model_validator

from everwhen import Event, Projection, Topic
from everwhen.event import contracts

PARTITIONS = 4
PROJECTION = "torture"


class Moments:
    """What happens while a record is decoded or folded; a worker that is to be killed there puts its own in."""

    reached: Callable[[str], None] = staticmethod(lambda _phase: None)


class Added(Event, type="torture.added"):
    """Adds an item; the first one, or one after a deletion, begins a list."""

    item: str
    weight: float | None = None

    @model_validator(mode="after")
    def _decoded(self) -> Self:
        Moments.reached("P2")
        return self


class Replaced(Event, type="torture.replaced"):
    """Puts one item in the place of all, so that a fold converges after a late event."""

    item: str


class Deleted(Event, type="torture.deleted"):
    """Deletes the entity."""


class Ignored(Event, type="torture.ignored"):
    """Is not folded."""


class Items(BaseModel):
    """The items in the order of valid time."""

    items: list[str] = []


EVENTS = (Added, Replaced, Deleted, Ignored)


def topic(name: str, schemas: Path) -> Topic:
    """Make the topic; :func:`write_contracts` must have been called once."""
    return Topic(name, events=EVENTS, schemas=schemas, partitions=PARTITIONS)


def write_contracts(schemas: Path) -> None:
    """Write the contract files."""
    contracts.write(schemas, EVENTS)


def projection(source: Topic) -> Projection[Items]:
    """Make the projection."""
    made = Projection(PROJECTION, version=1, topic=source, state=Items, ignore=[Ignored])

    @made.on(Added)
    def added(state: Items | None, event: Added) -> Items:
        Moments.reached("P3")
        return Items(items=[*(state.items if state else []), event.item])

    @made.on(Replaced)
    def replaced(state: Items | None, event: Replaced) -> Items:
        return Items(items=[event.item])

    @made.on(Deleted)
    def deleted(state: Items | None, event: Deleted) -> None:
        return None

    return made
