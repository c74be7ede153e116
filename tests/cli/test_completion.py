"""``everwhen completion``: what a shell asks the program, and what the program answers."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from everwhen.cli.completion import SHELLS
from everwhen.cli.exits import Exit

if TYPE_CHECKING:
    from tests.cli.workspace import Workspace


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_asks_the_program_in_the_words_of_its_shell(workspace: Workspace, shell: str) -> None:
    """A script with another variable, or for another shell, would complete nothing and say nothing."""
    done = workspace.run("completion", shell)
    assert (done.code, done.err) == (Exit.DONE, "")
    assert f"_EVERWHEN_COMPLETE={shell}_complete" in done.out


def test_commands_and_options_are_completed(workspace: Workspace) -> None:
    """An empty line offers all commands, a begun word those that begin so, a command its options."""
    assert {"worker", "get", "quarantine", "completion"} <= set(_offered(workspace, "everwhen ", 1))
    assert _offered(workspace, "everwhen quarantine re", 2) == ["retry"]
    assert "retry" in _offered(workspace, "everwhen quarantine ", 2)
    assert _offered(workspace, "everwhen get account acc-1 --va", 4) == ["--valid-at"]
    assert _offered(workspace, "everwhen completion f", 2) == ["fish"]


def test_bash_takes_the_script(workspace: Workspace) -> None:
    """What is printed is loaded by a real bash, and completes there."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash on this machine")
    (workspace.path / "everwhen.bash").write_text(workspace.run("completion", "bash").out)
    ask = "source everwhen.bash && complete -p everwhen"
    done = workspace.run_new("-c", ask, program=(bash, "--norc"))
    assert (done.code, "_everwhen_completion everwhen" in done.out) == (0, True), done.err


def _offered(workspace: Workspace, line: str, word: int) -> list[str]:
    words = {"COMP_WORDS": line, "COMP_CWORD": str(word), "_EVERWHEN_COMPLETE": "bash_complete"}
    done = workspace.run(**words)
    assert (done.code, done.err) == (0, "")
    return [answer.partition(",")[2] for answer in done.out.splitlines()]
