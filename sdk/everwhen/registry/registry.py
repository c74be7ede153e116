"""Which registry is meant, and how its subjects and ids are used: a value, which connects to nothing."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias
from urllib.parse import urlsplit

from everwhen.errors import SettingsError
from everwhen.registry.secrets import hide, shown_url
from everwhen.registry.subjects import STRATEGIES, Subjects

if TYPE_CHECKING:
    from everwhen.registry.client import RegistryClient
    from everwhen.registry.ids import RegistryIds

Frame: TypeAlias = Literal["prefix", "header"]
"""Where a record has its schema's id: in front of the value, or in the header ``__value_schema_id``."""

_DEFAULTS: Final = {"timeout": 10}
"""In seconds. The client itself would wait for an answer without end."""
_NUMBERS: Final = re.compile(r"timeout$|\.ms$|retries$|capacity$|\.sec$")
"""The client takes a number for these, and no text."""
_CACHE: Final = "cache"
"""The argument that means the user's own directory of caches."""


class Registry:
    """A schema registry, and how it is used.

    ::

        Publisher(accounts, log, registry=Registry("https://registry.example:8081", subjects="RecordName"))

    An immutable value: nothing is connected to before something is asked. Threads can share it. Its text never shows
    a password.

    :ivar subjects: how a subject is named; see :data:`~everwhen.registry.Subjects`.
    :ivar register: whether a publisher registers what is not there yet.
    :ivar frame: where the id stands in what is published; both are read.
    :ivar cache: the directory in which answers are kept, for when the registry is away; ``None`` for none.
    """

    def __init__(
        self,
        target: str | Mapping[str, Any],
        *,
        subjects: Subjects = "TopicRecordName",
        register: bool = False,
        frame: Frame = "prefix",
        cache: str | Path | None = _CACHE,
    ) -> None:
        """Describe a registry.

        :param target: its URL, or the settings of confluent-kafka's ``SchemaRegistryClient`` by their own names,
            passed through unchanged (only ``timeout`` is 10 seconds if it is left out). As a text, settings can
            follow the URL, separated by spaces: ``https://HOST basic.auth.user.info=USER:PASSWORD``.
        :param subjects: how a subject is named.
        :param register: register schemas at run time, when a publisher is opened. By default it refuses to open
            instead, and ``everwhen schema register`` does it, in a pipeline.
        :param frame: ``header`` needs consumers that know Confluent's header form.
        :param cache: by default below ``$XDG_CACHE_HOME`` or ``~/.cache``.
        :raises SettingsError: if one of these cannot be meant; the message holds no secret.
        """
        self.settings: Mapping[str, Any] = _DEFAULTS | (_from_text(target) if isinstance(target, str) else dict(target))
        if subjects not in STRATEGIES:
            raise SettingsError(f"a registry's subjects are named by {', '.join(STRATEGIES)}, not {subjects!r}")
        if frame not in ("prefix", "header"):
            raise SettingsError(f"a registry's frame is 'prefix' or 'header', not {frame!r}")
        _check_url(self.settings.get("url"))
        self.subjects: Subjects = subjects
        self.register = register
        self.frame: Frame = frame
        self.cache = _user_cache() if cache == _CACHE else None if cache is None else Path(cache)

    @property
    def url(self) -> str:
        """Where it is, without user and password."""
        return shown_url(str(self.settings["url"]))

    def hide_secrets(self, text: str) -> str:
        """Return ``text`` without any password, key or token that is in the settings."""
        return hide(self.settings, text)

    def client(self) -> RegistryClient:
        """Return a client of it.

        :raises MissingExtra: if ``everwhen[registry]`` is not installed.
        :raises SettingsError: if the client does not take its settings.
        """
        from everwhen.registry.client import RegistryClient

        return RegistryClient(self)

    def ids(self, topic: str) -> RegistryIds:
        """Return what a codec of a topic asks; it connects when it is asked first.

        :raises MissingExtra: as :meth:`client`.
        :raises SettingsError: as :meth:`client`.
        """
        from everwhen.registry.cache import DiskCache
        from everwhen.registry.ids import RegistryIds

        cache = None if self.cache is None else DiskCache(self.cache, self.url)
        return RegistryIds(self.client(), topic, self.subjects, register=self.register, cache=cache)

    def __repr__(self) -> str:
        return f"Registry({self.url})"


RegistryTarget: TypeAlias = str | Mapping[str, Any] | Registry
"""A registry, or what :class:`Registry` makes one of."""


def _from_text(text: str) -> dict[str, Any]:
    url, *pairs = text.split() or [""]
    settings: dict[str, Any] = {"url": url}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not name or not equals:
            # The text is not repeated: it may be a secret that lost its name.
            raise SettingsError("what follows the registry's URL is not NAME=VALUE; write it like ssl.ca.location=CA")
        settings[name] = _number(name, value) if _NUMBERS.search(name) else value
    return settings


def _number(name: str, text: str) -> float:
    try:
        return int(text) if text.isdecimal() else float(text)
    except ValueError:
        raise SettingsError(f"the registry's setting {name} is not a number") from None


def _check_url(url: object) -> None:
    example = "for example http://localhost:8081"
    if not isinstance(url, str) or not url:
        raise SettingsError(f"the registry's settings name no url; give one, {example}")
    for each in url.split(","):
        try:
            parts = urlsplit(each.strip())
            sound = parts.scheme in ("http", "https") and bool(parts.hostname)
        except ValueError:
            sound = False
        if not sound:
            raise SettingsError(f"the registry is not named by a URL of http or https; give one, {example}")


def _user_cache() -> Path | None:
    root = os.environ.get("XDG_CACHE_HOME")
    try:
        return Path(root) / "everwhen" if root else Path.home() / ".cache" / "everwhen"
    except RuntimeError:
        return None  # a user without a home
