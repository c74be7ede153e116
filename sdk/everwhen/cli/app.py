"""The program ``everwhen``: its commands, and how errors leave it."""

from __future__ import annotations

import os
import sys
import traceback
from typing import Any

import click
from click.core import ParameterSource

from everwhen.cli.compare import compare
from everwhen.cli.completion import completion
from everwhen.cli.config import config
from everwhen.cli.config_file import choose_file
from everwhen.cli.config_options import CONFIG_HELP
from everwhen.cli.continuity import continuity
from everwhen.cli.exits import OUTCOMES, Exit, exit_of
from everwhen.cli.generations import drop, generations, switch
from everwhen.cli.group import Group
from everwhen.cli.knowledge import changes, diff, explain
from everwhen.cli.lag import lag
from everwhen.cli.logs import show_warnings
from everwhen.cli.options import option
from everwhen.cli.outbox import outbox
from everwhen.cli.output import without_passwords
from everwhen.cli.prune import prune
from everwhen.cli.quarantine import quarantine
from everwhen.cli.query import get, history, join, snapshot
from everwhen.cli.rebuild import rebuild
from everwhen.cli.relay import relay
from everwhen.cli.schema import schema
from everwhen.cli.store import store
from everwhen.cli.topic import topic
from everwhen.cli.worker import worker
from everwhen.errors import EverwhenError

NAME = "everwhen"

_EPILOG = "\b\nExit codes:\n" + "\n".join(f"{outcome.code:>5}  {outcome.meaning}" for outcome in OUTCOMES)


class App(Group):
    """The root of the commands: what they raise becomes one line on standard error and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was asked for and return its exit code."""
        try:
            code = super().invoke(ctx)
            sys.stdout.flush()
        except EverwhenError as error:
            if ctx.params["traceback"]:
                sys.stderr.write(without_passwords("".join(traceback.format_exception(error))))
            _complain(str(error))
            ctx.exit(exit_of(error))
        except BrokenPipeError:
            # Python would flush once more on its way out, and complain.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(Exit.PIPE_CLOSED)
        except KeyboardInterrupt:
            ctx.exit(Exit.INTERRUPTED)
        return code


@click.group(cls=App, epilog=_EPILOG)
@click.version_option(package_name=NAME, prog_name=NAME, message="%(prog)s %(version)s")
@option("--traceback", is_flag=True, help="Show the whole traceback of an error. It may show values of your data.")
@option("--config", metavar="FILE", help=CONFIG_HELP)
@click.pass_context
def app(context: click.Context, /, *, traceback: bool, config: str | None) -> None:
    """Event-sourced data, asked at any instant.

    Every option can come from the environment: --valid-at as EVERWHEN_VALID_AT. Instants are written as
    2026-03-01T12:00:00Z or with an offset such as +02:00. MODULE:NAME is imported as Python would, from the working
    directory first.

    \b
    Example:
      everwhen --traceback schema check bank:accounts
    """
    source = context.get_parameter_source("config")
    choose_file(context, config, "EVERWHEN_CONFIG" if source is ParameterSource.ENVIRONMENT else "--config")
    show_warnings()


for command in (
    *(worker, config, lag),
    *(rebuild, generations, compare, switch, drop),
    *(get, history, snapshot, join, explain, diff, changes),
    *(quarantine, continuity, prune, topic, schema, store),
    *(outbox, relay),
    completion,
):
    app.add_command(command)


def main() -> None:
    """Run the program: the entry point of ``everwhen``."""
    for stream in (sys.stdout, sys.stderr):
        # What an old terminal's encoding cannot show is escaped, and no reason to fail.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        code = app.main(prog_name=NAME, standalone_mode=False)
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx is not None else NAME
        _complain(f"{error.format_message().rstrip('.')}; see {where} --help")
        code = Exit.USAGE
    sys.exit(code)


def _complain(message: str) -> None:
    for line in without_passwords(message).splitlines():
        click.echo(f"{NAME}: {line}", err=True)
