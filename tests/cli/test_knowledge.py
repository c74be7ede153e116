"""``explain``, ``diff``, ``changes`` and ``history --audit``: what they print, piped and as JSON."""

from __future__ import annotations

import json

import pytest

from everwhen.cli.exits import Exit
from tests.cli.workspace import STORE, Workspace

FROM_STORE = ("--store", STORE)
THEN = "2026-03-04T12:00:00Z"


def test_explain_names_the_events(told: Workspace) -> None:
    """With the code also what they say; without it everything but that."""
    question = ("explain", "bank:account", "acc-1", *FROM_STORE, "--valid-at", THEN)
    done = told.run(*question)
    answer, events = done.out.split("\n\n")
    assert (done.code, done.err) == (Exit.DONE, "")
    assert ["balance", "1.00"] in [line.split() for line in answer.splitlines()]
    rows = [line.split("\t") for line in events.splitlines()]
    assert [(row[0], row[1], row[3], json.loads(row[5])) for row in rows] == [
        ("folded", "2026-03-01T00:00:00Z", "e1", {"owner": "Ærø"}),
        ("folded", "2026-03-03T00:00:00Z", "e6", {"amount": "1.00"}),
    ]
    plain = told.run("explain", "account", "acc-1", *FROM_STORE, "--valid-at", THEN, "--json").document
    assert [fact["event_id"] for fact in plain["events"]] == ["e1", "e6"]
    assert [fact["event"] for fact in plain["events"]] == [None, None]
    assert (plain["withdrawn"], plain["conflicts"]) == ([], [])
    assert plain["answer"]["event_id"] == "e6"


def test_diff_names_fields_and_events(told: Workspace) -> None:
    """Between two instants, and between what was known at two."""
    done = told.run("diff", "account", "acc-1", "2026-03-01T00:00:00Z", "2026-03-06T00:00:00Z", *FROM_STORE)
    fields, events = done.out.split("\n\n")
    assert (done.code, done.err) == (Exit.DONE, "")
    assert fields == 'balance\t"0"\t"13.50"'
    assert [line.split("\t")[0:4:3] for line in events.splitlines()] == [["+", "e6"], ["+", "e2"]]
    token = told.run("get", "account", "acc-1", *FROM_STORE, "--json").document["basis"]
    same = told.run("diff", "account", "acc-1", f"now,basis={token}", "now", *FROM_STORE, "--json").document
    assert (same["changes"], same["added"], same["removed"]) == ([], [], [])
    known = told.run("get", "account", "acc-1", *FROM_STORE, "--json").document["watermark"]
    assert told.run("diff", "account", "acc-1", "now", f"now,known={known}", *FROM_STORE).code == Exit.DONE


@pytest.mark.parametrize("point", ["yesterday", "now,basis=b2.x", "now,since=x", "now,known=yesterday", "now,basis"])
def test_a_point_that_cannot_be_meant_is_said(told: Workspace, point: str) -> None:
    """In one line."""
    done = told.run("diff", "account", "acc-1", point, "now", *FROM_STORE)
    assert done.code == Exit.USAGE
    assert done.error.startswith("everwhen: ")


def test_changes_give_the_token_to_go_on_from(told: Workspace) -> None:
    """Everything at first; nothing after it."""
    first = told.run("changes", "account", *FROM_STORE)
    assert first.code == Exit.DONE
    assert [line.split("\t")[:2] for line in first.out.splitlines()] == [
        ["acc\\t3\\x1b[31m", "2026-03-02T00:00:00Z"],
        ["acc-1", "2026-03-01T00:00:00Z"],
        ["acc-2", "2026-03-02T00:00:00Z"],
    ]
    token = first.error.removeprefix("basis: ")
    again = told.run("changes", "account", *FROM_STORE, "--since", token, "--json")
    assert again.document == {"basis": token}
    documents = [json.loads(line) for line in told.run("changes", "account", *FROM_STORE, "--json").out.splitlines()]
    assert [each.get("entity_id") for each in documents] == ["acc\t3\x1b[31m", "acc-1", "acc-2", None]
    assert documents[2]["answer"]["status"] == "deleted"


def test_an_audit_has_every_belief(told: Workspace) -> None:
    """The late deposit ended what was believed of the days after it."""
    done = told.run("history", "account", "acc-1", *FROM_STORE, "--audit")
    rows = [line.split("\t") for line in done.out.splitlines()]
    assert (done.code, done.err) == (Exit.DONE, "")
    states = [(row[2], json.loads(row[5])["balance"], row[1] == "-") for row in rows]
    assert states == [
        ("2026-03-01T00:00:00Z", "0", False),
        ("2026-03-01T00:00:00Z", "0", False),
        ("2026-03-05T00:00:00Z", "12.50", False),
        ("2026-03-01T00:00:00Z", "0", True),
        ("2026-03-03T00:00:00Z", "1.00", True),
        ("2026-03-05T00:00:00Z", "13.50", True),
    ]
    document = told.run("history", "account", "acc-1", *FROM_STORE, "--audit", "--json").document
    assert len(document["versions"]) == 6
    assert document["versions"][0]["ended_by"] == document["versions"][1]["made_by"]
    refused = told.run("history", "account", "acc-1", *FROM_STORE, "--audit", "--known-at", THEN)
    assert (refused.code, "every point of knowledge" in refused.error) == (Exit.USAGE, True)
    nobody = told.run("history", "account", "acc-9", *FROM_STORE, "--audit")
    assert (nobody.code, nobody.out) == (Exit.NEVER_EXISTED, "")
