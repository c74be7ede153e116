"""The projection of the flights with one handler changed: a cancelled flight counts twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from examples.flights.model import Aircraft, Cancelled, Departed, Landed, cancelled, departed, flights, landed

from everwhen import Projection

count_once: Callable[[Any, Cancelled], Any] = cancelled

aircraft = Projection("aircraft", version=2, topic=flights, state=Aircraft)
aircraft.on(Departed)(departed)
aircraft.on(Landed)(landed)


@aircraft.on(Cancelled)
def cancelled_twice(state: Aircraft | None, event: Cancelled) -> Aircraft:
    """Count it twice."""
    counted: Aircraft = count_once(state, event)
    counted.cancellations += 1
    return counted
