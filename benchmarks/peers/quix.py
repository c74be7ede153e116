"""Runs Quix Streams in an environment of its own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from secrets import token_hex
from typing import Final

from examples.flights.model import SCHEMAS

from benchmarks.harness.rig import Rig
from benchmarks.peers.environment import Environment

_HERE: Final = Path(__file__).parent
ENVIRONMENT: Final = Environment("quix", _HERE / "quix_requirements.txt")


class Peer:
    """Quix Streams, on the rig's broker.

    :raises Unavailable: if it cannot be had.
    """

    def __init__(self, rig: Rig) -> None:
        ENVIRONMENT.prepare()
        self._rig = rig
        self.version = ENVIRONMENT.version("quixstreams")

    def rate(self, topic: str, events: int) -> float:
        """Fold the events of a topic; return events a second, from the first event to the last commit."""
        directory, group = self._rig.file(""), f"quix-{token_hex(4)}"
        where = (self._rig.kafka.address.bootstrap, topic, str(SCHEMAS), str(directory), group)
        seconds: float = json.loads(ENVIRONMENT.run(str(_HERE / "quix_worker.py"), *where, str(events)))
        shutil.rmtree(directory, ignore_errors=True)
        return events / seconds
