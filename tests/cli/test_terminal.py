"""Every command twice, each time in a process: on a terminal, where people read, and into a pipe, where programs do."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click
import pytest

from everwhen.cli.exits import Exit
from tests.cli.commands import LINE, parse, walk
from tests.cli.modes import on_terminal, piped
from tests.cli.workspace import LOG, STORE, Finished, Workspace

if TYPE_CHECKING:
    from collections.abc import Callable

FROM_LOG, FROM_STORE = ("--log", LOG), ("--store", STORE)
FROM_NOWHERE = ("--registry", "http://127.0.0.1:9 max.retries=0")
"""Nothing listens there; tests/registry has what these commands do with a registry."""
INTO_NOTHING = """
import os
from everwhen.cli import main
ours, theirs = os.pipe()
os.dup2(theirs, 1)
os.close(ours)
main()
"""
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Way:
    """How a command is run here, and what becomes of it."""

    arguments: tuple[str, ...]
    code: Exit = Exit.DONE
    titles: str | None = None
    """How the first line begins on a terminal, where a table has titles; a pipe gets no such line."""
    shown: str | None = None
    """What its output holds in both modes."""


WAYS = {
    "worker": Way(("bank:account", *FROM_LOG, *FROM_STORE, "--until-end")),
    "config show": Way((*FROM_LOG, *FROM_STORE), titles="SETTING"),
    "lag": Way(("account", *FROM_LOG, *FROM_STORE), titles="PARTITION"),
    "rebuild": Way(("bank:newer", *FROM_LOG, *FROM_STORE), shown="generation 2"),
    "generations": Way(("account", *FROM_STORE), titles="GENERATION"),
    "compare": Way(("account", "1", "1", *FROM_STORE)),
    "switch": Way(("account", "1", *FROM_STORE), Exit.USAGE),
    "drop": Way(("account", "1", *FROM_STORE), Exit.USAGE),
    "get": Way(("account", "acc-1", *FROM_STORE), shown="found"),
    "history": Way(("account", "acc-1", *FROM_STORE), titles="VALID FROM"),
    "snapshot": Way(("account", *FROM_STORE), titles="ENTITY"),
    "join": Way(("account", "pairs.csv", *FROM_STORE), titles="ENTITY"),
    "explain": Way(("bank:account", "acc-1", *FROM_STORE), shown="bank.account.deposited"),
    "diff": Way(("account", "acc-1", "2026-03-02T00:00:00Z", "now", *FROM_STORE), shown="balance"),
    "changes": Way(("account", *FROM_STORE), titles="ENTITY"),
    "quarantine list": Way(("broken", *FROM_STORE), titles="POSITION"),
    "quarantine show": Way(("broken", "0", "99", *FROM_STORE), Exit.USAGE),
    "quarantine retry": Way(("broken", "--all", *FROM_STORE), shown="2 records"),
    "quarantine discard": Way(("broken", "0", "99", "--reason", "a test", *FROM_STORE), Exit.USAGE),
    "continuity show": Way(("account", *FROM_STORE), shown="0"),
    "continuity accept-gap": Way(
        ("account", "--partition", "0", "--reason", "a test", *FROM_LOG, *FROM_STORE), Exit.USAGE
    ),
    "continuity roll-back": Way(
        ("bank:account", "--partition", "0", "--to-offset", "1", "--reason", "a test", *FROM_STORE), Exit.USAGE
    ),
    "continuity restart": Way(("account", "--reason", "a test", *FROM_LOG, *FROM_STORE), Exit.USAGE),
    "continuity accept-partitions": Way(("account", "--reason", "a test", *FROM_STORE), Exit.USAGE),
    "prune": Way(("account", *FROM_STORE), Exit.USAGE),
    "topic create": Way(("bank:accounts", *FROM_LOG), shown="bank.accounts"),
    "topic check": Way(("bank:accounts", *FROM_LOG), shown="bank.accounts"),
    "schema write": Way(("bank:accounts",)),
    "schema check": Way(("bank:accounts",), shown="bank.accounts"),
    "schema register": Way(("bank:accounts", *FROM_NOWHERE), Exit.REGISTRY_UNAVAILABLE),
    "schema diff": Way(("bank:accounts", *FROM_NOWHERE), Exit.REGISTRY_UNAVAILABLE),
    "store init": Way(("bank:account", *FROM_STORE), shown="there already"),
    "store upgrade": Way(FROM_STORE, shown="nothing to upgrade"),
    "store check": Way(FROM_STORE, shown="bank.accounts"),
    "outbox init": Way(("--outbox", "sqlite:///service.db"), shown="the tables are "),
    "outbox status": Way(("--outbox", "sqlite:///service.db")),
    "relay": Way(("bank:accounts", "--outbox", "sqlite:///service.db", *FROM_LOG, "--until-end")),
    "completion": Way(("bash",), shown="_everwhen_completion"),
}
"""Every command that is no group. None of these runs changes what the others find."""

COMMANDS = [path for path, _ in walk()]
LEAVES = [path for path, command in walk() if not isinstance(command, click.Group)]
MODES = pytest.mark.parametrize("run", [piped, on_terminal])


@pytest.fixture(scope="module")
def place(told: Workspace) -> Workspace:
    """The story, projected, and once more by a projection that cannot apply a deposit; and an outbox."""
    assert told.project("bank:broken").code == 0
    assert told.run("outbox", "init", "--outbox", "sqlite:///service.db").code == 0
    return told


def test_every_command_is_run() -> None:
    """A command without a way to run it here would be tried by nobody: add one to WAYS."""
    assert [path.removeprefix("everwhen ") for path in LEAVES] == list(WAYS)


@pytest.mark.parametrize("name", WAYS)
def test_people_get_tables_and_programs_get_lines(place: Workspace, name: str) -> None:
    """The same answer in both modes: with titles and within the terminal's width, or tab-separated and nothing else."""
    way = WAYS[name]
    command = (*name.split(), *way.arguments)
    lines, screen = piped(place, *command), on_terminal(place, *command)
    assert (lines.code, screen.code) == (way.code, way.code), lines.err + screen.out
    assert "\x1b" not in lines.out + lines.err
    assert COLOUR.search(screen.out) is None
    if way.code != Exit.DONE:
        _is_one_line_with_a_remedy(lines, screen)
        return
    if way.shown is not None:
        assert way.shown in lines.out
        assert way.shown in screen.out
    if way.titles is not None:
        assert screen.out.startswith(way.titles)
        assert not lines.out.startswith(way.titles)
        assert "\t" not in screen.out
        assert all("\t" in line for line in lines.out.splitlines())
        assert len(lines.out.splitlines()) >= 1


