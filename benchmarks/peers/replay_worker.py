"""Run by :mod:`benchmarks.peers.replay` in an environment of its own.

Usage: ``python replay_worker.py SETTINGS VERSIONS TIMES``; SETTINGS are JSON. Writes one aggregate, gets it at its last
version by replaying, and from a snapshot, and prints the median of each in microseconds.
"""

import json
import sys
import time
from statistics import median
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event

AT_ONCE = 100
"""Events in one save."""
EVERY = 100
"""Versions from one snapshot to the next."""


class Aircraft(Aggregate):
    """What `examples.flights` folds."""

    def __init__(self, carrier: str) -> None:
        self.airport: str | None = None
        self.carrier = carrier
        self.departures = self.landings = self.miles = self.airborne_minutes = 0

    @event("Departed")
    def depart(self, carrier: str, flight: int, origin: str, dest: str) -> None:
        """It stands nowhere now."""
        self.airport, self.carrier = None, carrier
        self.departures += 1

    @event("Landed")
    def land(self, carrier: str, flight: int, origin: str, dest: str, distance: int, air_time: int) -> None:
        """It stands at its destination."""
        self.airport, self.carrier = dest, carrier
        self.landings += 1
        self.miles += distance
        self.airborne_minutes += air_time


class Fleet(Application[UUID]):
    """Without snapshots."""


class FleetOfSnapshots(Application[UUID]):
    """With them."""

    is_snapshotting_enabled = True
    snapshotting_intervals = {Aircraft: EVERY}  # noqa: RUF012  # the library's own form


def main(settings: str, versions: str, times: str) -> None:
    """Measure both."""
    found = [measure(kind(env=json.loads(settings)), int(versions), int(times)) for kind in (Fleet, FleetOfSnapshots)]
    print(json.dumps(found))


def measure(fleet: Application[UUID], versions: int, times: int) -> float:
    """Return the median of asking some times, in microseconds."""
    aircraft = Aircraft(carrier="UA")
    while aircraft.version < versions:
        if aircraft.version % 2:
            aircraft.depart("UA", 1, "EWR", "ORD")
        else:
            aircraft.land("UA", 1, "EWR", "ORD", 719, 120)
        if len(aircraft.pending_events) == AT_ONCE:
            fleet.save(aircraft)
    fleet.save(aircraft)
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        got: Aircraft = fleet.repository.get(aircraft.id, version=versions)
        taken.append(time.perf_counter() - began)
        if (got.version, got.departures) != (versions, versions // 2):
            raise SystemExit(f"got version {got.version} with {got.departures} departures")
    fleet.close()
    return median(taken) * 1e6


main(*sys.argv[1:])
