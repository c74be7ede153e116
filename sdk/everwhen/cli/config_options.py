"""The options of the daemon, made from the table of settings; their texts are read together with all other sources."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import click

from everwhen.cli.config_file import choose_file, file_of
from everwhen.cli.config_resolve import Resolution, resolve
from everwhen.cli.config_settings import SETTINGS, flag_of, shown_default
from everwhen.cli.options import KAFKA_HELP
from everwhen.worker.setting import FLAG, NUMBERS, Setting
from everwhen.worker.settings import variable_of

F = TypeVar("F", bound=Callable[..., Any])

CONFIG_HELP = "The configuration file; everwhen.toml in the working directory if there is one."


class _Raw(click.Option):
    """An option that click does not read: one mistake would hide the others."""

    def value_from_envvar(self, ctx: click.Context) -> Any:
        """Leave the variable to those who say where a value came from."""


def daemon_options(command: F) -> F:
    """Declare every setting of the daemon as an option, ``--config`` and ``--kafka``."""
    for key, setting in reversed(list(SETTINGS.items())):
        command = _option(key, setting)(command)
        if key == "store":
            command = click.option(
                "--kafka",
                cls=_Raw,
                metavar="NAME=VALUE",
                multiple=True,
                envvar=variable_of("kafka"),
                show_envvar=True,
                help=KAFKA_HELP,
            )(command)
    return config_option(command)


def config_option(command: F) -> F:
    """Declare ``--config`` on a command of its own; the program has it too, with its variable."""
    return click.option(
        "--config", metavar="FILE", expose_value=False, is_eager=True, callback=_choose, help=CONFIG_HELP
    )(command)


def resolution_of(context: click.Context, flags: dict[str, Any]) -> Resolution:
    """Find every setting of the daemon that a command was asked to start, or to show."""
    variables = set(variables_of(context.find_root().command))
    return resolve(flags, os.environ, file_of(context), variables)


def variables_of(command: click.Command) -> Iterator[str]:
    """Yield the variables that a command and those below it read."""
    yield from (str(option.envvar) for option in command.params if option.envvar is not None)
    if isinstance(command, click.Group):
        for child in command.commands.values():
            yield from variables_of(child)


def _option(key: str, setting: Setting) -> Callable[[F], F]:
    flag = flag_of(key)
    kind: dict[str, Any] = {"metavar": setting.metavar or setting.kind.metavar, "multiple": setting.kind is NUMBERS}
    if setting.kind is FLAG:
        flag, kind = f"{flag}/--no-{flag.removeprefix('--')}", {"default": None}
    return click.option(flag, cls=_Raw, envvar=variable_of(key), show_envvar=True, help=_help(setting), **kind)


def _help(setting: Setting) -> str:
    text = f"{setting.meaning[0].upper()}{setting.meaning[1:]}."
    if setting.kind is NUMBERS:
        text += " Give one option for each; the variable takes several, separated by spaces."
    return text if setting.kind is FLAG else f"{text} Default: {shown_default(setting)}."


def _choose(context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    choose_file(context, value, "--config")
