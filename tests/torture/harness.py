"""The harness: starts workers, kills and pauses them where it was planned, and drains what is left."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from everwhen.connect import open_log
from everwhen.testing.parts.brokers import Node
from everwhen.testing.parts.postgres import Postgres
from tests.checker.anomalies import Report
from tests.checker.check import check
from tests.torture import domain
from tests.torture.hooks import Plan
from tests.torture.process import PATIENCE, Process
from tests.torture.tally import Tally
from tests.torture.worker import Task

EXPLICIT = ("P1", "P2", "P3", "P4", "P5", "P6", "P7", "P8", "P10")
_PAUSED = {"postgres": ("P1", "P2", "P3", "P4", "P5", "P7"), "sqlite": ("P2", "P7")}
"""A process that is paused in a transaction holds a whole SQLite file, and nothing ends it: there is no takeover then.
At P1 its other thread may be in one."""
_IN_GROUP = ("P3", "P5", "P7")
_ZOMBIES = 0.15
"""The share of workers that are paused rather than killed."""
_RACE_SECONDS = 0.003
_DEPTHS = (2, 32, 1000)
_GROUP = {"session.timeout.ms": 1500, "heartbeat.interval.ms": 300}


@dataclass
class Place:
    """Where a run takes place."""

    log: str
    store: str
    topic: str
    directory: Path
    postgres: Postgres | None = None
    """A server that may be stopped."""
    broker: Node | None = None
    """A broker that may be killed."""

    @property
    def kind(self) -> str:
        """The kind of the store."""
        return "sqlite" if self.store.startswith("sqlite") else "postgres"

    def prepare(self) -> None:
        """Write the contracts and make the topic."""
        domain.write_contracts(self.directory / "schemas")
        log = open_log(self.log)
        log.create_topic(self.topic, domain.PARTITIONS)
        log.close()

    def task(self) -> Task:
        """A worker on explicit partitions."""
        return Task(self.log, self.store, self.topic, self.directory, tuple(range(domain.PARTITIONS)))

    def group_task(self) -> Task:
        """A worker of a group, whose members are missed soon."""
        log: str | Mapping[str, Any] = self.log
        if self.log.startswith("kafka://"):
            log = {"bootstrap.servers": self.log.removeprefix("kafka://"), **_GROUP}
        return replace(self.task(), log=log, partitions=None, group="torture")


class Harness:
    """One run on one place."""

    def __init__(self, place: Place, tally: Tally, rate: float) -> None:
        self.place = place
        self.tally = tally
        self._draw = random.Random(tally.seed)
        self._rate = rate

    def run(self, seconds: float, *, until_enough: bool) -> Report:
        """Torture for a time, or until every phase has its quota; then drain and check."""
        begin = time.monotonic()
        deadline = begin + seconds
        self.place.prepare()
        load = self._start_load()
        try:
            while time.monotonic() < deadline and not (until_enough and self._is_enough()):
                self._round(min(deadline, time.monotonic() + 15), until_enough=until_enough)
        finally:
            load.communicate()
        if load.returncode:
            self.tally.broken.append(f"the load generator ended with {load.returncode}")
        self._drain()
        self.tally.seconds = time.monotonic() - begin
        place = self.place
        schemas, history = place.directory / "schemas", place.directory / "sent.jsonl"
        return check(place.log, place.topic, schemas, place.store, domain.PROJECTION, history)

    # -- rounds --------------------------------------------------------------------------------------------------

    def _is_enough(self) -> bool:
        return not self.tally.lacking() and self.tally.zombies.total() >= self.tally.quota

    def _round(self, deadline: float, *, until_enough: bool) -> None:
        """Kill on explicit partitions while a server is stopped, or none; then kill in a group."""
        tally = self.tally

        def killed() -> bool:
            return until_enough and all(tally.kills[each] >= tally.quota for each in EXPLICIT)

        def over() -> bool:
            return time.monotonic() > deadline or (killed() and tally.zombies.total() >= tally.quota)

        halves = [tuple(range(0, domain.PARTITIONS, 2)), tuple(range(1, domain.PARTITIONS, 2))]
        threads = [
            threading.Thread(
                target=self._slot,
                args=(half, self._draw.randrange(2**32), over, lambda: 1.0 if killed() else _ZOMBIES),
            )
            for half in halves
        ]
        for thread in threads:
            thread.start()
        self._stop_server(self._draw.choice(("none", "none", "database", "broker")))
        for thread in threads:
            thread.join()
        for phase in ("P9",) * (tally.quota if until_enough else 3) + (self._draw.choice(_IN_GROUP),):
            if phase != "P9" or not until_enough or tally.kills["P9"] < tally.quota:
                self._kill_in_group(phase)

    def _slot(
        self, partitions: tuple[int, ...], seed: int, over: Callable[[], bool], zombies: Callable[[], float]
    ) -> None:
        draw = random.Random(seed)
        progressed = False
        while not over():
            try:
                if draw.random() < zombies():
                    self._zombie(partitions, draw)
                else:
                    # A life that ends at its claim commits nothing, so the one before it must have.
                    phases = [each for each in EXPLICIT if each != "P8" or progressed]
                    progressed = self._life(partitions, draw.choice(self.tally.least(phases)), draw)
            except Exception as error:  # noqa: BLE001 - the run goes on, and fails at its end
                self.tally.broken.append(f"harness: {error!r}")
                return

    # -- kills ---------------------------------------------------------------------------------------------------

    def _task(self, partitions: tuple[int, ...], plan: Plan, draw: random.Random) -> Task:
        depth = draw.choice(_DEPTHS)
        return replace(self.place.task(), partitions=partitions, plan=plan, depth=depth)

    def _plan(self, phase: str, draw: random.Random) -> Plan:
        most = {"P1": 0, "P2": 12, "P3": 12, "P5": 1, "P8": 1, "P9": 1, "P10": 3}.get(phase, 0)
        race = phase == "P6" and draw.random() < 0.5
        return Plan(phase, 0 if phase == "P8" else draw.randint(1, 3), draw.randint(0, most), race)

    def _life(self, partitions: tuple[int, ...], phase: str, draw: random.Random) -> bool:
        """One worker from its start to its kill; return whether it committed something."""
        plan = self._plan(phase, draw)
        process = Process(self._task(partitions, plan, draw))
        if phase == "P10" and process.until("committed", number=plan.batches):
            process.signal(signal.SIGTERM)
        landed = process.until("at")
        if plan.race:
            time.sleep(draw.random() * _RACE_SECONDS)
        process.kill()
        self._count(process, phase, landed=landed)
        return process.has_said("committed")

    def _count(self, process: Process, phase: str, *, landed: bool) -> None:
        if process.failure is not None:
            self.tally.count(self.tally.faults, f"worker ended with {process.failure}")
        elif not landed:
            self.tally.count(self.tally.faults, f"never came to {phase}")
        elif process.task.plan.race and process.said[-1][0] != "at":
            self.tally.count(self.tally.faults, f"killed too late for {phase}")
        else:
            self.tally.count(self.tally.kills, phase)
            if phase == "P6":
                how = "on its way" if process.task.plan.race else "done"
                self.tally.count(self.tally.faults, f"killed in P6 with the commit {how}")

    def _kill_in_group(self, phase: str) -> None:
        """Kill a member of a group; at P9, while it gives partitions up to one that joins. The other has to go on."""
        first = Process(replace(self.place.group_task(), plan=replace(self._plan(phase, self._draw), race=False)))
        second: Process | None = None
        try:
            landed = first.until("committed")
            second = Process(self.place.group_task())
            landed = landed and first.until("at")
            first.kill()
            self._count(first, phase, landed=landed)
            if landed and not second.until("committed"):
                self.tally.broken.append(f"nobody went on after a member of the group was killed in {phase}")
            self.tally.count(self.tally.faults, "killed as a member of a group")
        finally:
            first.kill()
            if second is not None:
                second.stop()
                if second.has_said("hung"):
                    self.tally.broken.append("a member of the group did not end on SIGTERM")

    # -- zombies -------------------------------------------------------------------------------------------------

    def _zombie(self, partitions: tuple[int, ...], draw: random.Random) -> None:
        """Pause a worker, have another one take its partitions over, and let the first one go on."""
        phase = draw.choice(_PAUSED[self.place.kind])
        first = Process(self._task(partitions, replace(self._plan(phase, draw), race=False), draw))
        second: Process | None = None
        try:
            if not first.until("at"):
                self._count(first, phase, landed=False)
                return
            first.signal(signal.SIGSTOP)
            second = Process(self._task(partitions, Plan(), draw))
            if not second.until("committed", number=2):
                self._note(second, f"a takeover from {phase} did not come to its end")
                return
            first.release()
            first.signal(signal.SIGCONT)
            self._judge(first, second, phase)
        finally:
            first.signal(signal.SIGCONT)
            first.kill()
            if second is not None:
                second.kill()

    def _judge(self, first: Process, second: Process, phase: str) -> None:
        """What was committed under a claim that was overtaken is a broken promise."""
        fenced = first.until("fenced") or first.until("failed", 0)
        first.kill()
        taken = {partition: (epoch, stood) for said, partition, epoch, stood in second.heard("claimed")}
        for _, partition, epoch, reached in first.heard("committed"):
            # It may have committed before the takeover, and that is where the other one began.
            if partition in taken and epoch < taken[partition][0] and reached > taken[partition][1]:
                self.tally.broken.append(
                    f"a zombie of {phase} committed {partition}@{reached} under claim {epoch}, when claim "
                    f"{taken[partition][0]} had begun at {taken[partition][1]}"
                )
        how = "fenced" if first.has_said("fenced") else first.failure or "silent"
        self.tally.count(self.tally.faults, f"zombie ended: {how}")
        if fenced:
            self.tally.count(self.tally.zombies, phase)

    def _note(self, process: Process, what: str) -> None:
        self.tally.count(self.tally.faults, f"{what}: {process.failure or 'too slow'}")
        if process.failure is None and self.place.kind == "postgres":
            last = process.said[-1:] or "nothing"
            self.tally.broken.append(f"{what} within {PATIENCE:.0f} s; the last that was heard: {last}")

    # -- servers, load, drain ------------------------------------------------------------------------------------

    def _stop_server(self, which: str) -> None:
        place = self.place
        if which == "database" and place.postgres is not None:
            place.postgres.stop_immediate()
            place.postgres.restart()
            self.tally.count(self.tally.faults, "database stopped as in a crash")
        if which == "broker" and place.broker is not None:
            place.broker.kill()
            place.broker.start()
            self.tally.count(self.tally.faults, "broker killed")

    def _start_load(self) -> subprocess.Popen[bytes]:
        place = self.place
        arguments = {
            "log": place.log,
            "topic": place.topic,
            "schemas": place.directory / "schemas",
            "history": place.directory / "sent.jsonl",
            "seed": self.tally.seed,
            "rate": self._rate,
        }
        given = [str(part) for name, value in arguments.items() for part in (f"--{name}", value)]
        return subprocess.Popen([sys.executable, "-m", "tests.torture.load", *given], stdin=subprocess.PIPE)

    def _drain(self) -> None:
        """Read to the end with one worker that nobody disturbs."""
        process = Process(replace(self.place.task(), to_end=True, batch_records=1000))
        if process.join() != 0:
            self.tally.broken.append(f"the log could not be read to its end: {process.said[-1:]}")
