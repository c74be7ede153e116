"""Members of a consumer group that are killed, one pair after the other."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import replace

from tests.torture import quotas
from tests.torture.lives import count_kill, plan_for
from tests.torture.place import Place
from tests.torture.process import Process
from tests.torture.tally import Tally

_PHASES = ("P9", "P9", "P3", "P5", "P7")


class GroupSlot:
    """Two members at a time, of which the first is killed and the second has to go on."""

    def __init__(self, place: Place, tally: Tally, seed: int) -> None:
        self._place = place
        self._tally = tally
        self._draw = random.Random(seed)

    def run(self, over: Callable[[], bool], due: Callable[[], float]) -> None:
        """Go on until it is over, as far as ``due`` says: a share of the quota."""
        try:
            while not over():
                if self._tally.progress(quotas.GROUP) <= due() or not self._tally.has_revoked():
                    few = self._tally.group["P9"] * 2 <= self._tally.group.total()
                    self._kill("P9" if few else self._draw.choice(_PHASES))
                else:
                    time.sleep(0.2)
        except Exception as error:  # noqa: BLE001 - the run goes on, and fails at its end
            self._tally.broken.append(f"harness: {error!r}")

    def _kill(self, phase: str) -> None:
        """Kill a member; at P9, while it gives partitions up to one that joins."""
        tally = self._tally
        first = Process(replace(self._place.group_task(), plan=replace(plan_for(phase, self._draw), race=False)))
        second: Process | None = None
        try:
            landed = first.until("committed")
            second = Process(self._place.group_task())
            landed = landed and first.until("at")
            killed_at = time.monotonic()
            first.kill()
            count_kill(tally, tally.group, first, phase, landed=landed)
            if landed and not _goes_on(second, killed_at):
                tally.broken.append(f"nobody went on after a member of the group was killed in {phase}")
            if committed := second.when("committed", killed_at):
                tally.recovered("another member of the group", killed_at, committed)
        finally:
            first.kill()
            if second is not None:
                second.stop()
                if second.has_said("hung"):
                    tally.broken.append("a member of the group did not end on SIGTERM")


def _goes_on(member: Process, after: float) -> bool:
    return member.until_true(lambda: member.when("committed", after) is not None)
