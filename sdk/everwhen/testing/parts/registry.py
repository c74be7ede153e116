"""A schema registry for tests: Apicurio Registry, a real one, through its Confluent-compatible API.

Looked for in this order: ``EVERWHEN_TEST_REGISTRY`` (the URL of that API; nothing else is tried then), the distribution
from Maven Central on a Java virtual machine.
"""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from everwhen.testing.parts import sources
from everwhen.testing.parts.apicurio import (
    REGISTRY_JAVA,
    RegistryServer,
    cached_registry,
    fetch_registry,
    registry_version,
)
from everwhen.testing.parts.errors import PartsError
from everwhen.testing.parts.java import find_java
from everwhen.testing.parts.sources import Source

if TYPE_CHECKING:
    from collections.abc import Callable

ENVIRONMENT = "EVERWHEN_TEST_REGISTRY"

RegistryKind = Literal["environment", "jars"]

_ANSWER_SECONDS = 10.0


@dataclass(frozen=True)
class RegistryAddress:
    """Where a registry answers and what it is; can be handed to other processes.

    ``passed_over`` says why the sources before this one did not serve.
    """

    url: str
    kind: RegistryKind
    means: str
    passed_over: tuple[str, ...] = ()

    def describe(self) -> str:
        """One line, such as ``Apicurio Registry 3.3.3 (jars, JVM 25.0.2) at http://127.0.0.1:15001/apis/ccompat/v7``."""
        return f"{self.means} at {self.url}"


class Registry(sources.Running):
    """A registry. ``server`` is ``None`` for one that was only found: it cannot be stopped and started again."""

    def __init__(self, address: RegistryAddress, end: Callable[[], None], server: RegistryServer | None = None) -> None:
        super().__init__(end)
        self.address = address
        self.server = server


def start_registry() -> Registry:
    """Start, or find, a registry and return once it answers. Raises `PartsError` saying what is missing."""
    return sources.start("schema registry", _sources())


def plan_registry() -> str:
    """What `start_registry` would use, in a few words; starts nothing. Raises `PartsError` if there is nothing."""
    return sources.plan("schema registry", _sources())


def _sources() -> list[Source[Registry]]:
    if url := os.environ.get(ENVIRONMENT):
        return [Source("environment", lambda: f"registry ({ENVIRONMENT})", lambda _reasons: _found(url))]
    return [sources.unset(ENVIRONMENT), Source("jars", _look_for_jars, _from_jars)]


def _found(url: str) -> Registry:
    try:
        with urllib.request.urlopen(f"{url}/subjects", timeout=_ANSWER_SECONDS):  # noqa: S310 - the user's own URL
            pass
    except (OSError, ValueError) as error:
        raise PartsError(f"{ENVIRONMENT} does not answer: start it or unset the variable") from error
    return Registry(RegistryAddress(url, "environment", f"registry ({ENVIRONMENT})"), sources.nothing_to_end)


def _look_for_jars() -> str:
    java = find_java(REGISTRY_JAVA)
    if cached_registry() is None:
        sources.require("jgo", "jgo")
    return f"Apicurio Registry {registry_version()} (jars, JVM {java.version})"


def _from_jars(reasons: tuple[str, ...]) -> Registry:
    server = RegistryServer(find_java(REGISTRY_JAVA), fetch_registry())
    try:
        server.start()
    except BaseException:
        server.remove()
        raise
    return Registry(RegistryAddress(server.url, "jars", _look_for_jars(), reasons), server.remove, server)
