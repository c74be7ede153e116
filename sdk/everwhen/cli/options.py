"""What the commands' options have in common: each can come from the environment."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl, urlsplit

import click
from click.core import ParameterSource

from everwhen.cli.config_file import sound_file_of
from everwhen.connect import LogTarget, open_log
from everwhen.errors import ArgumentError, SettingsError
from everwhen.instants import from_micros, parse_instant

F = TypeVar("F", bound=Callable[..., Any])


def option(*names: str, **settings: Any) -> Callable[[F], F]:
    """Declare an option that the environment can set too: ``--valid-at`` as ``EVERWHEN_VALID_AT``."""
    flag = next(name for name in names if name.startswith("--"))
    variable = f"EVERWHEN_{flag.removeprefix('--').replace('-', '_').upper()}"
    return click.option(*names, envvar=variable, show_envvar=True, **settings)


def _read_instant(_context: click.Context, parameter: click.Parameter, value: str | None) -> datetime | None:
    return None if value is None else from_micros(parse_instant(value, parameter.opts[0]))


def instant_option(name: str, help_text: str) -> Callable[[F], F]:
    """Declare an option that takes an instant."""
    return option(name, metavar="TIME", callback=_read_instant, help=help_text)


class _FromFile(click.Option):
    """An option whose value the configuration file can give, after the command line and the environment."""

    def consume_value(self, ctx: click.Context, opts: Mapping[str, Any]) -> tuple[Any, ParameterSource]:
        """Return the value as text, and where it came from."""
        value, source = super().consume_value(ctx, opts)
        if source in _GIVEN:
            return value, source
        return sound_file_of(ctx).values.get(str(self.name)), ParameterSource.DEFAULT_MAP


class _KafkaOption(click.Option):
    """Settings of librdkafka from everywhere: the stronger comes later, and stands in for a weaker of its name."""

    def consume_value(self, ctx: click.Context, opts: Mapping[str, Any]) -> tuple[Any, ParameterSource]:
        """Return ``NAME=VALUE`` of each."""
        file = [f"{name}={value}" for name, value in sound_file_of(ctx).kafka.items()]
        variable = self.value_from_envvar(ctx) or ()
        return (*file, *variable, *(opts.get(str(self.name)) or ())), ParameterSource.COMMANDLINE


_GIVEN: Final = (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)
KAFKA_HELP: Final = (
    "A setting of librdkafka's, such as security.protocol=SSL; give one option for each. Keep secrets out of the "
    "command line: the variable takes them too, separated by spaces, and so does the configuration file."
)

log_option = option(
    "--log",
    cls=_FromFile,
    metavar="URL",
    help="Where the events are: kafka://HOST:PORT[,HOST:PORT] or sqlite:///FILE.",
)
kafka_option = option("--kafka", cls=_KafkaOption, metavar="NAME=VALUE", multiple=True, help=KAFKA_HELP)
store_option = option(
    "--store",
    cls=_FromFile,
    metavar="URL",
    help="Where the timelines are: postgresql+psycopg://USER@HOST/DATABASE or sqlite:///FILE.",
)
registry_option = option(
    "--registry",
    cls=_FromFile,
    metavar="URL",
    help="The schema registry: its URL and, behind it and separated by spaces, settings of confluent-kafka's client as "
    "NAME=VALUE. Keep secrets out of the command line: the variable and the configuration file take them too.",
)
known_at_option = instant_option(
    "--known-at", "As known at this instant: only what the log had recorded by then counts."
)
basis_option = option(
    "--basis",
    metavar="TOKEN",
    help="As known at this basis, which an earlier answer gave; the answer is the same for ever.",
)
at_least_option = option(
    "--at-least",
    metavar="TOKEN",
    help="Wait first until the event of this token is projected; a receipt of the publisher has it.",
)
timeout_option = option(
    "--timeout",
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    default=5.0,
    show_default=True,
    help="How long to wait for --at-least.",
)
VALID_AT: Final = "At this instant, such as 2026-03-01T12:00:00Z; now if left out."


def point_options(command: F) -> F:
    """Declare the options that say which point of both axes is asked about."""
    return instant_option("--valid-at", VALID_AT)(known_at_option(basis_option(command)))


yes_option = option("--yes", is_flag=True, help="Do not ask before it is done.")
json_option = option("--json", "as_json", is_flag=True, help="Print JSON.")


def log_target(log: str | None, kafka: tuple[str, ...]) -> LogTarget | None:
    """Combine ``--log`` and ``--kafka`` to what names a log.

    :raises SettingsError: if a setting has no value, or the log is not Kafka.
    """
    if not kafka:
        return log
    if log is None or not log.startswith("kafka://"):
        raise SettingsError("--kafka needs a log in Kafka; give --log kafka://HOST:PORT")
    given = {}
    for pair in kafka:
        name, equals, value = pair.partition("=")
        if not name or not equals:
            # The text is not repeated: it may be a secret that lost its name.
            raise SettingsError("a --kafka setting is not NAME=VALUE; write it like security.protocol=SSL")
        given[name] = value
    return kafka_target(log, given)


def kafka_target(log: str, settings: Mapping[str, str]) -> LogTarget:
    """Add settings of librdkafka's to those in a Kafka URL.

    :raises SettingsError: if the URL holds what it must not.
    """
    open_log(log).close()  # it refuses what a URL must not hold, such as a password
    parts = urlsplit(log)
    return {"bootstrap.servers": parts.netloc, **dict(parse_qsl(parts.query, keep_blank_values=True)), **settings}


def confirm(yes: bool, what: str) -> None:
    """Ask whether something that cannot be undone is meant, unless ``--yes`` was given.

    :raises ArgumentError: if nobody can be asked.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise ArgumentError(f"{what}. Say --yes if that is meant; nobody can be asked here")
    click.confirm(f"{what}. Go on?", abort=True, err=True)
