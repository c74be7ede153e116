"""The topic ``flights`` and the projection ``aircraft``."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from everwhen import Event, Projection, Topic

SCHEMAS = Path(__file__).parents[2] / "schemas" / "flights"


class Flight(Event):
    """What all three events say. It has no type of its own, so it cannot be published."""

    carrier: str
    flight: int
    origin: str
    dest: str


class Departed(Flight, type="flight.departed"):
    """An aircraft took off."""


class Landed(Flight, type="flight.landed"):
    """An aircraft came down at ``dest``."""

    distance: int
    """Miles."""
    air_time: int
    """Minutes."""


class Cancelled(Flight, type="flight.cancelled"):
    """A planned flight did not take place."""


flights = Topic("flights", events=[Departed, Landed, Cancelled], schemas=SCHEMAS, partitions=4)


class Aircraft(BaseModel):
    """What is known of an aircraft at an instant."""

    airport: str | None = None
    """Where it stands; ``None`` in the air, and before anything is known."""
    carrier: str
    departures: int = 0
    landings: int = 0
    cancellations: int = 0
    miles: int = 0
    airborne_minutes: int = 0


aircraft = Projection("aircraft", version=1, topic=flights, state=Aircraft)


@aircraft.on(Departed)
def departed(state: Aircraft | None, event: Departed) -> Aircraft:
    """It stands nowhere now."""
    state = state or Aircraft(carrier=event.carrier)
    state.airport, state.carrier = None, event.carrier
    state.departures += 1
    return state


@aircraft.on(Landed)
def landed(state: Aircraft | None, event: Landed) -> Aircraft:
    """It stands at its destination, and has flown that far."""
    state = state or Aircraft(carrier=event.carrier)
    state.airport, state.carrier = event.dest, event.carrier
    state.landings += 1
    state.miles += event.distance
    state.airborne_minutes += event.air_time
    return state


@aircraft.on(Cancelled)
def cancelled(state: Aircraft | None, event: Cancelled) -> Aircraft:
    """It stays where it is."""
    state = state or Aircraft(carrier=event.carrier)
    state.carrier = event.carrier
    state.cancellations += 1
    return state
