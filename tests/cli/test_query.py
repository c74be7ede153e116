"""``get``, ``history`` and ``snapshot``: what they print, piped and on a terminal, and the codes they exit with."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from everwhen.cli.exits import Exit
from everwhen.positions import Basis, Position
from everwhen.tokens import PositionToken
from tests.cli.workspace import STORE, Workspace

FROM_STORE = ("--store", STORE)


def test_get_json(told: Workspace) -> None:
    """Without it a script could not read an answer: every field, instants with a Z, the basis as a token."""
    done = told.run("get", "account", "acc-1", *FROM_STORE, "--valid-at", "2026-03-03T12:00:00Z", "--json")
    assert (done.code, done.err) == (Exit.DONE, "")
    answer = done.document
    assert answer.pop("basis").startswith("b2.")
    assert answer.pop("recorded_at").endswith("Z")
    assert answer.pop("watermark").endswith("Z")
    assert answer.pop("position")["topic"] == "bank.accounts"
    assert answer == {
        "projection": "account",
        "entity_id": "acc-1",
        "valid_at": "2026-03-03T12:00:00Z",
        "status": "found",
        "state": {"owner": "Ærø", "balance": "1.00"},
        "valid_from": "2026-03-03T00:00:00Z",
        "valid_to": "2026-03-05T00:00:00Z",
        "superseded_at": None,
        "event_id": "e6",
        "event_type": "bank.account.deposited",
        "final": False,
        "folded": False,
        "incomplete": None,
        "behind": None,
    }


@pytest.mark.parametrize(
    ("entity", "valid_at", "code", "status"),
    [
        ("acc-1", "2026-02-28T23:59:59.999999Z", Exit.BEFORE_FIRST, "before_first"),
        ("acc-1", "2026-03-01T02:00:00+02:00", Exit.DONE, "found"),
        ("acc-2", "2026-03-04T00:00:00Z", Exit.DELETED, "deleted"),
        ("acc-9", "2026-03-04T00:00:00Z", Exit.NEVER_EXISTED, "never_existed"),
    ],
)
def test_exit_codes_of_answers(told: Workspace, entity: str, valid_at: str, code: Exit, status: str) -> None:
    """A script tells the reasons why there is no state by the exit code, and a person by the words."""
    question = ("get", "account", entity, *FROM_STORE, "--valid-at", valid_at)
    as_json, as_text = told.run(*question, "--json"), told.run(*question)
    assert (as_json.code, as_json.document["status"]) == (code, status)
    assert as_text.code == code
    assert "status" in as_text.out
    assert status in as_text.out


def test_get_as_fields(told: Workspace) -> None:
    """A person sees the state and where it comes from; and nothing in it can command the terminal."""
    done = told.run("get", "account", "acc-1", *FROM_STORE)
    fields = dict(line.split(maxsplit=1) for line in done.out.splitlines() if len(line.split(maxsplit=1)) == 2)
    assert fields["entity"] == "acc-1"
    assert fields["owner"] == "Ærø"
    assert fields["balance"] == "13.50"
    assert fields["event"] == "bank.account.deposited e2"
    wild = told.run("get", "account", "acc\t3\x1b[31m", *FROM_STORE)
    assert wild.code == Exit.DONE
    assert "acc\\t3\\x1b[31m" in wild.out
    assert "\\x1b[2Jcat\\x9b" in wild.out
    assert "\x1b" not in wild.out
    assert "\x9b" not in wild.out


def test_with_the_code_as_without_it(told: Workspace) -> None:
    """The same JSON comes out whether states are read as dicts or as models."""
    question = ("acc-1", *FROM_STORE, "--json")
    by_name, by_code = told.run("history", "account", *question), told.run("history", "bank:account", *question)
    assert by_name == by_code


def test_basis_and_known_at(told: Workspace) -> None:
    """A late event is left out when what was known before it is asked for, and the token repeats the answer."""
    versions = told.run("history", "account", "acc-1", *FROM_STORE, "--json").document["versions"]
    before_the_late_one = versions[-1]["recorded_at"]
    question = ("get", "account", "acc-1", *FROM_STORE, "--valid-at", "2026-03-06T00:00:00Z", "--json")
    believed = told.run(*question, "--known-at", before_the_late_one).document
    assert (believed["state"]["balance"], believed["superseded_at"] is None) == ("12.50", False)
    assert told.run(*question, "--basis", believed["basis"]).document == believed
    assert told.run(*question).document["state"]["balance"] == "13.50"
    ahead = told.run(*question, "--known-at", "2999-01-01T00:00:00Z")
    assert (ahead.code, ahead.document["status"]) == (Exit.NOT_YET_PROJECTED, "not_yet_projected")


def test_at_least(told: Workspace) -> None:
    """A script that has a token waits for its event; when the time is up it learns how far the projection is."""
    question = ("get", "account", "acc-1", *FROM_STORE, "--valid-at", "2026-03-06T00:00:00Z")
    found = told.run(*question, "--json").document
    reached = PositionToken(Position(**found["position"]))
    assert told.run(*question, "--at-least", str(reached), "--json").document == found
    ahead = str(PositionToken(reached.position._replace(offset=99)))
    late = told.run(*question, "--at-least", ahead, "--timeout", "0.01", "--json")
    assert (late.code, late.document["status"]) == (Exit.NOT_YET_PROJECTED, "not_yet_projected")
    assert "has not reached bank.accounts[" in late.document["behind"]
    assert "behind" in told.run(*question, "--at-least", ahead, "--timeout", "0").out
    assert told.run(*question, "--at-least", "p1.x").code == Exit.USAGE


def test_a_belief_that_is_not_stored(workspace: Workspace) -> None:
    """Where only the code of the projection can answer, a reader without it is told to name it."""
    workspace.publish("late")
    assert workspace.project().code == 0
    question = ("acc-1", *FROM_STORE, "--json")
    now = workspace.run("get", "account", *question).document
    basis = Basis.parse(now["basis"])
    partition = now["position"]["partition"]
    earlier = Basis.of(basis.topic, {**basis, partition: basis[partition]._replace(next_offset=25)})
    by_name = workspace.run("get", "account", *question, "--basis", str(earlier))
    assert (by_name.code, by_name.out) == (Exit.NOT_STORED, "")
    assert "give MODULE:PROJECTION instead of account" in by_name.error
    by_code = workspace.run("get", "bank:account", *question, "--basis", str(earlier)).document
    assert (by_code["state"]["balance"], by_code["folded"]) == ("24.00", True)


def test_history(told: Workspace) -> None:
    """All versions come in the order of valid time; in JSON with the status and the basis of the whole."""
    done = told.run("history", "account", "acc-2", *FROM_STORE, "--json")
    assert done.code == Exit.DONE
    assert done.document["status"] == "found"
    assert done.document["basis"].startswith("b2.")
    assert [(v["event_id"], v["state"]) for v in done.document["versions"]] == [
        ("e3", {"owner": "ben", "balance": "0"}),
        ("e4", None),
    ]
    missing = told.run("history", "account", "acc-9", *FROM_STORE)
    assert (missing.code, missing.out, missing.error) == (
        Exit.NEVER_EXISTED,
        "",
        "'acc-9': no event of the entity is known",
    )


def test_history_as_table(told: Workspace) -> None:
    """A terminal gets titles and states that are easy to read; ``cut`` and ``awk`` get bare columns and JSON."""
    question = ("history", "account", "acc-1", *FROM_STORE)
    piped = [line.split("\t") for line in told.run(*question).out.splitlines()]
    assert [(row[0], row[2], json.loads(row[3])["balance"]) for row in piped] == [
        ("2026-03-01T00:00:00Z", "bank.account.opened", "0"),
        ("2026-03-03T00:00:00Z", "bank.account.deposited", "1.00"),
        ("2026-03-05T00:00:00Z", "bank.account.deposited", "13.50"),
    ]
    titles, *rows = told.run_on_terminal(*question, columns=120).out.splitlines()
    assert titles.split() == ["VALID", "FROM", "RECORDED", "AT", "EVENT", "STATE"]
    assert [row.rpartition("owner=Ærø  balance=")[2] for row in rows] == ["0", "1.00", "13.50"]


def test_snapshot(told: Workspace) -> None:
    """Every entity with a state is there once, the deleted ones only when they are wanted."""
    question = ("snapshot", "account", *FROM_STORE, "--valid-at", "2026-03-04T12:00:00Z")
    plain, deleted = told.run(*question), told.run(*question, "--deleted")
    assert (plain.code, deleted.code) == (Exit.DONE, Exit.DONE)
    assert [line.split("\t")[:2] for line in plain.out.splitlines()] == [
        ["acc\\t3\\x1b[31m", "found"],
        ["acc-1", "found"],
    ]
    assert deleted.out.splitlines()[-1].split("\t") == ["acc-2", "deleted", "2026-03-04T00:00:00Z", "-"]
    table = told.run_on_terminal(*question, "--deleted", columns=60)
    assert [line.split()[0] for line in table.out.splitlines()] == ["ENTITY", "acc\\t3\\x1b[31m", "acc-1", "acc-2"]
    assert "\x1b" not in table.out


def test_snapshot_json(told: Workspace) -> None:
    """A line of a snapshot is what ``get`` prints of that entity at the same instant and basis."""
    instant = ("--valid-at", "2026-03-04T12:00:00Z")
    lines = [
        json.loads(line) for line in told.run("snapshot", "account", *FROM_STORE, *instant, "--json").out.splitlines()
    ]
    assert [line["entity_id"] for line in lines] == ["acc\t3\x1b[31m", "acc-1"]
    pinned = ("--basis", lines[1]["basis"])
    again = told.run("get", "account", "acc-1", *FROM_STORE, *instant, *pinned, "--json").document
    assert again == lines[1] | {"final": True}
    ahead = told.run("snapshot", "account", *FROM_STORE, "--known-at", "2999-01-01T00:00:00Z")
    assert ahead.code == Exit.NOT_YET_PROJECTED


def test_snapshot_into_a_closed_pipe(workspace: Workspace) -> None:
    """``everwhen snapshot … | head -1`` ends at once, as every Unix program does, and says nothing."""
    workspace.publish("many")
    assert workspace.project().code == 0
    process = workspace.start("snapshot", "account", *FROM_STORE, "--json")
    assert process.stdout is not None
    assert process.stderr is not None
    assert json.loads(process.stdout.readline())["entity_id"] == "acc-000"
    process.stdout.close()
    with process.stderr:
        assert (process.wait(60), process.stderr.read()) == (Exit.PIPE_CLOSED, "")
    table = workspace.run_on_terminal("snapshot", "account", *FROM_STORE)
    assert len(table.out.splitlines()) == 401
    assert {len(line) for line in table.out.splitlines()[1:]} == {100}


def test_everything_from_the_environment(told: Workspace) -> None:
    """A container is configured by variables alone."""
    done = told.run(
        "get",
        "account",
        "acc-1",
        EVERWHEN_STORE=STORE,
        EVERWHEN_VALID_AT="2026-03-01T00:00:00Z",
        EVERWHEN_JSON="1",
    )
    assert done.document["state"] == {"owner": "Ærø", "balance": "0"}


def test_an_encoding_that_cannot_show_it(told: Workspace) -> None:
    """An old locale makes a name look ugly, and no more."""
    question = ("get", "account", "acc-1", *FROM_STORE)
    done = told.run_new(*question, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert done.code == Exit.DONE
    assert "\\xc6r\\xf8" in done.out


def test_version(told: Workspace) -> None:
    """The installed script is there and says which version it is."""
    script = told.run_new("--version").out
    assert script.startswith("everwhen ")
    assert script.count("\n") == 1
    assert told.run_new("--version", program=(str(Path(sys.executable).with_name("everwhen")),)).out == script
