"""The projection of ``examples/orders`` by given/when/then, and its decisions, which need no more than calls."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from examples.orders.decide import Add, Cancel, Command, NotPlaced, Place, Refused, Ship, decide
from examples.orders.model import Added, Cancelled, Order, Placed, Shipped, evolve, order

from everwhen import Event
from everwhen.testing import at, given, retraction


def march(day: int) -> datetime:
    """A day of March 2026."""
    return datetime(2026, 3, day, tzinfo=UTC)


TOLD = given(order, at(march(1), Placed(customer="ada")), at(march(2), Added(article="tea", quantity=2)))
OPEN = Order(customer="ada", placed_at=march(1), articles={"tea": 2}, version=2)


def test_what_is_added_is_wanted_once() -> None:
    """However often and in whichever order a log delivers it."""
    TOLD.then(OPEN)
    TOLD.when(Added(article="tea", quantity=1)).then(OPEN.model_copy(update={"articles": {"tea": 3}, "version": 3}))


def test_what_the_warehouse_tells_late_was_so_all_along() -> None:
    """The parcel left on the third, and something was added on the fourth, before anybody heard of it."""
    late = TOLD.when(at(march(4), Added(article="milk", quantity=1)), at(march(3), Shipped(carrier="bike")))
    late.then(OPEN.model_copy(update={"status": "shipped", "version": 3}), valid_at=march(3))
    late.then(None, valid_at=datetime(2026, 2, 28, tzinfo=UTC))


def test_what_should_not_have_been_said_is_gone() -> None:
    """An article that was added by mistake."""
    TOLD.when(Added(article="milk", quantity=9)).when(retraction("event-3")).then(OPEN)


def test_an_order_that_was_never_placed_is_parked() -> None:
    """Not folded into a state that nobody decided on."""
    given(order).when(Cancelled(reason="none")).then_parked("has no state here")


@pytest.mark.parametrize(
    ("state", "command", "events"),
    [
        (None, Place(customer="ada"), [Placed(customer="ada")]),
        (None, Place(customer="ada", articles={"tea": 2}), [Placed(customer="ada"), Added(article="tea", quantity=2)]),
        (OPEN, Add(article="tea", quantity=2), [Added(article="tea", quantity=2)]),
        (OPEN, Ship(carrier="bike"), [Shipped(carrier="bike")]),
        (OPEN, Cancel(reason="late"), [Cancelled(reason="late")]),
    ],
)
def test_what_can_be_had_happens(state: Order | None, command: Command, events: list[Event]) -> None:
    """A decision is its events and nothing else."""
    assert decide(state, command) == events


@pytest.mark.parametrize(
    ("state", "command", "why"),
    [
        (OPEN, Place(customer="bob"), "already"),
        (evolve(OPEN, Shipped(carrier="bike"), march(3)), Add(article="tea"), "shipped"),
        (evolve(OPEN, Cancelled(reason="late"), march(3)), Ship(carrier="bike"), "cancelled"),
        (Order(customer="ada", placed_at=march(1)), Ship(carrier="bike"), "empty"),
        (OPEN, Add(article="tea", at=datetime(2026, 2, 28, tzinfo=UTC)), "placed at 2026-03-01"),
    ],
)
def test_what_cannot_be_had_is_refused_with_the_reason(state: Order, command: Command, why: str) -> None:
    """In words for whoever asked."""
    with pytest.raises(Refused, match=why):
        decide(state, command)


def test_nothing_happens_to_an_order_that_nobody_placed() -> None:
    """Which is another answer than a refusal of what is there."""
    with pytest.raises(NotPlaced):
        decide(None, Add(article="tea"))
