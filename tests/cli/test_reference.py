"""``docs/cli.md`` says what the program does: no more, no less, and its examples run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from everwhen.cli.exits import Exit
from everwhen.cli.reference import reference

if TYPE_CHECKING:
    from tests.cli.workspace import Workspace

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
EXAMPLE = re.compile(r"^Example:\n\n    everwhen (.*)$", re.MULTILINE)
IN_ORDER = (
    "schema write",
    "schema check",
    "topic create",
    "topic check",
    "store init",
    "worker",
    "config show",
    "lag",
    "rebuild",
    "generations",
    "compare",
    "switch",
    "get",
    "history",
    "snapshot",
    "join",
    "explain",
    "diff",
    "changes",
    "quarantine list",
    "quarantine retry",
    "continuity show",
    "outbox init",
    "relay",
    "outbox status",
    "completion",
    "prune",
    "store upgrade",
    "store check",
)
QUIET = ("worker", "relay", "compare", "quarantine list")
"""They have nothing to print in a new project."""
NEEDING_TROUBLE = 9
"""Examples about one quarantined record (show and discard), a log that does not go on, a generation that has not
answered for a while, and a schema registry (register and diff), which other tests run."""


def test_the_page_is_up_to_date() -> None:
    """A command, an option, a variable or an exit code that the page lacks or invents would mislead its reader."""
    assert PAGE.read_text() == reference(), "run: python -m everwhen.cli.reference > docs/cli.md"


def test_the_examples_run(workspace: Workspace) -> None:
    """What a reader copies from the page, and from --help, works as it stands, in the order of a new project."""
    examples = {" ".join(line.split()[:2]): line for line in EXAMPLE.findall(PAGE.read_text())}
    assert len(examples) == len(IN_ORDER) + NEEDING_TROUBLE + 1  # and the program's own
    for command in IN_ORDER:
        (line,) = (line for line in examples.values() if line.startswith(f"{command} "))
        done = workspace.run(*shlex.split(line))
        assert (done.code, bool(done.out) or command in QUIET) == (Exit.DONE, True), done.err
        if command == "topic check":
            workspace.publish("story")
