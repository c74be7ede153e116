"""``everwhen config``: what the daemon would run with, and where each value came from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import click

from everwhen.cli.config_checks import check
from everwhen.cli.config_options import daemon_options, resolution_of
from everwhen.cli.config_resolve import Found, Resolution
from everwhen.cli.config_settings import KAFKA, SETTINGS
from everwhen.cli.group import Group
from everwhen.cli.options import json_option
from everwhen.cli.output import to_json, write_line, write_rows

_HIDDEN = "***"
_SECRET = re.compile(
    r"password|secret|passphrase|token|credential|user\.info|jaas|^sasl\.(username|oauthbearer\.config)$|key(?!.*\.location$)"
)
_IN_URL = re.compile(
    r"(?<=://)[^/?#]*:[^/?#]*(?=@)|(?<=[?&])([^=&#]*(?:password|secret|token|key)[^=&#]*)=[^&#]*", re.I
)


@click.group(cls=Group)
def config() -> None:
    """Look at what everwhen worker would run with.

    \b
    Example:
      everwhen config show --log sqlite:///log.db --store sqlite:///bank.db
    """


@config.command()
@daemon_options
@json_option
@click.pass_context
def show(context: click.Context, /, *, as_json: bool, **flags: Any) -> None:
    """Print every setting that everwhen worker would run with, and where each value came from.

    It takes the options of everwhen worker. An option counts before a variable, a variable before the configuration
    file, and that before the default. Passwords, keys and tokens are shown as ***.

    Columns: setting, value, source (flag, environment, file or default), and which option, variable or key it was. The
    first line is the configuration file. With --json: one object.

    Whatever everwhen worker would refuse is told instead, one line for each mistake. Nothing is connected to.

    \b
    Example:
      everwhen config show --log sqlite:///log.db --store sqlite:///bank.db
    """
    resolution = resolution_of(context, flags)
    check(resolution)
    file = resolution.file
    shown = dict(_shown(resolution))
    if as_json:
        settings = {key: {"value": value, **_origin(found)} for key, (value, found) in shown.items()}
        path = None if file.path is None else str(file.path)
        write_line(to_json({"file": path, "chosen_by": file.chosen_by, "settings": settings}))
        return
    rows = [("config", "" if file.path is None else str(file.path), "", file.chosen_by)]
    rows += [(key, _text(key, value), found.source.value, found.where or "") for key, (value, found) in shown.items()]
    write_rows(("SETTING", "VALUE", "SOURCE", "FROM"), rows)


def hidden(name: str, value: str) -> str:
    """Return what may be shown of a text: nothing of a secret, and a URL without those in it."""
    if _SECRET.search(name):
        return _HIDDEN
    if name == "registry":
        return _registry(value)
    return _IN_URL.sub(lambda found: f"{found[1]}={_HIDDEN}" if found[1] else _user(found[0]), value)


def _registry(text: str) -> str:
    """Return a registry's URL and the settings behind it."""
    url, *pairs = text.split()
    shown = [(name, value) for name, _, value in (pair.partition("=") for pair in pairs)]
    return " ".join([hidden("url", url), *(f"{name}={hidden(name, value)}" for name, value in shown)])


def _user(user_and_password: str) -> str:
    return f"{user_and_password.partition(':')[0]}:{_HIDDEN}"


def _shown(resolution: Resolution) -> Iterator[tuple[str, tuple[Any, Found]]]:
    for key, found in resolution.found.items():
        value = hidden(key, found.value) if isinstance(found.value, str) else found.value
        yield key, (list(value) if isinstance(value, tuple) else value, found)
    for name, found in resolution.kafka.items():
        yield f"{KAFKA}.{name}", (hidden(name, found.value), found)


def _origin(found: Found) -> dict[str, str | None]:
    return {"source": found.source.value, "from": found.where}


def _text(key: str, value: Any) -> str:
    if value is None:
        return f"({SETTINGS[key].unset})"
    if isinstance(value, bool):
        return "true" if value else "false"
    return (
        " ".join(map(str, value))
        if isinstance(value, list)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )
