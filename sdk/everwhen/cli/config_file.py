"""The configuration file: TOML with the settings of the daemon, and librdkafka's own in a table."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from everwhen.cli.config_settings import FILE_NAME, KAFKA, SETTINGS
from everwhen.errors import SettingsError

_META = "everwhen.config"
_CHOSEN = "everwhen.config.chosen"


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """What a configuration file says.

    :ivar path: where it is; ``None`` if there is none.
    :ivar chosen_by: what named it.
    :ivar values: settings by name, checked.
    :ivar kafka: librdkafka's settings by their dotted names.
    :ivar mistakes: what is wrong with it, one line each.
    """

    path: Path | None = None
    chosen_by: str = f"there is no {FILE_NAME} in the working directory"
    values: Mapping[str, Any] = field(default_factory=dict)
    kafka: Mapping[str, str] = field(default_factory=dict)
    mistakes: tuple[str, ...] = ()

    def where(self, key: str) -> str:
        """Name a key of the file."""
        return f"{self.path}: {key}"


def choose_file(context: click.Context, path: str | None, by: str) -> None:
    """Note which file was asked for; nothing is read yet."""
    if path is not None:
        context.meta[_CHOSEN] = (path, by)


def file_of(context: click.Context) -> ConfigFile:
    """Return what the configuration file of this run says; it is read once, when something asks first."""
    if _META not in context.meta:
        context.meta[_META] = _find(context)
    found: ConfigFile = context.meta[_META]
    return found


def sound_file_of(context: click.Context) -> ConfigFile:
    """Return the configuration file of this run.

    :raises SettingsError: naming everything that is wrong with it, one a line.
    """
    file = file_of(context)
    if file.mistakes:
        raise SettingsError("\n".join(file.mistakes))
    return file


def _find(context: click.Context) -> ConfigFile:
    if _CHOSEN in context.meta:
        path, by = context.meta[_CHOSEN]
        return read_file(Path(path), by)
    path = Path.cwd() / FILE_NAME
    return read_file(path, "found in the working directory") if path.exists() else ConfigFile()


def read_file(path: Path, chosen_by: str) -> ConfigFile:
    """Read a file and check each of its settings by itself.

    :param chosen_by: what named it: the option, the variable, or that it was found.
    """
    try:
        document = tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        named = "" if chosen_by.startswith("found") else f", which {chosen_by} names"
        return ConfigFile(path, chosen_by, mistakes=(f"{path}{named}: cannot be read: {error.strerror}",))
    except UnicodeDecodeError:
        return ConfigFile(path, chosen_by, mistakes=(f"{path}: is not TOML: it is not in UTF-8",))
    except tomllib.TOMLDecodeError as error:
        return ConfigFile(path, chosen_by, mistakes=(f"{path}: is not TOML: {error}",))
    values: dict[str, Any] = {}
    kafka: dict[str, str] = {}
    mistakes = []
    for key, given in document.items():
        try:
            if key == KAFKA:
                kafka = _kafka(given)
            else:
                values[key] = _value(key, given)
        except ValueError as mistake:
            mistakes += [f"{path}: {line}" for line in str(mistake).splitlines()]
    return ConfigFile(path, chosen_by, values, kafka, tuple(mistakes))


def nearest(name: str, names: Mapping[str, object] | frozenset[str]) -> str:
    """Return a question that suggests the name that may be meant; empty if none is near."""
    found = difflib.get_close_matches(name, list(names), n=1, cutoff=0.6)
    return f"; did you mean {found[0]}?" if found else ""


def _value(key: str, given: Any) -> Any:
    setting = SETTINGS.get(key)
    if setting is None:
        meant = nearest(key.replace("-", "_").lower(), {**SETTINGS, KAFKA: None})
        raise ValueError(f"{key}: there is no such setting{meant}")
    try:
        return setting.take(given)
    except ValueError as mistake:
        raise ValueError(f"{key}: {mistake}") from None


def _kafka(given: Any) -> dict[str, str]:
    if not isinstance(given, dict):
        raise ValueError(f"{KAFKA}: is not a table of librdkafka's settings; write [{KAFKA}] above them")
    found: dict[str, str] = {}
    mistakes = []
    for name, value in _flat(given):
        if isinstance(value, bool):
            found[name] = str(value).lower()
        elif isinstance(value, str | int | float):
            found[name] = str(value)
        else:
            mistakes.append(f"{KAFKA}.{name}: is not a text, a number or true or false")
    if mistakes:
        raise ValueError("\n".join(mistakes))
    return found


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted names: TOML makes tables of a name that is not in quotation marks."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
