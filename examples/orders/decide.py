"""What is asked of an order, and what comes of it: pure functions, without a database and without a clock."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, TypeAlias

from pydantic import AwareDatetime, BaseModel, Field

from everwhen import Event
from examples.orders.model import Added, Cancelled, Order, Placed, Shipped

Name: TypeAlias = Annotated[str, Field(min_length=1, max_length=100)]
Quantity: TypeAlias = Annotated[int, Field(ge=1, le=1_000_000)]


class Command(BaseModel):
    """Something that somebody wants."""

    at: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC))
    """When it was so in the world; now if left out. A warehouse may tell in the evening what left at noon."""


class Place(Command):
    """Order some articles."""

    customer: Name
    articles: dict[Name, Quantity] = {}


class Add(Command):
    """Want more of an article."""

    article: Name
    quantity: Quantity = 1


class Ship(Command):
    """Give it to a carrier."""

    carrier: Name


class Cancel(Command):
    """Want nothing any more."""

    reason: Name


class Refused(Exception):
    """What is asked for cannot be had, and why."""


class NotPlaced(Refused):
    """There is no such order."""


def decide(state: Order | None, command: Command) -> list[Event]:
    """Return what happens, at least one event.

    :param state: the order as it is; ``None`` if it was never placed.
    :raises Refused: if it cannot be.
    """
    if isinstance(command, Place):
        return _place(state, command)
    if state is None:
        raise NotPlaced("there is no such order; place it first")
    if state.status != "open":
        raise Refused(f"the order is {state.status}")
    if command.at < state.placed_at:  # its projection could not apply what comes before the first event
        raise Refused(f"the order was placed at {state.placed_at.isoformat()} only")
    match command:
        case Add():
            return [Added(article=command.article, quantity=command.quantity)]
        case Ship():
            return _ship(state, command)
        case Cancel():
            return [Cancelled(reason=command.reason)]
    raise TypeError(f"nobody decides on {type(command).__name__}")


def _place(state: Order | None, command: Place) -> list[Event]:
    if state is not None:
        raise Refused("there is an order of this id already")
    added = (Added(article=article, quantity=quantity) for article, quantity in command.articles.items())
    return [Placed(customer=command.customer), *added]


def _ship(state: Order, command: Ship) -> list[Event]:
    if not state.articles:
        raise Refused("the order is empty")
    return [Shipped(carrier=command.carrier)]
