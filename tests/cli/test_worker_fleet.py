"""``everwhen worker`` with several projections in one process, and with several processes on one machine."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from everwhen.cli.exits import Exit
from tests.cli.workspace import LOG, STORE, Workspace, fetch
from tests.parts.watching import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

ON_FILES = ("--log", LOG, "--store", STORE)
_SECONDS = 60.0


class Daemon:
    """A daemon whose JSON lines are read as they come."""

    def __init__(self, workspace: Workspace, *arguments: str) -> None:
        self.process: subprocess.Popen[str] = workspace.start(
            "worker", *arguments, *ON_FILES, EVERWHEN_LOG_FORMAT="json"
        )
        self.lines: list[dict[str, Any]] = []

    def until(self, event: str, times: int = 1) -> list[dict[str, Any]]:
        """Read on until an event was logged so often; return its lines."""
        assert self.process.stderr is not None
        while len(found := [line for line in self.lines if line.get("event") == event]) < times:
            line = self.process.stderr.readline()
            assert line, f"it ended without {event}: {self.lines}"
            self.lines.append(json.loads(line))
        return found

    def end(self) -> int:
        """Read all that is left, and return the exit code."""
        rest = self.process.communicate(timeout=_SECONDS)[1]
        self.lines += [json.loads(line) for line in rest.splitlines()]
        return self.process.returncode

    def children(self) -> list[int]:
        """The ids of its processes."""
        (line,) = self.until("fleet.started")
        return [int(pid) for pid in re.findall(r"\d+", line["message"].partition(":")[2])]


@pytest.fixture
def started(workspace: Workspace) -> Iterator[list[Daemon]]:
    """Daemons of a test; what is left of them is killed."""
    daemons: list[Daemon] = []
    yield daemons
    for daemon in daemons:
        daemon.process.kill()
        daemon.process.communicate()


def test_two_projections_in_one_process(workspace: Workspace) -> None:
    """Each is projected to the end, and every line says which it is about, also those of threads beneath."""
    workspace.publish("story")
    done = workspace.run("worker", "bank:account", "bank:slow", *ON_FILES, "--until-end", EVERWHEN_LOG_FORMAT="json")
    lines = [json.loads(line) for line in done.err.splitlines()]
    assert done.code == Exit.DONE
    for name in ("account", "slow"):
        events = {line["event"] for line in lines if line["projection"] == name}
        assert {"partition.claimed", "partitions.revoked", "worker.done"} <= events
        assert workspace.run("get", name, "acc-1", "--store", STORE).code == Exit.DONE
    text = workspace.run("worker", "bank:account", "bank:slow", *ON_FILES, "--until-end").err
    assert "Z [slow] worker.done 0 of 0 records" in text


def test_one_that_fails_stops_the_others(workspace: Workspace) -> None:
    """The process ends with its code and its name, though the other one could go on for ever."""
    workspace.publish("story")
    assert workspace.project().code == Exit.DONE
    done = workspace.run("worker", "bank:slow", "bank:newer", *ON_FILES, EVERWHEN_LOG_FORMAT="json")
    assert done.code == Exit.REFUSED
    lines = [json.loads(line) for line in done.err.splitlines()]
    (failed,) = [line for line in lines if line["event"] == "worker.failed"]
    assert (failed["projection"], "GenerationMismatch" in failed["message"]) == ("account", True)
    (ended,) = [line for line in lines if line["event"] == "worker.done"]
    assert ended["projection"] == "slow"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("bank:account", "bank:newer"), "bank:newer: the projection 'account' is named twice"),
        (("bank:account", "bank:slow", "--group", "g"), "several projections cannot share the group 'g'"),
    ],
)
def test_projections_that_cannot_go_together(workspace: Workspace, arguments: tuple[str, ...], told: str) -> None:
    """They would write the same rows, or each see a part of the records only."""
    done = workspace.run("worker", *arguments, *ON_FILES)
    assert (done.code, told in done.error) == (Exit.USAGE, True)


def test_one_place_to_ask_about_several_projections(workspace: Workspace, started: list[Daemon]) -> None:
    """Metrics are told apart by their labels, none comes twice, and whether all are ready is one answer."""
    workspace.publish("story")
    os.mkfifo(workspace.path / "gate")
    started.append(daemon := Daemon(workspace, "bank:account", "bank:slow", "--http", "0", "--live-loop", "1"))
    (line,) = daemon.until("http.listening")
    port = int(line["message"].split("/")[2].rpartition(":")[2])
    daemon.until("partition.claimed", times=4)
    claimed = re.compile(r'everwhen_partitions_claimed\{projection="(\w+)",topic="bank.accounts"\} 2.0')
    # The line of the log comes first.
    assert eventually(lambda: claimed.findall(fetch(port, "/metrics")[1]) == ["account", "slow"])
    metrics = fetch(port, "/metrics")[1]
    samples = [each.rpartition(" ")[0] for each in metrics.splitlines() if not each.startswith("#")]
    assert len(samples) == len(set(samples))
    assert metrics.count("# TYPE everwhen_partitions_claimed gauge") == 1
    assert metrics.count("\nprocess_resident_memory_bytes ") == 1
    assert fetch(port, "/readyz") == (200, "ok\n")
    workspace.publish("hold")
    with _held(workspace):
        assert eventually(lambda: "slow: the loop thread took no turn" in fetch(port, "/livez")[1])
        assert fetch(port, "/livez")[0] == 503
        daemon.process.send_signal(signal.SIGTERM)
    assert daemon.end() == Exit.DONE
    assert len([each for each in daemon.lines if each["event"] == "worker.done"]) == 2


def test_second_interrupt_ends_several_projections_at_once(workspace: Workspace, started: list[Daemon]) -> None:
    """The batch in hand is broken off and not finished."""
    workspace.publish("story")
    os.mkfifo(workspace.path / "gate")
    started.append(daemon := Daemon(workspace, "bank:account", "bank:slow"))
    daemon.until("partition.claimed", times=4)
    workspace.publish("hold")
    with _held(workspace):
        assert eventually(lambda: _interrupted(daemon))
        assert daemon.end() == Exit.INTERRUPTED
    assert "slow" not in {each["projection"] for each in daemon.lines if each["event"] == "worker.done"}


@pytest.mark.parametrize("named", [(), ("--partition", "0", "--partition", "1")], ids=["group", "named"])
def test_processes_share_the_work(workspace: Workspace, named: tuple[str, ...]) -> None:
    """To the end of the log, as one group or with partitions that are dealt out; each says which one it is."""
    workspace.publish("story")
    arguments = ("bank:account", *ON_FILES, "--until-end", "--processes", "2", *named)
    done = workspace.run("worker", *arguments, EVERWHEN_LOG_FORMAT="json")
    lines = [json.loads(line) for line in done.err.splitlines()]
    assert done.code == Exit.DONE, done.err
    ended = [line for line in lines if line["event"] == "worker.done"]
    assert sorted(line["process_number"] for line in ended) == [0, 1]
    assert sum(int(line["message"].split()[1]) for line in ended) == 6
    if named:
        claims = [(line["process_number"], line["partition"]) for line in lines if line["event"] == "partition.claimed"]
        assert sorted(claims) == [(0, 0), (1, 1)]
    assert workspace.run("get", "account", "acc-2", "--store", STORE).code == Exit.DELETED


def test_a_signal_to_the_first_process_stops_all(workspace: Workspace, started: list[Daemon]) -> None:
    """Each finishes its batch after a single Ctrl-C, as it does after SIGTERM, and nothing is left."""
    workspace.publish("story")
    started.append(daemon := Daemon(workspace, "bank:account", "--processes", "2"))
    children = daemon.children()
    daemon.until("partition.claimed", times=2)
    daemon.process.send_signal(signal.SIGINT)
    assert (daemon.end(), len(children)) == (Exit.DONE, 2)
    assert not any(map(_lives, children))


def test_a_process_that_is_killed_ends_all(workspace: Workspace, started: list[Daemon]) -> None:
    """With a line that names the signal and a code of its own, so that a supervisor starts all again."""
    workspace.publish("story")
    started.append(daemon := Daemon(workspace, "bank:account", "--processes", "2"))
    children = daemon.children()
    daemon.until("partition.claimed", times=2)
    os.kill(children[1], signal.SIGKILL)
    assert daemon.end() == Exit.PROCESS_DIED
    (killed,) = [line for line in daemon.lines if line["event"] == "process.killed"]
    assert (killed["process_number"], killed["pid"], "SIGKILL" in killed["message"]) == (1, children[1], True)
    assert not any(map(_lives, children))


def test_a_process_that_fails_ends_all_with_its_code(workspace: Workspace) -> None:
    """Here each of them is refused by the store."""
    workspace.publish("story")
    assert workspace.project().code == Exit.DONE
    done = workspace.run("worker", "bank:newer", *ON_FILES, "--processes", "2", EVERWHEN_LOG_FORMAT="json")
    lines = [json.loads(line) for line in done.err.splitlines()]
    assert done.code == Exit.REFUSED
    assert {line["code"] for line in lines if line["event"] == "process.ended"} == {Exit.REFUSED}


def test_no_process_outlives_the_first_one(workspace: Workspace, started: list[Daemon]) -> None:
    """Also where the first one could tell nobody."""
    workspace.publish("story")
    started.append(daemon := Daemon(workspace, "bank:account", "--processes", "2"))
    children = daemon.children()
    daemon.until("partition.claimed", times=2)
    daemon.process.kill()
    assert eventually(lambda: not any(map(_lives, children)))
    daemon.end()
    orphaned = {line["process_number"] for line in daemon.lines if line["event"] == "process.orphaned"}
    done = {line["process_number"] for line in daemon.lines if line["event"] == "worker.done"}
    assert orphaned == done == {0, 1}


def test_each_process_has_a_port(workspace: Workspace, started: list[Daemon]) -> None:
    """The first has the one that was given, the next the one after it."""
    workspace.publish("story")
    port = _two_free_ports()
    started.append(daemon := Daemon(workspace, "bank:account", "--processes", "2", "--http", f"127.0.0.1:{port}"))
    listening = daemon.until("http.listening", times=2)
    shown = {line["process_number"]: line["message"].split("/")[2] for line in listening}
    assert shown == {0: f"127.0.0.1:{port}", 1: f"127.0.0.1:{port + 1}"}
    assert fetch(port + 1, "/livez") == (200, "ok\n")
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.end() == Exit.DONE


@contextlib.contextmanager
def _held(workspace: Workspace) -> Iterator[None]:
    """Return when the projection slow is inside its handler, and keep it there."""
    gates: list[int] = []

    def is_read() -> bool:
        with contextlib.suppress(OSError):  # nobody reads yet
            gates.append(os.open(workspace.path / "gate", os.O_WRONLY | os.O_NONBLOCK))
        return bool(gates)

    assert eventually(is_read)
    yield
    os.close(gates[0])


def _interrupted(daemon: Daemon) -> bool:
    """Press Ctrl-C, and see whether that was the end."""
    daemon.process.send_signal(signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        daemon.process.wait(0.5)
    return daemon.process.returncode is not None


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # One that ended stays listed until its new parent, the machine's first process, looks.
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return True


def _two_free_ports() -> int:
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        with socket.socket() as first, socket.socket() as second, contextlib.suppress(OSError, OverflowError):
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            second.bind(("127.0.0.1", port + 1))
            return port
    raise AssertionError("no two ports in a row are free")
