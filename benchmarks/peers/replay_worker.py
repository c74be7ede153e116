"""Run by :mod:`benchmarks.peers.replay` in an environment of its own.

Usage: ``python replay_worker.py get SETTINGS VERSIONS TIMES``; SETTINGS are JSON. Writes one aggregate, gets it at its
last version by replaying, and from a snapshot, and prints the median of each in microseconds.

``python replay_worker.py write SETTINGS FILE`` writes the events of a file, of which each line is a JSON array of
aircraft, method and arguments, aircraft by aircraft, and prints how many seconds that took.
"""

import json
import sys
import time
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any
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
        self.departures = self.landings = self.cancellations = self.miles = self.airborne_minutes = 0

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

    @event("Cancelled")
    def cancel(self, carrier: str, flight: int, origin: str, dest: str) -> None:
        """It stays where it is."""
        self.carrier = carrier
        self.cancellations += 1


class Fleet(Application[UUID]):
    """Without snapshots."""


class FleetOfSnapshots(Application[UUID]):
    """With them."""

    is_snapshotting_enabled = True
    snapshotting_intervals = {Aircraft: EVERY}  # noqa: RUF012  # the library's own form


def get(settings: str, versions: str, times: str) -> None:
    """Measure asking by both."""
    found = [asked(kind(env=json.loads(settings)), int(versions), int(times)) for kind in (Fleet, FleetOfSnapshots)]
    print(json.dumps(found))


def asked(fleet: Application[UUID], versions: int, times: int) -> float:
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


def write(settings: str, file: str) -> None:
    """Measure writing."""
    told: dict[str, list[tuple[str, dict[str, Any]]]] = defaultdict(list)
    for line in Path(file).read_text().splitlines():
        tail, method, arguments = json.loads(line)
        told[tail].append((method, arguments))
    fleet = Fleet(env=json.loads(settings))
    began = time.perf_counter()
    for events in told.values():
        aircraft = Aircraft(carrier=events[0][1]["carrier"])
        for method, arguments in events:
            getattr(aircraft, method)(**arguments)
            if len(aircraft.pending_events) >= AT_ONCE:
                fleet.save(aircraft)
        fleet.save(aircraft)
    print(json.dumps(time.perf_counter() - began))
    fleet.close()


if sys.argv[1] == "get":
    get(*sys.argv[2:])
else:
    write(*sys.argv[2:])
