"""``join``: pairs from a file or a pipe, an answer for each in their order, and what is said of wrong lines."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from everwhen.cli.exits import Exit
from tests.cli.workspace import STORE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.workspace import Finished, Workspace

FROM_STORE = ("--store", STORE)
PAIRS = """\
entity_id,valid_at
acc-1,2026-03-04T12:00:00Z
acc-9,2026-03-04T12:00:00Z
acc-2,2026-03-04T12:00:00Z

"acc\t3\x1b[31m", 2026-03-04T14:00:00+02:00
acc-1,2026-02-01T00:00:00Z
acc-1,2026-03-04T12:00:00Z
"""
LINES = [
    ["acc-1", "2026-03-04T12:00:00Z", "found", "2026-03-03T00:00:00Z"],
    ["acc-9", "2026-03-04T12:00:00Z", "never_existed", "-"],
    ["acc-2", "2026-03-04T12:00:00Z", "deleted", "2026-03-04T00:00:00Z"],
    ["acc\\t3\\x1b[31m", "2026-03-04T12:00:00Z", "found", "2026-03-02T00:00:00Z"],
    ["acc-1", "2026-02-01T00:00:00Z", "before_first", "-"],
    ["acc-1", "2026-03-04T12:00:00Z", "found", "2026-03-03T00:00:00Z"],
]


def joined(workspace: Workspace, directory: Path, pairs: str | bytes, *options: str) -> Finished:
    """Join the pairs of a file."""
    file = directory / "pairs"
    file.write_bytes(pairs if isinstance(pairs, bytes) else pairs.encode())
    return workspace.run("join", "account", str(file), *FROM_STORE, *options)


def test_lines_in_the_order_of_the_pairs(told: Workspace, tmp_path: Path) -> None:
    """One for each, with or without a header, a byte order mark or Windows' line ends; no state is no failure."""
    for pairs in (PAIRS, PAIRS.partition("\n")[2], "\ufeff" + PAIRS, PAIRS.replace("\n", "\r\n")):
        done = joined(told, tmp_path, pairs)
        assert (done.code, done.err) == (Exit.DONE, "")
        assert [line.split("\t")[:4] for line in done.out.splitlines()] == LINES
    assert joined(told, tmp_path, "") == joined(told, tmp_path, "entity_id,valid_at") == type(done)(Exit.DONE, "")


def test_json_is_that_of_get(told: Workspace, tmp_path: Path) -> None:
    """All at one basis, which repeats each answer."""
    documents = [json.loads(line) for line in joined(told, tmp_path, PAIRS, "--json").out.splitlines()]
    (basis,) = {document["basis"] for document in documents}
    assert [[document["entity_id"], document["status"]] for document in documents[:2]] == [
        ["acc-1", "found"],
        ["acc-9", "never_existed"],
    ]
    pinned = [json.loads(line) for line in joined(told, tmp_path, PAIRS, "--json", "--basis", basis).out.splitlines()]
    for document, again in zip(documents, pinned, strict=True):
        question = ("get", "account", again["entity_id"], *FROM_STORE, "--valid-at", again["valid_at"], "--json")
        assert told.run(*question, "--basis", basis).document == again
        assert document | {"final": None} == again | {"final": None}


def test_what_is_not_projected_yet_is_an_exit_code(told: Workspace, tmp_path: Path) -> None:
    """A script must not take it for the truth."""
    done = joined(told, tmp_path, PAIRS, "--known-at", "2999-01-01T00:00:00Z")
    assert (done.code, len(done.out.splitlines())) == (Exit.NOT_YET_PROJECTED, len(LINES))


def test_from_a_pipe_and_on_a_terminal(told: Workspace) -> None:
    """Standard input is the default."""
    command = [sys.executable, "-m", "everwhen.cli", "join", "account", *FROM_STORE]
    done = subprocess.run(command, cwd=told.path, input=PAIRS.encode(), capture_output=True, timeout=60, check=True)
    assert [line.split("\t")[:4] for line in done.stdout.decode().splitlines()] == LINES
    table = told.run_on_terminal("join", "account", "pairs.csv", *FROM_STORE, columns=120).out.splitlines()
    assert table[0].split() == ["ENTITY", "VALID", "AT", "STATUS", "VALID", "FROM", "STATE"]
    assert [line.split()[:3] for line in table[1:]] == [
        ["acc-1", "2026-03-04T12:00:00Z", "found"],
        ["acc-2", "2026-03-02T22:00:00Z", "found"],
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("acc-1", "line 3 has 1 fields"),
        ("acc-1,2026-03-01T00:00:00Z,hunter2", "line 3 has 3 fields"),
        (",2026-03-01T00:00:00Z", "line 3 has an empty entity id"),
        ("acc-1,2026-03-01T00:00:00", "line 3: the instant is not an instant: it has no offset, add Z"),
        ("acc-1,hunter2", "line 3: the instant is not an instant: write it like"),
        ("acc-1,", "line 3: the instant is not an instant"),
        ("entity_id,valid_at", "line 3: the instant is not an instant"),
        ('"acc-1"hunter2,2026-03-01T00:00:00Z', "line 3 is not CSV"),
        ('"hunter2,2026-03-01T00:00:00Z', "is not CSV"),
        (b"acc\xff,2026-03-01T00:00:00Z", "line 3 is not in UTF-8"),
    ],
)
def test_a_line_that_is_wrong_is_named(told: Workspace, tmp_path: Path, line: str | bytes, said: str) -> None:
    """By its number and not by what it holds; the lines before it are answered."""
    raw = line if isinstance(line, bytes) else line.encode()
    before, after = b"entity_id,valid_at\nacc-1,2026-03-04T12:00:00Z\n", b"\nacc-2,2026-03-04T12:00:00Z\n"
    done = joined(told, tmp_path, before + raw + after)
    assert (done.code, len(done.out.splitlines())) == (Exit.USAGE, 1)
    assert said in done.error
    assert "hunter2" not in done.error


def test_a_file_that_is_not_there(told: Workspace) -> None:
    """Is a mistake on the command line."""
    done = told.run("join", "account", "nowhere.csv", *FROM_STORE)
    assert (done.code, done.out) == (Exit.USAGE, "")
    assert "nowhere.csv" in done.error