@MODES
def test_what_click_cannot_read_is_one_line(place: Workspace, run: Callable[..., Finished]) -> None:
    """An option that is not there: nothing on standard output, and where to read on."""
    for path in COMMANDS:
        done = run(place, *path.split()[1:], "--nonsense")
        (line,) = (done.err or done.out).splitlines()
        assert done.code == Exit.USAGE, path
        assert line.startswith("everwhen: No such option")
        assert line.endswith(f"; see {path} --help")
        assert done.out == "" or run is on_terminal


@MODES
def test_help_has_an_example_that_can_be_typed(
    place: Workspace, run: Callable[..., Finished], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks a command for help gets its usage and an example, and the example is one of this program."""
    monkeypatch.chdir(place.path)  # an example names a file that is there
    for path in COMMANDS:
        done = run(place, *path.split()[1:], "--help")
        assert (done.code, done.err) == (Exit.DONE, ""), path
        assert done.out.startswith(f"Usage: {path} "), path
        example = done.out.partition("Example:\n")[2].partition("\n\n")[0]
        lines = LINE.findall(example)
        assert lines, f"{path} --help has no example"
        for line in lines:
            parse(line)
        assert COLOUR.search(done.out) is None


@MODES
def test_an_entity_that_nobody_knows_is_not_guessed_at(place: Workspace, run: Callable[..., Finished]) -> None:
    """With a typing mistake in an id it says that nothing is known of that id, and names no other entity."""
    for name in ("get", "history", "explain"):
        done = run(place, name, "account", "acc-l", *FROM_STORE)
        assert done.code == Exit.NEVER_EXISTED, name
        said = done.out + done.err
        assert "no event of the entity is known" in said, name
        assert "acc-1" not in said, name
        assert "acc-2" not in said, name
        assert "mean" not in said, name


def test_a_pipe_that_is_closed_ends_every_question_quietly(place: Workspace) -> None:
    """With ``| head -0`` nobody reads at all; then there is neither a traceback nor a complaint."""
    for name in ("get", "completion"):
        done = place.run_new(*name.split(), *WAYS[name].arguments, program=(sys.executable, "-c", INTO_NOTHING))
        assert (done.code, done.err) == (Exit.PIPE_CLOSED, ""), name


def _is_one_line_with_a_remedy(lines: Finished, screen: Finished) -> None:
    assert lines.out == ""
    assert screen.out == f"{lines.error}\n"
    assert re.fullmatch(r"everwhen: .*(; |\. )\S.*", lines.error), lines.error
