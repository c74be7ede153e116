"""``everwhen continuity``: what is decided where the log does not go on, and what the worker does then."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from everwhen.cli.exits import Exit
from tests.cli.workspace import LOG, STORE, Workspace

FROM_STORE = ("--store", STORE)
BOTH = ("--log", LOG, "--store", STORE)
SURE = ("--reason", "tried", "--yes")


@pytest.fixture
def projected(workspace: Workspace) -> Workspace:
    """The story is published and projected."""
    workspace.publish("story")
    assert workspace.project().code == Exit.DONE
    return workspace


def tamper(workspace: Workspace, statement: str, *parameters: object) -> None:
    """Change the log behind its back."""
    with closing(sqlite3.connect(workspace.path / "log.db", isolation_level=None)) as log:
        log.execute(statement, parameters)


def stands(workspace: Workspace) -> dict[int, tuple[int, str | None]]:
    """Where the partitions stand, and what stopped them."""
    shown = workspace.run("continuity", "show", "account", *FROM_STORE, "--json").document
    return {
        each["partition"]: (each["next_offset"], each["trouble"] and each["trouble"]["error"])
        for each in shown["partitions"]
    }


def home(workspace: Workspace) -> tuple[int, int]:
    """The partition of acc-1, and where it stands."""
    position = workspace.run("get", "account", "acc-1", *FROM_STORE, "--json").document["position"]
    return position["partition"], stands(workspace)[position["partition"]][0]


def test_a_gap_is_accepted_for_good(projected: Workspace) -> None:
    """The worker says which command, the command what it did; answers are complete again, and explain shows the gap."""
    partition, end = home(projected)
    projected.publish("story")
    tamper(projected, 'DELETE FROM records WHERE partition = ? AND "offset" < ?', partition, end + 1)
    done = projected.project()
    assert done.code == Exit.CONTINUITY
    assert f"everwhen continuity accept-gap MODULE:account --partition {partition} --reason TEXT" in done.err
    answer = projected.run("get", "account", "acc-1", *FROM_STORE, "--json").document["incomplete"]
    assert (answer["error"], answer["position"]["offset"]) == ("LogGap", end)
    assert "incomplete: LogGap at" in projected.run("snapshot", "account", *FROM_STORE).err
    at = ("--partition", str(partition))
    asked = projected.run("continuity", "accept-gap", "account", *at, "--reason", "tried", *BOTH)
    assert (asked.code, "Say --yes" in asked.error) == (Exit.USAGE, True)
    done = projected.run("continuity", "accept-gap", "bank:account", *at, *SURE, *BOTH)
    assert (done.code, f"the gap from {end} to {end + 1} is accepted" in done.out) == (Exit.DONE, True), done.err
    assert projected.run("continuity", "accept-gap", "account", *at, *SURE, *BOTH).code == Exit.USAGE
    assert projected.project().code == Exit.DONE
    explained = projected.run("explain", "account", "acc-1", *FROM_STORE)
    assert explained.out.splitlines()[-1].split("\t")[0::5] == ["gap", "tried"]
    assert projected.run("get", "account", "acc-1", *FROM_STORE, "--json").document["incomplete"] is None


def test_a_partition_goes_back_and_is_read_again(projected: Workspace) -> None:
    """The log lost its tail: after the roll-back what is in it is applied, and the answer is that of a fresh store."""
    partition, end = home(projected)
    tamper(projected, 'DELETE FROM records WHERE partition = ? AND "offset" >= ?', partition, end - 1)
    assert projected.project().code == Exit.CONTINUITY
    at = ("--partition", str(partition), "--to-offset", str(end - 1))
    done = projected.run("continuity", "roll-back", "bank:account", *at, *SURE, *FROM_STORE)
    assert (done.code, f"from {end} back to {end - 1}, 1 entities" in done.out) == (Exit.DONE, True), done.err
    assert projected.project().code == Exit.DONE
    assert projected.project(store="sqlite:///fresh.db").code == Exit.DONE
    answers = [
        projected.run("get", "account", "acc-1", "--store", store, "--json").document
        for store in (STORE, "sqlite:///fresh.db")
    ]
    assert [{**answer, "valid_at": None, "watermark": None, "basis": None} for answer in answers[:1]] == [
        {**answer, "valid_at": None, "watermark": None, "basis": None} for answer in answers[1:]
    ]


def test_a_topic_that_was_made_again_begins_anew(projected: Workspace) -> None:
    """All that was held is gone, and the new topic is projected from its beginning."""
    for table in ("records", "topics"):
        tamper(projected, f"DELETE FROM {table}")
    projected.publish("story")
    done = projected.project()
    assert (done.code, "everwhen continuity restart MODULE:account" in done.err) == (Exit.CONTINUITY, True)
    before = projected.run("get", "account", "acc-1", *FROM_STORE, "--json").document
    done = projected.run("continuity", "restart", "account", *SURE, *BOTH)
    assert (done.code, "2 partitions begin anew" in done.out) == (Exit.DONE, True), done.err
    assert projected.run("get", "account", "acc-1", *FROM_STORE).code == Exit.NEVER_EXISTED
    assert projected.project().code == Exit.DONE
    after = projected.run("get", "account", "acc-1", *FROM_STORE, "--json").document
    assert (after["state"], after["incomplete"]) == (before["state"], None)


def test_new_partitions_are_read_once_they_are_accepted(projected: Workspace) -> None:
    """From their beginning; before that they stand at 0 and the others are read on."""
    tamper(projected, "UPDATE topics SET partitions = 3")
    assert projected.project().code == Exit.CONTINUITY
    assert stands(projected)[2] == (0, "Repartitioned")
    done = projected.run("continuity", "accept-partitions", "account", *SURE, *FROM_STORE)
    assert (done.code, "partitions 2 are read from their beginning" in done.out) == (Exit.DONE, True), done.err
    assert projected.project().code == Exit.DONE
    assert stands(projected)[2][1] is None
    assert projected.run("continuity", "accept-partitions", "account", *SURE, *FROM_STORE).code == Exit.USAGE
    table = projected.run("continuity", "show", "account", *FROM_STORE).out
    assert table.splitlines()[-1].split("\t")[2:] == ["partitions", "0", "0", "tried"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("roll-back", "bank:account", "--partition", "0", "--to-offset", "999", *SURE), Exit.USAGE),
        (("roll-back", "bank:account", "--partition", "9", "--to-offset", "0", *SURE), Exit.USAGE),
        (("roll-back", "bank:newer", "--partition", "0", "--to-offset", "0", *SURE), Exit.REFUSED),
        (("accept-partitions", "account", "--reason", " ", "--yes"), Exit.USAGE),
        (("show", "nothing"), Exit.NOT_FOUND),
    ],
)
def test_what_cannot_be_meant_is_said(told: Workspace, arguments: tuple[str, ...], code: Exit) -> None:
    """In one line, and nothing is changed."""
    done = told.run("continuity", *arguments, *FROM_STORE)
    assert (done.code, done.error.startswith("everwhen: ")) == (code, True), done.err
