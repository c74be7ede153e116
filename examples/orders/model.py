"""The topic ``orders``, the state of an order, and the projection ``order``."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from everwhen import Envelope, Event, Projection, Topic

SCHEMAS = Path(__file__).parents[2] / "schemas" / "orders"


class Placed(Event, type="order.placed"):
    """Somebody ordered."""

    customer: str


class Added(Event, type="order.added"):
    """So many more of an article are wanted."""

    article: str
    quantity: int


class Shipped(Event, type="order.shipped"):
    """The parcel left the house."""

    carrier: str


class Cancelled(Event, type="order.cancelled"):
    """Nothing is wanted any more."""

    reason: str


orders = Topic("orders", events=[Placed, Added, Shipped, Cancelled], schemas=SCHEMAS, partitions=4)


class Order(BaseModel):
    """An order at an instant: what the service decides on, and what the projection answers with."""

    customer: str
    placed_at: datetime
    articles: dict[str, int] = {}
    """How many of each."""
    status: Literal["open", "shipped", "cancelled"] = "open"
    version: int = 1
    """How many events it has had: the version in the outbox."""


def evolve(state: Order | None, event: Event, at: datetime) -> Order:
    """Return the order after an event that occurred at an instant."""
    if isinstance(event, Placed):
        return Order(customer=event.customer, placed_at=at)
    assert state is not None, "only an order that was placed goes on"
    changed = state.model_copy(update={"version": state.version + 1})
    match event:
        case Added():
            now = state.articles.get(event.article, 0) + event.quantity
            changed.articles = {**state.articles, event.article: now}
        case Shipped():
            changed.status = "shipped"
        case Cancelled():
            changed.status = "cancelled"
    return changed


order = Projection("order", version=1, topic=orders, state=Order)


def begin(state: Order | None, event: Placed, envelope: Envelope[Placed]) -> Order:
    """Fold an order's first event."""
    return evolve(state, event, envelope.occurred_at)


def go_on(state: Order, event: Event, envelope: Envelope[Event]) -> Order:
    """Fold another one; without a first one it parks the order."""
    return evolve(state, event, envelope.occurred_at)


order.on(Placed)(begin)
order.on(Added)(go_on)
order.on(Shipped)(go_on)
order.on(Cancelled)(go_on)
