"""The unit for systemd: what it starts, when it starts it again, and what it takes away from it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from everwhen.cli.exits import Exit
from tests.cli.commands import parse

UNIT = Path(__file__).parents[2] / "deploy" / "systemd" / "everwhen-worker@.service"
MENDED_BY_A_RESTART = {
    Exit.REGISTRY_UNAVAILABLE,
    Exit.FAULT,
    Exit.LOG_UNAVAILABLE,
    Exit.STORE_UNAVAILABLE,
    Exit.PROCESS_DIED,
}
NOT_OF_A_WORKER = set(range(Exit.BEFORE_FIRST, Exit.CONTINUITY)) | {
    Exit.DIFFERENT,
    Exit.INTERRUPTED,
    Exit.PIPE_CLOSED,
}
"""Answers to a question, Ctrl-C, and a pipe: no supervisor meets them."""


def settings() -> dict[str, str]:
    """The unit's settings; none of them stands there twice."""
    found = re.findall(r"^(\w+)=(.*)$", UNIT.read_text(), re.MULTILINE)
    assert len(dict(found)) == len(found)
    return dict(found)


def test_it_is_started_again_where_that_helps() -> None:
    """Every exit code of a worker is decided about: one that a restart does not mend must not be hidden by restarts."""
    prevented = set(map(int, settings()["RestartPreventExitStatus"].split()))
    assert prevented == set(Exit) - {Exit.DONE} - MENDED_BY_A_RESTART - NOT_OF_A_WORKER
    assert (settings()["Restart"], settings()["StartLimitIntervalSec"]) == ("on-failure", "0")


def test_the_comment_tells_the_codes() -> None:
    """Whoever reads the unit at night finds each code explained beside the list."""
    comment = UNIT.read_text().partition("# What somebody has to mend first")[2].partition("RestartPrevent")[0]
    told = {int(code) for code in re.findall(r"(?:#| {2}) +(\d+)  ", comment)}
    assert told == set(map(int, settings()["RestartPreventExitStatus"].split()))


def test_it_starts_a_worker() -> None:
    """The command line is one of this program, and the projection comes from the instance's file."""
    parse(settings()["ExecStart"].removeprefix("/opt/everwhen/bin/"))
    assert settings()["ExecStart"].endswith(" ${PROJECTION}")
    assert "\n#   PROJECTION=" in UNIT.read_text()
    assert settings()["EnvironmentFile"] == "/etc/everwhen/%i.env"


def test_it_is_neither_root_nor_able_to_write() -> None:
    """A worker needs files to read and a network, and gets nothing else."""
    hardened = {"DynamicUser": "yes", "NoNewPrivileges": "yes", "ProtectSystem": "strict", "CapabilityBoundingSet": ""}
    assert hardened.items() <= settings().items()


def test_systemd_takes_it(tmp_path: Path) -> None:
    """A setting that systemd does not know is ignored with a line in its log that nobody reads."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("no systemd-analyze on this machine")
    unit = tmp_path / UNIT.name
    there = settings()["ExecStart"].split()[0]
    unit.write_text(UNIT.read_text().replace(there, "/bin/true"))  # it must be a program of this machine
    done = subprocess.run([analyze, "verify", unit], capture_output=True, text=True, timeout=60, check=False)
    complaints = [line for line in done.stderr.splitlines() if "everwhen" in line]
    assert (done.returncode, complaints) == (0, [])
