"""One run on one place: what goes on side by side, then the drain and the check."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from tests.checker.anomalies import Report
from tests.checker.check import check
from tests.torture import domain, quotas
from tests.torture.groups import GroupSlot
from tests.torture.lives import Slot
from tests.torture.place import Place
from tests.torture.process import Process
from tests.torture.servers import Servers
from tests.torture.tally import Tally

_GROUP_RATE = 150.0
"""Events a second for the group: its members take small batches."""
_QUESTIONS = 24.0
"""Asked a second."""
_SLOTS = ((0, 2), (1,), (3,))
"""The partitions of the slots, together all that there are. Much of a life is waiting, so there are more than two."""
_LONGEST_DRAIN = 900.0
_DRAINED_AT_ONCE = 3000
_LONGEST_END = 900.0
_REMIND = 30.0


@dataclass(frozen=True)
class Length:
    """How long a run is.

    :ivar until_enough: end it as soon as everything is done that is owed.
    """

    seconds: float
    until_enough: bool


class Harness:
    """One run.

    :param place: for workers on explicit partitions.
    :param beside: another topic and another database on the same servers, for those of a group.
    """

    def __init__(self, place: Place, beside: Place, tally: Tally, rate: float) -> None:
        self._places = place, beside
        self._tally = tally
        self._draw = random.Random(tally.seed)
        self._rate = rate

    def run(self, length: Length) -> Report:
        """Torture for a time; then drain, check, and ask everything again."""
        tally, (place, beside) = self._tally, self._places
        for each in self._places:
            each.prepare()
        begin, events = time.monotonic(), tally.owed[quotas.EVENTS]
        with (
            self._timed("kills and other faults"),
            self._loading(place, max(self._rate, events / length.seconds), events),
            self._loading(beside, _GROUP_RATE, 0),
            self._reading(place),
        ):
            self._go(begin, length)
        with self._timed("projecting what was left"):
            for each in self._places:
                self._drain(each)
        with self._timed("asking again"):
            self._hear(place.start_reading_again(), place)
        with self._timed("checking"):
            report = self._check(place, place.answers)
            of_group = self._check(beside, None)
        report.anomalies += of_group.anomalies
        report.counts["records in the log of the group"] = of_group.counts["records in the log"]
        tally.seconds["in all"] = time.monotonic() - begin
        return report

    # -- what goes on side by side ---------------------------------------------------------------------------------

    def _go(self, begin: float, length: Length) -> None:
        tally, (place, beside) = self._tally, self._places

        def over() -> bool:
            enough = length.until_enough and not tally.lacking_faults()
            return enough or time.monotonic() > begin + length.seconds

        def due() -> float:
            """Return which share of everything is due by now; a little early, as what is begun takes a while."""
            return 1.0 if length.until_enough else 1.1 * (time.monotonic() - begin) / length.seconds

        slots = [Slot(place, tally, partitions, self._seed()) for partitions in _SLOTS]
        group, servers = GroupSlot(beside, tally, self._seed()), Servers(place, tally, self._seed())
        threads = [
            *(threading.Thread(target=slot.run, args=(over,)) for slot in slots),
            *(threading.Thread(target=each.run, args=(over, due)) for each in (group, servers)),
        ]
        for thread in threads:
            thread.start()
        said = begin
        for thread in threads:
            while thread.is_alive():
                thread.join(1)
                if time.monotonic() > said + _REMIND:
                    said = time.monotonic()
                    print(f"{said - begin:.0f} s: {tally.summary()}", file=sys.stderr, flush=True)

    def _seed(self) -> int:
        return self._draw.randrange(2**32)

    @contextmanager
    def _loading(self, place: Place, rate: float, events: int) -> Iterator[None]:
        load = place.start_load(self._tally.seed, rate, events)
        try:
            yield
        finally:
            self._end(load, "load", place)

    @contextmanager
    def _reading(self, place: Place) -> Iterator[None]:
        reading = place.start_reading(self._seed(), _QUESTIONS)
        try:
            yield
        finally:
            self._hear(reading, place)

    def _hear(self, process: subprocess.Popen[bytes], place: Place) -> None:
        """Wait for the end of a process that asks, and count what it says."""
        said = self._end(process, "reading", place)
        if not said:
            return
        found: dict[str, Any] = json.loads(said)
        self._tally.broken += [f"readers: {each}" for each in found["broken"]]
        for name, number in found["counts"].items():
            self._tally.count(self._tally.faults, name, number)

    def _end(self, process: subprocess.Popen[bytes], program: str, place: Place) -> bytes:
        try:
            said, _ = process.communicate(timeout=_LONGEST_END)
        except subprocess.TimeoutExpired:
            process.kill()
            said, _ = process.communicate()
            self._tally.broken.append(f"{program} did not end within {_LONGEST_END:.0f} s")
        if process.returncode:
            self._tally.broken.append(f"{program} ended with {process.returncode}: {place.said(program)}")
        return said

    # -- afterwards ------------------------------------------------------------------------------------------------

    def _drain(self, place: Place) -> None:
        """Read to the end with one worker that nobody disturbs."""
        process = Process(replace(place.task(), to_end=True, batch_records=_DRAINED_AT_ONCE))
        process.until_true(lambda: False, _LONGEST_DRAIN)
        if process.join() != 0:
            self._tally.broken.append(f"the log could not be read to its end: {process.said[-1:]}")
        stood: dict[int, int] = {}
        for _, partition, _, start in process.heard("claimed"):
            stood[partition] = start
        last = {partition: reached for _, partition, _, reached in process.heard("committed")}
        left = sum(reached - stood[partition] for partition, reached in last.items())
        self._tally.count(self._tally.faults, "events left for a worker that nobody disturbed", left)

    def _check(self, place: Place, answers: Any) -> Report:
        return check(place.log, place.topic, place.schemas, place.store, domain.PROJECTION, place.history, answers)

    @contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        begin = time.monotonic()
        try:
            yield
        finally:
            self._tally.seconds[what] = time.monotonic() - begin
            print(f"{what}: {self._tally.seconds[what]:.0f} s", file=sys.stderr, flush=True)
