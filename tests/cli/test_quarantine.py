"""``everwhen quarantine``: what it shows of records that cannot be applied, and what the worker does when asked."""

from __future__ import annotations

import json

import pytest

from everwhen.cli.exits import Exit
from tests.cli.workspace import LOG, STORE, Finished, Workspace

FROM_STORE = ("--store", STORE)
SECRETS = ("12.50", "Ærø")


@pytest.fixture
def parked(workspace: Workspace) -> Workspace:
    """The account acc-1 is parked in front of its first deposit, with another behind it."""
    workspace.publish("story")
    done = workspace.project("bank:broken")
    assert done.code == Exit.DONE
    assert "entity.parked in front of bank.accounts[" in done.err
    assert "refused() of projection broken raised ValueError" in done.err
    assert not any(secret in done.err for secret in SECRETS)
    return workspace


def records(workspace: Workspace) -> list[dict[str, object]]:
    """What is kept aside."""
    return list(map(json.loads, workspace.run("quarantine", "list", "broken", *FROM_STORE, "--json").out.splitlines()))


def place(workspace: Workspace) -> tuple[str, str]:
    """Partition and offset of the record that failed."""
    position = records(workspace)[0]["position"]
    assert isinstance(position, dict)
    return str(position["partition"]), str(position["offset"])


def asked(workspace: Workspace, *arguments: str) -> Finished:
    """Ask, and run the worker."""
    done = workspace.run("quarantine", *arguments, *FROM_STORE)
    assert done.code == Exit.DONE, done.err
    assert workspace.project("bank:broken").code == Exit.DONE
    return done


def test_list_and_show_never_show_a_payload_unasked(parked: Workspace) -> None:
    """Position, entity, status and error; the payload only where it is asked for."""
    rows = [line.split("\t") for line in parked.run("quarantine", "list", "bank:broken", *FROM_STORE).out.splitlines()]
    assert [(row[1], row[2], row[3], row[4]) for row in rows] == [
        ("acc-1", "failed", "-", "1"),
        ("acc-1", "waiting", "-", "0"),
    ]
    assert "HandlerError: bank.accounts[" in rows[0][6]
    at = place(parked)
    shown = parked.run("quarantine", "show", "broken", *at, *FROM_STORE)
    assert (shown.code, "failed" in shown.out, "value" in shown.out) == (Exit.DONE, True, False)
    payload = parked.run("quarantine", "show", "broken", *at, *FROM_STORE, "--payload", "--json").document
    assert (payload["key"], payload["header ce_id"], payload["value"][:4]) == ("acc-1", "e2", "hex ")
    assert not any(secret in f"{rows}{shown.out}" for secret in SECRETS)


def test_retry_is_carried_out_by_the_worker(parked: Workspace) -> None:
    """It fails again with the same code, and the tries are counted."""
    for number, which in enumerate((place(parked), ("--entity", "acc-1"), ("--all",)), start=2):
        done = asked(parked, "retry", "broken", *which)
        assert done.out.startswith("asked for ")
        assert [(row["status"], row["attempts"], row["request"]) for row in records(parked)] == [
            ("failed", number, None),
            ("waiting", 0, None),
        ]


def test_discard_leaves_a_record_out(parked: Workspace) -> None:
    """What waits behind it is tried again, and explain shows what was left out, and why."""
    asked(parked, "discard", "broken", *place(parked), "--reason", "counted twice")
    assert [row["status"] for row in records(parked)] == ["discarded", "failed"]
    explained = parked.run("explain", "broken", "acc-1", *FROM_STORE)
    assert explained.code == Exit.QUARANTINED
    assert explained.out.splitlines()[-1].split("\t")[0::5] == ["discarded", "counted twice"]
    document = parked.run("explain", "broken", "acc-1", *FROM_STORE, "--json").document
    assert [each["reason"] for each in document["discarded"]] == ["counted twice"]
    asked(parked, "retry", "broken", "--all")
    second = records(parked)[1]["position"]
    assert isinstance(second, dict)
    at = (str(second["partition"]), str(second["offset"]))
    asked(parked, "discard", "broken", *at, "--reason", "as well")
    assert parked.run("get", "broken", "acc-1", *FROM_STORE).code == Exit.DONE


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("show", "broken", "0", "99"), Exit.USAGE),
        (("retry", "broken", "0", "99"), Exit.USAGE),
        (("retry", "broken", "--entity", "nobody"), Exit.USAGE),
        (("retry", "broken"), Exit.USAGE),
        (("retry", "broken", "0", "1", "--all"), Exit.USAGE),
        (("discard", "broken", "0", "99", "--reason", "x"), Exit.USAGE),
        (("discard", "broken", "0", "0", "--reason", " "), Exit.USAGE),
        (("list", "nothing"), Exit.NOT_FOUND),
    ],
)
def test_what_cannot_be_meant_is_said(workspace: Workspace, arguments: tuple[str, ...], code: Exit) -> None:
    """In one line, before anything is asked for."""
    workspace.publish("story")
    workspace.run("worker", "bank:broken", "--log", LOG, *FROM_STORE, "--until-end")
    done = workspace.run("quarantine", *arguments, *FROM_STORE)
    assert done.code == code
    assert done.error.startswith("everwhen: ")
