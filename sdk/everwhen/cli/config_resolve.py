"""Which value each setting has, and where it came from: option before variable before file before default."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, TypeAlias

from everwhen.cli.config_file import ConfigFile, nearest
from everwhen.cli.config_settings import DAEMON_SETTINGS, KAFKA, SETTINGS, DaemonSettings, flag_of
from everwhen.worker import WorkerSettings
from everwhen.worker.setting import Setting
from everwhen.worker.settings import WORKER_SETTINGS, key_of, variable_of

PREFIX: Final = "EVERWHEN_"
RESERVED: Final = "EVERWHEN_TEST_"
"""Variables of the project's own tests, which no command reads."""
OUTSIDE: Final = frozenset({"EVERWHEN_ALLOW_UNVERIFIED_TLS"})
"""Variables that are no options."""
# What Kubernetes and Docker tell of a service that is itself named everwhen, or everwhen-something.
_SERVICE: Final = re.compile(r"EVERWHEN_(\w+_)?(SERVICE_(HOST|PORT)|PORT(_\d+_(TCP|UDP|SCTP)))(_\w+)?$")

Flags: TypeAlias = Mapping[str, Any]
"""What stands on the command line, by setting: a text, several, a truth value, or ``None``."""


class Source(StrEnum):
    """Where a value came from."""

    FLAG = "flag"
    ENVIRONMENT = "environment"
    FILE = "file"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Found:
    """A setting's value.

    :ivar where: the option, the variable, or the file and the key in it; ``None`` for a default.
    """

    value: Any
    source: Source
    where: str | None


@dataclass(frozen=True, slots=True)
class Resolution:
    """Every setting as it is, and what is wrong; a setting whose every text is wrong has its default.

    :ivar found: by the setting's key.
    :ivar kafka: librdkafka's settings by their dotted names.
    :ivar mistakes: one line each.
    """

    file: ConfigFile
    found: Mapping[str, Found]
    kafka: Mapping[str, Found]
    mistakes: tuple[str, ...]

    def daemon(self) -> DaemonSettings:
        """Return the daemon's settings."""
        return DaemonSettings(**self._of(DAEMON_SETTINGS))

    def worker(self) -> WorkerSettings:
        """Return each worker's settings."""
        return WorkerSettings(**self._of(WORKER_SETTINGS))

    def _of(self, names: Collection[str]) -> dict[str, Any]:
        return {name: self.found[key_of(name)].value for name in names}


def resolve(flags: Flags, environment: Mapping[str, str], file: ConfigFile, variables: Collection[str]) -> Resolution:
    """Find the value of every setting; what is overridden must be right as well.

    :param variables: those that some command reads.
    """
    mistakes = [*file.mistakes, *_unknown(environment, variables)]
    found = {}
    for key, setting in SETTINGS.items():
        there = list(_readings(key, setting, flags, environment, file, mistakes))
        found[key] = there[0] if there else Found(setting.default, Source.DEFAULT, None)
    return Resolution(file, found, _kafka(flags, environment, file, mistakes), tuple(mistakes))


def _readings(
    key: str,
    setting: Setting,
    flags: Flags,
    environment: Mapping[str, str],
    file: ConfigFile,
    mistakes: list[str],
) -> Iterator[Found]:
    """Yield what is given, the strongest first."""
    given = flags.get(key)
    variable = variable_of(key)
    if isinstance(given, bool):
        yield Found(given, Source.FLAG, flag_of(key))
    elif given is not None and given != ():
        yield from _read(setting, given, Source.FLAG, flag_of(key), mistakes)
    if text := environment.get(variable):
        yield from _read(setting, text, Source.ENVIRONMENT, variable, mistakes)
    if key in file.values:
        yield Found(file.values[key], Source.FILE, file.where(key))


def _read(
    setting: Setting, given: str | tuple[str, ...], source: Source, where: str, mistakes: list[str]
) -> Iterator[Found]:
    try:
        yield Found(setting.read(given if isinstance(given, str) else " ".join(given)), source, where)
    except ValueError as mistake:
        mistakes.append(f"{where}: {mistake}")


def _kafka(flags: Flags, environment: Mapping[str, str], file: ConfigFile, mistakes: list[str]) -> dict[str, Found]:
    variable = variable_of(KAFKA)
    found = {name: Found(value, Source.FILE, file.where(f"{KAFKA}.{name}")) for name, value in file.kafka.items()}
    given = (
        (Source.ENVIRONMENT, variable, environment.get(variable, "").split()),
        (Source.FLAG, flag_of(KAFKA), flags.get(KAFKA) or ()),
    )
    for source, where, pairs in given:
        for pair in pairs:
            name, equals, value = pair.partition("=")
            if name and equals:
                found[name] = Found(value, source, where)
            else:  # the text is not repeated: it may be a secret that lost its name
                mistakes.append(f"{where}: a setting is not NAME=VALUE; write it like security.protocol=SSL")
    return found


def _unknown(environment: Mapping[str, str], variables: Collection[str]) -> Iterator[str]:
    known = frozenset(variables) | OUTSIDE
    for name in sorted(environment):
        ours = name.startswith(PREFIX) and not name.startswith(RESERVED) and name not in known
        if ours and not _SERVICE.match(name) and not environment[name].startswith("tcp://"):
            yield f"{name}: nothing reads this variable{nearest(name, known)}"
