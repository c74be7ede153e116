"""The reference of the command line, made from the commands themselves: ``python -m everwhen.cli.reference``.

Its output is ``docs/cli.md``, and a test compares the two.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable, Iterator

import click

from everwhen.cli.app import NAME, app
from everwhen.cli.config_settings import SETTINGS, flag_of, shown_default
from everwhen.cli.exits import OUTCOMES
from everwhen.worker.settings import variable_of

_HEAD = """\
# Command line

`everwhen` comes with the package; `python -m everwhen.cli` is the same. Every command has `--help`.

This page is made from the program: `python -m everwhen.cli.reference > docs/cli.md`.

## In all commands

- `MODULE:NAME` is a topic or a projection in your code. The module is imported as Python would, from the working
  directory first.
- Instants are RFC 3339 with a time zone, such as `2026-03-01T12:00:00Z` or `2026-03-01T14:00:00.5+02:00`. One without a
  time zone, or finer than a microsecond, is refused.
- Results go to standard output, everything else to standard error. An error is one line that says what to do, and
  `--traceback` adds where it comes from. No message shows a payload, a state or a password.
- On a terminal there are tables and a progress bar; elsewhere lines with tab-separated columns. `--json` is the same
  everywhere, in ASCII, one object in a line. Control characters are shown escaped.
- Every option can come from the environment, so a container needs no arguments but the command.
"""
_EXITS = """\
## Exit codes

Scripts can rely on them: a number never changes its meaning. What to do about each error:
[When it stops](operations/when-it-stops.md).

| code | meaning |
|---|---|
"""
_VARIABLES = """\
## Environment variables

| variable | option | commands |
|---|---|---|
"""


def reference() -> str:
    """Return the reference as Markdown."""
    sections = [_HEAD, *(_section(path, command) for path, command in _walk(NAME, app))]
    exits = "".join(f"| {outcome.code} | {outcome.meaning} |\n" for outcome in OUTCOMES)
    return "\n".join([*sections, _EXITS + exits, _VARIABLES + "".join(_variables())])


def _walk(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name, child in command.commands.items():
            yield from _walk(f"{path} {name}", child)


def _section(path: str, command: click.Command) -> str:
    usage = " ".join([path, *command.collect_usage_pieces(click.Context(command))])
    parts = [f"## {path}\n", f"    {usage}\n", *(f"{paragraph}\n" for paragraph in _paragraphs(command.help or ""))]
    rows = [_row(option) for option in _options(command)]
    if rows:
        parts.append("| option | meaning |\n|---|---|\n" + "".join(rows))
    return "\n".join(parts)


def _paragraphs(text: str) -> Iterator[str]:
    """Yield the paragraphs of a help text; what click must not wrap becomes a block of code."""
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        if paragraph.startswith("\b\n"):
            title, *lines = paragraph.splitlines()[1:]
            yield title
            yield "\n".join(f"    {line.strip()}" for line in lines)
        else:
            yield paragraph


def _row(option: click.Option) -> str:
    metavar = f" {option.metavar}" if option.metavar else ""
    return f"| `{', '.join([*option.opts, *option.secondary_opts])}{metavar}` | {option.help} |\n"


def _options(command: click.Command) -> list[click.Option]:
    return [parameter for parameter in command.params if isinstance(parameter, click.Option)]


def _variables() -> Iterable[str]:
    users: dict[tuple[str, str], list[str]] = {}
    for path, command in _walk(NAME, app):
        for option in _options(command):
            if option.envvar is not None:
                users.setdefault((str(option.envvar), option.opts[0]), []).append(
                    path.removeprefix(NAME).strip() or "all"
                )
    return (f"| `{name}` | `{flag}` | {', '.join(paths)} |\n" for (name, flag), paths in sorted(users.items()))


def settings_table() -> str:
    """Return the table of ``docs/configuration.md``: what can be set on a daemon."""
    head = "| setting | option, variable | default | meaning |\n|---|---|---|---|\n"
    return head + "".join(
        f"| `{key}` | `{flag_of(key)}` `{variable_of(key)}` | {shown_default(setting)} | {setting.meaning} |\n"
        for key, setting in SETTINGS.items()
    )


if __name__ == "__main__":
    sys.stdout.write(settings_table() if sys.argv[1:] == ["settings"] else reference())
