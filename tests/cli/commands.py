"""All commands of the program, as click knows them."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import click

from everwhen.cli.app import NAME, app

if TYPE_CHECKING:
    from collections.abc import Iterator

LINE = re.compile(r"^\s*(?:[A-Z_]+=\S+ )*(everwhen [^#\n]*?)\s*(?:#.*|\| .*)?$", re.MULTILINE)
"""A command line in a block of code, without variables before it, and a comment or a pipe behind it."""


def walk(path: str = NAME, command: click.Command = app) -> Iterator[tuple[str, click.Command]]:
    """Yield every command and every group with the words that name it."""
    yield path, command
    if isinstance(command, click.Group):
        for name, child in command.commands.items():
            yield from walk(f"{path} {name}", child)


def parse(line: str) -> None:
    """Have click read a command line to its last word, without running anything.

    :raises click.UsageError: if a command or an option is not there, or an argument is missing.
    """
    command: click.Command = app
    words = shlex.split(line.replace("\\\n", " "))
    assert words[0] == NAME, line
    parent: click.Context | None = None
    name, rest = words[0], words[1:]
    while isinstance(command, click.Group):
        # The callback of the root is not called by this; options before the command are read.
        parent = command.make_context(name, list(rest), parent=parent)
        left = [*parent._protected_args, *parent.args]
        found, child, rest = command.resolve_command(parent, left)
        assert child is not None, line
        name, command = str(found), child
    command.make_context(name, list(rest), parent=parent)
