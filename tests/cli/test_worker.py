"""``everwhen worker``: it projects, shows that it does, and stops when it is told to."""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import signal
import subprocess
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from everwhen.cli import progress
from everwhen.cli.exits import Exit
from everwhen.projection import Tally
from everwhen.worker import Progress
from tests.cli.workspace import LOG, STORE, Workspace
from tests.parts.watching import eventually

if TYPE_CHECKING:
    from pathlib import Path

ARGUMENTS = ("--log", LOG, "--store", STORE)


def test_until_end(workspace: Workspace) -> None:
    """It ends by itself with everything projected, and says what it did in plain lines on standard error."""
    workspace.publish("story")
    done = workspace.project()
    assert (done.code, done.out) == (Exit.DONE, "")
    assert done.err.splitlines()[-1].endswith("worker.done 6 of 6 records: applied 6, late 1, refolded 1")
    again = workspace.project()
    assert again.err.splitlines()[-1].endswith("worker.done 0 of 0 records")


def test_json_log(workspace: Workspace) -> None:
    """A log collector gets one JSON object a line without asking, the error that ends the worker included."""
    workspace.publish("story")
    done = workspace.run("worker", "bank:account", *ARGUMENTS, "--until-end", EVERWHEN_LOG_FORMAT="")
    lines = [json.loads(line) for line in done.err.splitlines()]
    about = {"time", "level", "logger", "event", "message", "projection"}
    assert all(about <= set(line) <= about | {"topic", "partition", "partitions", "offset"} for line in lines)
    claimed = [line for line in lines if line["event"] == "partition.claimed"]
    assert [(line["topic"], line["partition"], line["offset"]) for line in claimed] == [
        ("bank.accounts", 0, 0),
        ("bank.accounts", 1, 0),
    ]
    assert lines[-1]["message"].startswith("worker.done 6 of 6 records")
    failed = workspace.run("--traceback", "worker", "bank:newer", *ARGUMENTS, "--log-format", "json")
    assert failed.code == Exit.REFUSED
    line = json.loads(failed.error)
    assert line["level"] == "error"
    assert line["message"].startswith("worker.failed GenerationMismatch: ")
    assert "Traceback" in line["traceback"]


def test_progress_bar(workspace: Workspace) -> None:
    """On a terminal a run with an end shows how far it is."""
    workspace.publish("story")
    done = workspace.run_on_terminal("worker", "bank:account", *ARGUMENTS, "--until-end")
    assert done.code == Exit.DONE
    assert "projecting  [####################################]  6/6" in done.out
    assert done.out.endswith("6 of 6 records: applied 6, late 1, refolded 1\n")
    assert "partition.claimed" not in done.out


def test_named_partitions(workspace: Workspace) -> None:
    """Only the named partitions are read; several come from one variable."""
    workspace.publish("story")
    one = workspace.run("worker", "bank:account", *ARGUMENTS, "--until-end", "--partition", "0")
    both = workspace.run("worker", "bank:account", *ARGUMENTS, "--until-end", EVERWHEN_PARTITION="0 1")
    claimed = [line.split()[2] for line in one.err.splitlines() if "partition.claimed" in line]
    assert (one.code, both.code, claimed) == (Exit.DONE, Exit.DONE, ["bank.accounts[0]"])
    assert workspace.run("get", "account", "acc-2", "--store", STORE).code == Exit.DELETED


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopped_in_the_middle_of_a_batch(workspace: Workspace, number: signal.Signals) -> None:
    """A busy worker that is told to stop finishes its batch and exits with 0; what it committed is a whole prefix."""
    process, gate = _start_and_hold(workspace)
    process.send_signal(number)
    os.close(gate)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors.splitlines()[-1].split()[1]) == (Exit.DONE, "worker.done")
    stopped = workspace.run("get", "slow", "acc-1", "--store", STORE, "--json").document
    balances = [Decimal(0), Decimal("1.00"), Decimal("8.00"), Decimal("10.00")]
    offset = stopped["position"]["offset"]
    assert offset >= 2, "the batch in hand was not finished"
    assert Decimal(stopped["state"]["balance"]) == balances[offset]
    assert workspace.project("bank:slow").code == Exit.DONE
    ended = workspace.run("get", "slow", "acc-1", "--store", STORE, "--json").document
    assert Decimal(ended["state"]["balance"]) == balances[-1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopped_while_the_database_is_away(workspace: Workspace, number: signal.Signals) -> None:
    """A worker that waits for its database says so, and exits with 0 as soon as it is told to stop."""
    workspace.publish("story")
    process = workspace.start("worker", "bank:account", "--log", LOG, "--store", "postgresql://ada@127.0.0.1:1/bank")
    assert process.stderr is not None
    assert "store.unavailable" in process.stderr.readline()
    process.send_signal(number)
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors.splitlines()[-1].split()[1]) == (Exit.DONE, "worker.done")


