"""A slot: workers on some explicit partitions, one life after the other, each with its own end."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from urllib.parse import urlsplit

from tests.proxy import Lost, Proxy
from tests.torture import quotas
from tests.torture.hooks import Plan
from tests.torture.place import Place, through
from tests.torture.process import PATIENCE, Process
from tests.torture.tally import Tally
from tests.torture.worker import Task

_PAUSED = {"postgres": ("P1", "P2", "P3", "P4", "P5", "P5c", "P7"), "sqlite": ("P7",)}
"""A process that is paused in a transaction holds a whole SQLite file, and nothing ends it: there is no takeover then.
At P1 its other thread may be in one."""
_RACE_SECONDS = 0.003
_DEPTHS = (2, 32, 1000)
_BATCHES = (8, 300, 3000, 3000)
"""Small ones so that many are met, large ones so that what was published is folded."""
_SKIPPED = {"P1": 0, "P2": 12, "P3": 12, "P5": 1, "P5c": 2, "P8": 1, "P9": 1, "P10": 3}
_LOSSES = {
    Lost.DONE: quotas.LOST_DONE,
    Lost.UNSENT: quotas.LOST_UNSENT,
    Lost.LATE: quotas.LOST_LATE,
}
_HOLD_SECONDS = (0.2, 2.5)
"""Also longer than PostgreSQL lets a transaction stand idle."""
_DELAY_SECONDS = (0.002, 0.02)
_DELAYED_BATCHES = 3


def plan_for(phase: str, draw: random.Random) -> Plan:
    """Draw when a worker is to stop in a phase."""
    race = phase == "P6" and draw.random() < 0.5
    return Plan(phase, 0 if phase == "P8" else draw.randint(1, 3), draw.randint(0, _SKIPPED.get(phase, 0)), race)


class Slot:
    """Some partitions, and the workers that come and go there."""

    def __init__(self, place: Place, tally: Tally, partitions: tuple[int, ...], seed: int) -> None:
        self._place = place
        self._tally = tally
        self._partitions = partitions
        self._draw = random.Random(seed)
        self._ended_at: float | None = None
        """When the last worker was killed, if no other one has committed since then."""
        self._progressed = False
        self._proxy: Proxy | None = None

    def run(self, over: Callable[[], bool]) -> None:
        """Go on until it is over. An error of the harness itself breaks the run."""
        try:
            with ExitStack() as stack:
                if self._place.kind == "postgres":
                    parts = urlsplit(self._place.store)
                    self._proxy = stack.enter_context(Proxy(str(parts.hostname), int(parts.port or 5432)))
                while not over():
                    self._next()
        except Exception as error:  # noqa: BLE001 - the run goes on, and fails at its end
            self._tally.broken.append(f"harness: {error!r}")

    def _next(self) -> None:
        """Do what is furthest behind its quota."""
        progress = {
            self._kill: self._tally.progress(quotas.KILLS),
            self._zombie: self._tally.progress(quotas.ZOMBIES),
        }
        if self._proxy is not None:
            progress[self._lose_commits] = min(map(self._tally.progress, _LOSSES.values()))
            progress[self._trouble_network] = min(map(self._tally.progress, (quotas.HELD, quotas.DELAYED)))
        if min(progress.values()) >= 1:
            self._draw.choice([self._kill, self._kill, self._kill, *progress])()
        else:
            min(progress, key=lambda each: (progress[each], self._draw.random()))()

    # -- kills ---------------------------------------------------------------------------------------------------

    def _task(self, plan: Plan | None = None) -> Task:
        draw = self._draw
        return replace(
            self._place.task(),
            partitions=self._partitions,
            plan=plan or Plan(),
            depth=draw.choice(_DEPTHS),
            batch_records=draw.choice(_BATCHES),
        )

    def _kill(self) -> None:
        """One worker from its start to its kill in a phase."""
        # A life that ends at its claim commits nothing, so the one before it must have.
        phases = [each for each in self._tally.phases if each != "P8" or self._progressed]
        phase = self._draw.choice(self._tally.least(phases))
        plan = plan_for(phase, self._draw)
        process = Process(self._task(plan))
        if phase == "P10" and process.until("committed", number=plan.batches):
            process.signal(signal.SIGTERM)
        landed = process.until("at")
        if plan.race:
            time.sleep(self._draw.random() * _RACE_SECONDS)
        self._end(process)
        count_kill(self._tally, self._tally.kills, process, phase, landed=landed)
        self._progressed = process.has_said("committed")

    def _end(self, process: Process) -> None:
        """Kill a worker, and note how long it took to go on after the one before it."""
        now = time.monotonic()
        process.kill()
        committed = process.when("committed")
        if committed is not None:
            if self._ended_at is not None:
                self._tally.recovered("a new worker on the partitions of a killed one", self._ended_at, committed)
            self._ended_at = now
        elif self._ended_at is None:
            self._ended_at = now

    # -- zombies -------------------------------------------------------------------------------------------------

    def _zombie(self) -> None:
        """Pause a worker, have another one take its partitions over, and let the first one go on."""
        phase = self._draw.choice(_PAUSED[self._place.kind])
        first = Process(self._task(replace(plan_for(phase, self._draw), race=False)))
        second: Process | None = None
        self._ended_at = None
        try:
            if not first.until("at"):
                count_kill(self._tally, self._tally.kills, first, phase, landed=False)
                return
            first.signal(signal.SIGSTOP)
            paused_at = time.monotonic()
            second = Process(self._task())
            if not second.until("committed", number=2):
                self._note(second, f"a takeover from {phase} did not come to its end")
                return
            self._tally.recovered(f"a takeover from one paused in {phase}", paused_at, second.when("committed") or 0)
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
                self._tally.broken.append(
                    f"a zombie of {phase} committed {partition}@{reached} under claim {epoch}, when claim "
                    f"{taken[partition][0]} had begun at {taken[partition][1]}"
                )
        how = "fenced" if first.has_said("fenced") else first.failure or "silent"
        self._tally.count(self._tally.faults, f"zombie ended: {how}")
        if fenced:
            self._tally.count(self._tally.zombies, phase)

    def _note(self, process: Process, what: str) -> None:
        self._tally.count(self._tally.faults, f"{what}: {process.failure or 'too slow'}")
        if process.failure is None and self._place.kind == "postgres":
            last = process.said[-1:] or "nothing"
            self._tally.broken.append(f"{what} within {PATIENCE:.0f} s; the last that was heard: {last}")

    # -- networks ------------------------------------------------------------------------------------------------

    def _through_proxy(self) -> Process | None:
        """Start a worker that reaches the database by way of the proxy; ``None`` if it does not get to work."""
        assert self._proxy is not None
        task = self._task()
        process = Process(replace(task, store=through(task.store, self._proxy.port)))
        if process.until("committed"):
            return process
        self._give_up(process, "never came to work by way of the proxy")
        return None

    def _give_up(self, process: Process, what: str) -> None:
        process.kill()
        self._tally.count(self._tally.faults, f"{what}: {process.failure or 'too slow'}")
        if process.failure in ("Fenced", "StoreError"):
            self._tally.broken.append(f"{what}: {process.said[-1]}")

    def _lose_commits(self) -> None:
        """A worker loses the answers to some commits; each time it has to go on by itself."""
        process, proxy = self._through_proxy(), self._proxy
        assert proxy is not None
        if process is None:
            return
        hows = [how for how, name in _LOSSES.items() if self._tally.progress(name) < 1.5] or list(_LOSSES)
        self._draw.shuffle(hows)
        for how in hows:
            before = proxy.lost
            proxy.lose_commit(how)
            lost = process.until_true(lambda before=before: proxy.lost > before)  # type: ignore[misc]
            begin = time.monotonic()
            if not lost or not process.until_true(lambda begin=begin: bool(process.when("committed", begin))):  # type: ignore[misc]
                proxy.lose_nothing()
                self._give_up(process, "did not go on after a lost COMMIT")
                return
            self._tally.count(self._tally.faults, _LOSSES[how])
            self._tally.recovered("the same worker after a lost COMMIT", begin, process.when("committed", begin) or 0)
        self._end(process)
        self._tally.count(self._tally.faults, "killed after lost COMMITs")

    def _trouble_network(self) -> None:
        """A worker works on while everything is late, and goes on after nothing passed for a while."""
        process, proxy = self._through_proxy(), self._proxy
        assert proxy is not None
        if process is None:
            return
        try:
            proxy.delay(self._draw.uniform(*_DELAY_SECONDS))
            number = len(process.heard("committed")) + _DELAYED_BATCHES
            if not process.until("committed", number=number):
                self._give_up(process, "did not go on with a slow network")
                return
            proxy.delay(0)
            self._tally.count(self._tally.faults, quotas.DELAYED)
            proxy.hold()
            time.sleep(self._draw.uniform(*_HOLD_SECONDS))
            begin = time.monotonic()
            proxy.flow()
            if not process.until_true(lambda: bool(process.when("committed", begin))):
                self._give_up(process, "did not go on after a black hole")
                return
            self._tally.count(self._tally.faults, quotas.HELD)
            self._tally.recovered("the same worker after a black hole", begin, process.when("committed", begin) or 0)
            self._end(process)
        finally:
            proxy.delay(0)
            proxy.flow()


def count_kill(tally: Tally, kills: Counter[str], process: Process, phase: str, *, landed: bool) -> None:
    """Count a kill, if it met its phase."""
    if process.failure is not None:
        tally.count(tally.faults, f"worker ended with {process.failure}")
    elif not landed:
        tally.count(tally.faults, f"never came to {phase}")
    elif process.task.plan.race and process.said[-1][0] != "at":
        tally.count(tally.faults, f"killed too late for {phase}")
    else:
        tally.count(kills, phase)
        if phase == "P6":
            how = "on its way" if process.task.plan.race else "done"
            tally.count(tally.faults, f"killed in P6 with the commit {how}")
