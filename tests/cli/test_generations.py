"""``everwhen rebuild``, ``generations``, ``compare``, ``switch`` and ``drop``: builds side by side."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from everwhen.cli.exits import Exit
from everwhen.connect import open_store
from tests.cli.workspace import LOG, STORE, Finished, Workspace
from tests.parts.watching import eventually

ON_FILES = ("--log", LOG, "--store", STORE)
ASK = ("get", "account", "acc-1", "--store", STORE, "--json", "--valid-at", "2026-03-20T00:00:00Z")


def on_store(workspace: Workspace, *arguments: str) -> Finished:
    """Run a command that needs the store only."""
    return workspace.run(*arguments, "--store", STORE)


def lines(done: Finished) -> list[dict[str, object]]:
    """What a command printed, a JSON object a line."""
    return [json.loads(line) for line in done.out.splitlines()]


@pytest.fixture(scope="module")
def rebuilt_once(told: Workspace) -> Workspace:
    """The story is built again by code that gives a bonus to large deposits; shared, so tests only ask."""
    done = told.run("rebuild", "bank:generous", *ON_FILES)
    assert done.code == Exit.DONE, done.err
    return told


@pytest.fixture
def rebuilt(rebuilt_once: Workspace, tmp_path: Path) -> Workspace:
    """The same, for a test that goes on with it."""
    return rebuilt_once.copy(tmp_path / "project")


def test_changed_code_is_refused_and_told_what_to_do(workspace: Workspace) -> None:
    """It must not write into what other code built; the command that it names builds another generation."""
    workspace.publish("story")
    assert workspace.project().code == Exit.DONE
    refused = workspace.project("bank:generous")
    assert (refused.code, "everwhen rebuild MODULE:PROJECTION" in refused.err) == (Exit.REFUSED, True)
    done = workspace.run("rebuild", "bank:generous", *ON_FILES)
    assert (done.code, done.out.count("everwhen ")) == (Exit.DONE, 3)
    assert workspace.project("bank:generous").code == Exit.DONE
    assert workspace.project().code == Exit.DONE


def test_generations_are_listed(rebuilt: Workspace) -> None:
    """What each is for, which code built it, and how far it is behind the one that answers."""
    rebuilt.publish("hold")
    assert rebuilt.project().code == Exit.DONE
    first, second = lines(on_store(rebuilt, "generations", "account", "--json"))
    assert (first["generation"], first["state"], first["version"], first["behind"]) == (1, "live", 1, 0)
    assert (second["generation"], second["state"], second["version"], second["behind"]) == (2, "building", 3, 4)
    assert on_store(rebuilt, "generations", "account").out.splitlines()[1].split("\t")[:3] == ["2", "building", "3"]


def test_a_difference_is_told_with_the_event_that_made_it(rebuilt: Workspace, tmp_path: Path) -> None:
    """In a table, as JSON, and in a file for whoever looks later; the exit code says that there is one."""
    report = tmp_path / "report.jsonl"
    done = on_store(rebuilt, "compare", "account", "--report", str(report))
    entity, kind, valid_from, event, position, fields = done.out.splitlines()[0].split("\t")
    assert (done.code, entity, kind, event, fields) == (
        Exit.DIFFERENT,
        "acc-1",
        "state",
        "bank.account.deposited",
        "balance",
    )
    assert (valid_from, position.startswith("bank.accounts[")) == ("2026-03-05T00:00:00Z", True)
    assert done.err == "compared generations 1 and 2 of projection account: 3 entities, 6 versions, 1 difference\n"
    (difference,) = lines(on_store(rebuilt, "compare", "account", "1", "2", "--json"))
    assert difference["changes"] == [{"path": ["balance"], "before": "13.50", "after": "14.50"}]
    *differences, summary = map(json.loads, report.read_text().splitlines())
    assert (differences, summary["differences"], summary["generations"]) == ([difference], 1, [1, 2])
    same = on_store(rebuilt, "compare", "account", "2", "2")
    assert (same.code, same.out) == (Exit.DONE, "")


def test_a_switch_and_the_way_back(rebuilt: Workspace) -> None:
    """Answers change with it; each generation can be asked by its number before and after."""
    said = rebuilt.run(*ASK)
    assert said.document["state"]["balance"] == "13.50"
    assert on_store(rebuilt, "switch", "account").code == Exit.DONE
    assert rebuilt.run(*ASK).document["state"]["balance"] == "14.50"
    assert rebuilt.run(*ASK, "--basis", said.document["basis"]).document["state"]["balance"] == "13.50"
    for name, balance in (("account@1", "13.50"), ("account@2", "14.50"), ("bank:generous@2", "14.50")):
        assert rebuilt.run("get", name, *ASK[2:]).document["state"]["balance"] == balance
    back = on_store(rebuilt, "switch", "account", "--back")
    assert (back.code, back.out.splitlines()[0]) == (
        Exit.DONE,
        "generation 1 of projection account answers now instead of generation 2",
    )
    assert rebuilt.run(*ASK).document["state"]["balance"] == "13.50"


def test_a_generation_that_is_behind_does_not_answer_yet(rebuilt: Workspace) -> None:
    """Unless that is meant: else answers would go back in time. It is told how far, and with what it catches up."""
    rebuilt.publish("hold")
    assert rebuilt.project().code == Exit.DONE
    refused = on_store(rebuilt, "switch", "account", "--wait", "0")
    assert (refused.code, "4 offsets behind" in refused.error) == (Exit.NOT_YET_PROJECTED, True)
    forced = on_store(rebuilt, "switch", "account", "--even-if-behind")
    assert (forced.code, "is 4 offsets behind it" in forced.out) == (Exit.DONE, True)
    assert on_store(rebuilt, "switch", "account", "--back").code == Exit.DONE
    assert rebuilt.project("bank:generous@2").code == Exit.DONE
    assert on_store(rebuilt, "switch", "account", "2", "--wait", "0").code == Exit.DONE


@pytest.mark.parametrize(
    ("arguments", "code", "what"),
    [
        (("drop", "account", "1"), Exit.USAGE, "answers"),
        (("drop", "account", "7"), Exit.NOT_FOUND, "1 (live), 2 (building)"),
        (("switch", "account", "--back"), Exit.USAGE, "no other generation"),
        (("switch", "account", "1"), Exit.USAGE, "answers already"),
        (("switch", "account", "2", "--back"), Exit.USAGE, "not both"),
        (("switch", "account@2"), Exit.USAGE, "leave @2 out"),
        (("compare", "account", "2"), Exit.USAGE, "both"),
        (("compare", "account", "2", "9"), Exit.NOT_FOUND, "1 (live), 2 (building)"),
        (("generations", "accounts"), Exit.NOT_FOUND, "account"),
        (("get", "account@two", "acc-1"), Exit.USAGE, "account@2"),
    ],
)
def test_what_cannot_be_meant_is_said(
    rebuilt_once: Workspace, arguments: tuple[str, ...], code: Exit, what: str
) -> None:
    """In one line, and nothing has changed."""
    done = on_store(rebuilt_once, *arguments)
    assert (done.code, what in done.error, done.out) == (code, True, "")
    states = [line["state"] for line in lines(on_store(rebuilt_once, "generations", "account", "--json"))]
    assert states == ["live", "building"]


def test_what_is_dropped_is_gone(rebuilt: Workspace) -> None:
    """Its worker ends with a word on why."""
    assert on_store(rebuilt, "drop", "account", "2").code == Exit.DONE
    (left,) = lines(on_store(rebuilt, "generations", "account", "--json"))
    assert left["generation"] == 1
    gone = rebuilt.project("bank:generous@2")
    assert (gone.code, "no generation 2" in gone.err) == (Exit.NOT_FOUND, True)


def test_a_rebuild_that_is_killed_goes_on_where_it_was(workspace: Workspace) -> None:
    """Killed with its processes at work: none of them stays, what was committed is kept, and the end is the same."""
    workspace.publish("story")
    assert workspace.project("bank:slow").code == Exit.DONE
    os.mkfifo(workspace.path / "gate")
    workspace.publish("hold")
    # One record a batch, so that what stands before the deposit that it is held at is committed.
    started = workspace.start("rebuild", "bank:slow", *ON_FILES, "--processes", "2", EVERWHEN_BATCH_RECORDS="1")
    gates: list[int] = []
    assert eventually(lambda: _opened(workspace.path / "gate", gates)), started.communicate(timeout=60)
    children = Path(f"/proc/{started.pid}/task/{started.pid}/children").read_text().split()
    assert len(children) >= 2
    before = built(workspace, "slow")
    assert before > 0
    started.kill()
    os.close(gates[0])
    started.communicate(timeout=60)
    assert eventually(lambda: not any(Path(f"/proc/{child}").exists() for child in children))
    (workspace.path / "gate").unlink()
    (workspace.path / "gate").write_bytes(b"")
    assert built(workspace, "slow") >= before
    again = workspace.run("rebuild", "bank:slow", *ON_FILES)
    assert (again.code, "rebuild.resumed" in again.err) == (Exit.DONE, True)
    assert built(workspace, "slow") == 10
    assert workspace.project("bank:slow").code == Exit.DONE
    assert on_store(workspace, "compare", "slow", "1", "2").code == Exit.DONE


def test_a_rebuild_that_is_told_to_stop_says_that_it_is_not_done(workspace: Workspace) -> None:
    """A script that switches after it must not."""
    workspace.publish("story")
    assert workspace.project("bank:slow").code == Exit.DONE
    os.mkfifo(workspace.path / "gate")
    workspace.publish("hold")
    started = workspace.start("rebuild", "bank:slow", *ON_FILES, "--processes", "1")
    gates: list[int] = []
    assert eventually(lambda: _opened(workspace.path / "gate", gates)), started.communicate(timeout=60)
    started.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        started.wait(0.5)  # it finishes its batch first
    os.close(gates[0])
    out, errors = started.communicate(timeout=60)
    assert (started.returncode, out) == (Exit.INTERRUPTED, "")
    assert errors.splitlines()[-1] == "everwhen: the rebuild was interrupted; the same command goes on with it"


def test_a_process_of_a_rebuild_that_is_killed_is_told(workspace: Workspace) -> None:
    """The rebuild is not done then: it ends with a code of its own and says what to type."""
    workspace.publish("story")
    assert workspace.project("bank:slow").code == Exit.DONE
    os.mkfifo(workspace.path / "gate")
    workspace.publish("hold")
    started = workspace.start("rebuild", "bank:slow", *ON_FILES, "--processes", "1")
    gates: list[int] = []
    assert eventually(lambda: _opened(workspace.path / "gate", gates)), started.communicate(timeout=60)
    for child in Path(f"/proc/{started.pid}/task/{started.pid}/children").read_text().split():
        if "spawn_main" in Path(f"/proc/{child}/cmdline").read_text():
            os.kill(int(child), signal.SIGKILL)
    out, errors = started.communicate(timeout=60)
    os.close(gates[0])
    assert (started.returncode, out) == (Exit.PROCESS_DIED, "")
    assert "the same command goes on" in errors.splitlines()[-1]


def test_a_switch_waits_for_the_worker_of_the_new_one(rebuilt: Workspace) -> None:
    """It is behind when the switch is typed, and there when it is made."""
    rebuilt.publish("hold")
    assert rebuilt.project().code == Exit.DONE
    switching = rebuilt.start("switch", "account", "--store", STORE, "--wait", "60")
    assert rebuilt.project("bank:generous@2").code == Exit.DONE
    out, errors = switching.communicate(timeout=60)
    assert (switching.returncode, errors) == (Exit.DONE, "")
    assert "behind" not in out


def built(workspace: Workspace, projection: str) -> int:
    """How many offsets generation 2 has projected."""
    with closing(open_store(f"sqlite:///{workspace.path}/store.db")) as store:
        return sum(mark.next_offset for mark in store.reader(projection, 2).marks().values())


def _opened(path: Path, gates: list[int]) -> bool:
    try:
        gates.append(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
    except OSError:  # nobody reads yet
        return False
    return True