def test_second_interrupt_breaks_the_batch_off(workspace: Workspace) -> None:
    """Whoever presses Ctrl-C again does not wait for the batch, and nothing of it is kept."""
    process, gate = _start_and_hold(workspace)
    assert eventually(lambda: _interrupt(process))
    os.close(gate)
    process.communicate(timeout=60)
    # A third signal may find Python on its way out; a shell shows the same code for both.
    assert process.returncode in (Exit.INTERRUPTED, -signal.SIGINT)
    stopped = workspace.run("get", "slow", "acc-1", "--store", STORE, "--json")
    assert stopped.code == Exit.NEVER_EXISTED or stopped.document["position"]["offset"] < 2


def test_fenced(workspace: Workspace) -> None:
    """A worker whose partition was claimed by another says so and ends; the other one's work stands."""
    workspace.publish("hold")
    assert workspace.project().code == Exit.DONE
    partition = workspace.run("get", "account", "acc-1", "--store", STORE, "--json").document["position"]["partition"]
    arguments = ("worker", "bank:account", *ARGUMENTS, "--partition", str(partition))
    first = workspace.start(*arguments)
    assert first.stderr is not None
    assert "partition.claimed" in first.stderr.readline()
    assert workspace.run(*arguments, "--until-end").code == Exit.DONE
    workspace.publish("story")
    _, errors = first.communicate(timeout=60)
    assert (first.returncode, errors.splitlines()[-1].startswith("everwhen: ")) == (Exit.FENCED, True)
    assert workspace.run(*arguments, "--until-end").code == Exit.DONE


def test_progress_lines(caplog: pytest.LogCaptureFixture) -> None:
    """A worker without a terminal says now and then how far it is, and not after every batch."""
    caplog.set_level(logging.INFO, "everwhen.worker")
    with progress.lines(every=0) as show:
        show(Progress(5, None, Tally(applied=4, duplicates=1)))
    with progress.lines(every=3600) as show:
        show(Progress(9, 9, Tally()))
    assert caplog.messages == ["worker.progress 5 records: applied 4, duplicates 1"]


def _start_and_hold(workspace: Workspace) -> tuple[subprocess.Popen[str], int]:
    """Start a worker and return when it is inside a handler, with the pipe that keeps it there."""
    os.mkfifo(workspace.path / "gate")
    workspace.publish("hold")
    process = workspace.start("worker", "bank:slow", *ARGUMENTS)
    gates: list[int] = []
    assert eventually(lambda: _open_gate(workspace.path / "gate", gates)), process.communicate(timeout=60)
    return process, gates[0]


def _open_gate(path: Path, gates: list[int]) -> bool:
    try:
        gates.append(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
    except OSError as error:
        if error.errno != errno.ENXIO:  # nobody reads yet
            raise
        return False
    return True


def _interrupt(process: subprocess.Popen[str]) -> bool:
    process.send_signal(signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(0.5)
    return process.returncode is not None
