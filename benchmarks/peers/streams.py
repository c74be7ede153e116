"""Runs Kafka Streams, whose program is built once under ``.bench`` by Maven."""

from __future__ import annotations

import json
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import Final, NamedTuple

from examples.flights.model import SCHEMAS

from benchmarks.harness.rig import MOST_SECONDS, STATE, Rig, Unavailable

_HERE: Final = Path(__file__).parent / "streams"
_HOME: Final = STATE / "streams"
_STAMP: Final = _HOME / "sources"
VERSION: Final = "4.1.1"
"""As in ``pom.xml``."""
_QUICKLY: Final = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
"""Java that starts sooner and gets less fast, for a run of few events, which measures nothing."""


class Streamed(NamedTuple):
    """What a run of Kafka Streams took."""

    rate: float
    """Events a second, from the state RUNNING to the last event; its last commit comes later."""
    asked: float
    """Questions a second."""


def prepare() -> None:
    """Build the program if it is not there, or its sources are others.

    :raises Unavailable: if there is no Maven or no Java compiler, or the libraries cannot be had.
    """
    digest = sha256(b"".join(file.read_bytes() for file in sorted(_HERE.rglob("*.*")) if file.is_file())).hexdigest()
    if _STAMP.exists() and _STAMP.read_text() == digest:
        return
    for needed in ("java", "javac", "mvn"):
        if shutil.which(needed) is None:
            raise Unavailable(f"Kafka Streams needs {needed}: apt install maven openjdk-17-jdk-headless")
    shutil.rmtree(_HOME, ignore_errors=True)
    goals = ["package", "dependency:copy-dependencies", f"-DoutputDirectory={_HOME / 'lib'}"]
    maven = ["mvn", "--quiet", "--batch-mode", "-f", str(_HERE / "pom.xml"), f"-Dout={_HOME}"]
    done = subprocess.run([*maven, *goals], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(f"Kafka Streams cannot be built: {done.stdout.strip()[:300]}")
    _STAMP.write_text(digest)


class Peer:
    """Kafka Streams, on the rig's broker.

    :raises Unavailable: if it cannot be had.
    """

    def __init__(self, rig: Rig) -> None:
        prepare()
        self._rig = rig

    def run(self, topic: str, events: int, threads: int, questions: Path | None = None, seconds: float = 0) -> Streamed:
        """Fold the events of a topic, and then ask.

        :param questions: a file with a key and an instant in milliseconds a line.
        :param seconds: how long to ask; as long is asked before, unmeasured.
        """
        directory, application = self._rig.file(""), f"streams-{token_hex(4)}"
        classes = f"{_HOME / 'classes'}:{_HOME / 'lib'}/*"
        where = [self._rig.kafka.address.bootstrap, topic, str(SCHEMAS), str(directory), application]
        what = [str(threads), str(events), *([] if questions is None else [str(questions), str(seconds)])]
        program = ["java", *(_QUICKLY if self._rig.quick else ()), "-cp", classes, "everwhen.bench.Streams"]
        command = [*program, *where, *what]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=MOST_SECONDS)
        if done.returncode:
            raise RuntimeError(f"Kafka Streams failed: {done.stderr[:2000]}")
        shutil.rmtree(directory, ignore_errors=True)
        said = json.loads(done.stdout.splitlines()[-1])
        return Streamed(events / said["seconds"], said["asked"])
