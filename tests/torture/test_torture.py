"""The share of the torture that every run of the tests takes part in."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from everwhen.testing.parts import KafkaAddress
from tests.torture import quotas
from tests.torture.tally import EXPLICIT

_QUOTA = 3
_SECONDS = 150
_PATIENCE = 300


def _torture(report: Path, *arguments: str) -> dict[str, Any]:
    """Run the harness in a session of its own, so that nothing of it is left whatever happens."""
    command = [sys.executable, "-m", "tests.torture", "--quota", str(_QUOTA), "--seconds", str(_SECONDS)]
    process = subprocess.Popen(
        [*command, "--report", str(report), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=_PATIENCE)
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    print(said)
    assert process.returncode == 0, said
    (file,) = report.rglob("torture.json")
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def _check(found: dict[str, Any], phases: Sequence[str]) -> None:
    assert found["verdict"] == "passed"
    assert set(found["kills"]) == set(phases)
    assert min(found["kills"].values()) >= _QUOTA
    assert found["kills in a group"]["P9"] >= _QUOTA
    assert sum(found["zombies"].values()) >= _QUOTA
    assert found["check"]["anomalies"] == []
    for compared in ("records in the log", "answers compared with the fold"):
        assert found["check"]["counts"][compared] > 100
    assert found["done"][quotas.ASKED] > 100


def test_killed_workers_lose_and_double_nothing_on_servers(
    real_kafka: KafkaAddress, postgres_url: str, tmp_path: Path
) -> None:
    """Workers on Kafka and PostgreSQL are killed at every point of their work, and paused until they are overtaken."""
    found = _torture(tmp_path, "--on", "servers", "--kafka", real_kafka.bootstrap, "--postgres", postgres_url)
    _check(found, EXPLICIT)
    for lost in (quotas.LOST_DONE, quotas.LOST_UNSENT, quotas.LOST_LATE, quotas.TERMINATED):
        assert found["done"][lost] > 0


def test_killed_workers_lose_and_double_nothing_on_files(tmp_path: Path) -> None:
    """The same on the local log and SQLite."""
    _check(_torture(tmp_path, "--on", "files"), [phase for phase in EXPLICIT if phase != "P5c"])
