"""``everwhen schema write`` and ``check``: contracts are written, kept and compared."""

from __future__ import annotations

import json
import shutil

from everwhen.cli.exits import Exit
from tests.cli.workspace import Workspace

WRITE, CHECK = ("schema", "write", "bank:accounts"), ("schema", "check", "bank:accounts")


def test_write_then_check(workspace: Workspace) -> None:
    """The files of a new project are written once, by the paths that are printed."""
    shutil.rmtree(workspace.path / "schemas")
    missing = workspace.run(*CHECK)
    assert missing.code == Exit.PROBLEMS
    assert "everwhen schema write" in missing.err
    written = workspace.run(*WRITE).out.splitlines()
    assert written == [
        f"schemas/bank.accounts/bank.account.{name}/1.avsc" for name in ("opened", "deposited", "closed")
    ]
    assert all((workspace.path / path).is_file() for path in written)
    assert workspace.run(*WRITE).out == "topic bank.accounts: the contracts of its 3 events are up to date\n"
    assert workspace.run(*CHECK).out == "topic bank.accounts: its 3 events agree with their contracts\n"


def test_a_compatible_change(workspace: Workspace) -> None:
    """A new field with a default is named by ``check`` and gets the next version."""
    _edit(workspace, "    owner: str\n\n\nclass Dep", '    owner: str\n    branch: str = "main"\n\n\nclass Dep')
    checked = workspace.run(*CHECK)
    assert checked.code == Exit.PROBLEMS
    assert "branch" in checked.error
    assert "1.avsc" in checked.error
    assert workspace.run(*WRITE).out == "schemas/bank.accounts/bank.account.opened/2.avsc\n"
    assert workspace.run(*CHECK).code == Exit.DONE


def test_changes_that_break_old_events(workspace: Workspace) -> None:
    """Every problem is on a line with class, file, field and remedy, and nothing is written."""
    _edit(workspace, "    owner: str\n\n\nclass Dep", "    owner: str\n    branch: str\n\n\nclass Dep")
    _edit(workspace, "max_digits=12, decimal_places=2", "max_digits=12, decimal_places=3")
    for command in (WRITE, CHECK):
        done = workspace.run(*command)
        lines = done.err.splitlines()
        assert (done.code, done.out) == (Exit.PROBLEMS, "")
        assert len(lines) >= 2
        assert all(line.startswith("everwhen: ") for line in lines)
        for name, field in (("Opened", "branch"), ("Deposited", "amount")):
            assert any(name in line and field in line and "1.avsc" in line for line in lines)
    assert not list(workspace.path.glob("schemas/**/2.avsc"))


def _edit(workspace: Workspace, old: str, new: str) -> None:
    module = workspace.path / "bank.py"
    text = module.read_text()
    assert old in text
    module.write_text(text.replace(old, new))


def test_a_projection_is_replayed(workspace: Workspace) -> None:
    """Given a projection, a line for each version says whether its handlers still take it."""
    done = workspace.run("schema", "check", "bank:account")
    assert done.code == Exit.DONE
    assert done.out.splitlines() == [
        "topic bank.accounts: its 3 events agree with their contracts",
        "bank.account.opened\t1\treadable\t4\t-\topened\t-",
        "bank.account.deposited\t1\treadable\t5\t-\tdeposited\t-",
        "bank.account.closed\t1\treadable\t1\t-\tclosed\t-",
    ]
    _edit(workspace, '"balance": state.balance + event.amount', '"balance": state.balance + event.cents')
    broken = workspace.run("schema", "check", "bank:account")
    assert broken.code == Exit.PROBLEMS
    assert "bank.account.deposited\t1\tbroken\t5" in broken.out
    assert "bank.account.deposited version 1: deposited() of projection account raised AttributeError" in broken.error


def test_a_mode_is_judged_beside_the_floor(workspace: Workspace) -> None:
    """A field with a default breaks no reader of old events, but who deployed the old class reads the new ones, too."""
    _edit(workspace, "    owner: str\n\n\nclass Dep", "    owner: str | None = None\n\n\nclass Dep")
    assert workspace.run(*WRITE).out == "schemas/bank.accounts/bank.account.opened/2.avsc\n"
    assert "bank.account.opened\t1\t2\tyes" in workspace.run(*CHECK, "--mode", "backward").out
    full = workspace.run(*CHECK, "--mode", "full_transitive")
    assert full.code == Exit.PROBLEMS
    why = "owner: the reader takes no null (writer: null; reader: string)"
    assert f"bank.account.opened\t2\t1\tno\t{why}" in full.out
    assert full.error == f"everwhen: bank.account.opened 1.avsc does not read 2.avsc: {why}"


def test_verdicts_for_machines(workspace: Workspace) -> None:
    """One object whatever is found, with the parts of each verdict, and the exit code of the words."""
    asked = ("schema", "check", "bank:account", "--mode", "full_transitive", "--json")
    well = workspace.run(*asked)
    assert well.code == Exit.DONE
    told = json.loads(well.out)
    assert (told["topic"], told["events"][0], told["problems"]) == ("bank.accounts", "bank.account.opened", [])
    (opened, *_) = told["replay"]
    assert opened == {
        "event": "bank.account.opened",
        "version": 1,
        "verdict": "readable",
        "examples": 4,
        "upcasters": [],
        "handler": "opened",
        "refused": {},
        "problems": [],
    }
    _edit(workspace, "    owner: str\n\n\nclass Dep", "    owner: str | None = None\n\n\nclass Dep")
    unwritten = workspace.run(*asked)
    told = json.loads(unwritten.out)
    assert (unwritten.code, told["versions"], told["replay"]) == (Exit.PROBLEMS, None, None)
    assert any("owner" in problem and "1.avsc" in problem for problem in told["problems"])
    assert unwritten.err == ""
    assert workspace.run(*WRITE).code == Exit.DONE
    full = workspace.run(*asked)
    told = json.loads(full.out)
    (broken,) = (pair for pair in told["versions"] if pair["verdict"] == "no")
    assert (broken["event"], broken["writer"], broken["reader"]) == ("bank.account.opened", 2, 1)
    text = "owner: the reader takes no null (writer: null; reader: string)"
    assert broken["found"] == [
        {"path": "owner", "rule": "null", "writer": "null", "reader": "string", "text": text},
    ]
    assert [each["verdict"] for each in told["replay"] if each["problems"]] == ["broken"]
    assert full.code == Exit.PROBLEMS
    assert told["problems"][0] == f"bank.account.opened 1.avsc does not read 2.avsc: {text}"
    assert told["problems"][1].startswith("bank.account.opened version 2: opened() met an invalid Account")


def test_an_upcaster_bridges_two_versions(workspace: Workspace) -> None:
    """What would break is written, and shown as bridged."""
    _edit(workspace, "    owner: str\n\n\nclass Dep", "    owner: str\n    branch: str\n\n\nclass Dep")
    declared = "accounts.upcast(Opened, version=1)(lambda old: old | {'branch': 'main'})\n"
    _edit(workspace, "\n\nclass Account(BaseModel)", f"\n\n{declared}\n\nclass Account(BaseModel)")
    assert workspace.run(*WRITE).out == "schemas/bank.accounts/bank.account.opened/2.avsc\n"
    done = workspace.run("schema", "check", "bank:account", "--mode", "backward_transitive")
    assert done.code == Exit.DONE
    assert "bank.account.opened\t1\t2\tbridged\t<lambda>()" in done.out
    assert "bank.account.opened\t1\treadable\t4\t<lambda>\topened\t-" in done.out
