"""Runs Quix Streams in its own environment, which is made once under ``.bench``."""

from __future__ import annotations

import json
import shutil
import subprocess
import venv
from itertools import count
from pathlib import Path
from typing import Final

from examples.flights.model import SCHEMAS

from benchmarks.harness.rig import STATE, Rig, Unavailable

_HERE: Final = Path(__file__).parent
_REQUIREMENTS: Final = _HERE / "quix_requirements.txt"
_HOME: Final = STATE / "quix"
_PYTHON: Final = _HOME / "bin" / "python"
_STAMP: Final = _HOME / "requirements.txt"


def prepare() -> None:
    """Make the environment if it is not there, or was made from other requirements.

    :raises Unavailable: if it cannot be made.
    """
    if _STAMP.exists() and _STAMP.read_text() == _REQUIREMENTS.read_text():
        return
    shutil.rmtree(_HOME, ignore_errors=True)
    venv.create(_HOME, with_pip=True)
    command = [str(_PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(_REQUIREMENTS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(f"Quix Streams cannot be installed: {done.stderr.strip().splitlines()[-1:]}")
    _STAMP.write_text(_REQUIREMENTS.read_text())


class Peer:
    """Quix Streams, on the rig's broker.

    :raises Unavailable: if it cannot be had.
    """

    def __init__(self, rig: Rig) -> None:
        prepare()
        self._rig = rig
        self._numbers = count(1)
        asked = [str(_PYTHON), "-c", "import importlib.metadata as m; print(m.version('quixstreams'))"]
        self.version = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()

    def rate(self, topic: str, events: int) -> float:
        """Fold the events of a topic; return events a second, from the first event to the last one.

        Its last commit is not in the time: it comes when it is stopped, with all that stopping takes.
        """
        directory, group = self._rig.file(""), f"quix-{next(self._numbers)}"
        program = [str(_PYTHON), str(_HERE / "quix_worker.py")]
        where = [self._rig.kafka.address.bootstrap, topic, str(SCHEMAS), str(directory), group, str(events)]
        done = subprocess.run([*program, *where], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"Quix Streams failed: {done.stderr}")
        shutil.rmtree(directory, ignore_errors=True)
        return events / float(json.loads(done.stdout.splitlines()[-1]))
