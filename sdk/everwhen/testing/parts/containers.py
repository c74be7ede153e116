"""The parts as containers, through testcontainers, whose reaper removes them if this process dies.

Ports are chosen here and bound to loopback: a broker has to know its address before it starts, and a database keeps its
port over a restart.
"""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING, Any

from everwhen.testing.parts.errors import PartsError
from everwhen.testing.parts.jars import KAFKA_VERSION
from everwhen.testing.parts.postgres_urls import SUPERUSER, answers, url_of
from everwhen.testing.parts.process import HOST, free_ports, wait_until
from everwhen.testing.parts.settings import START_SECONDS, small_and_quick
from everwhen.testing.parts.sources import require

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from docker.models.containers import Container as DockerHandle

KAFKA_IMAGE = f"apache/kafka:{KAFKA_VERSION}"
POSTGRES_IMAGE = "postgres:17"


def look_for_docker() -> None:
    """Return if testcontainers is installed and a Docker engine answers, else raise `PartsError`."""
    require("testcontainers", "testcontainers")
    if os.environ.get("DOCKER_HOST", "").startswith("tcp"):
        raise PartsError("the Docker engine of DOCKER_HOST publishes its ports on another machine")
    import docker
    from docker.errors import DockerException

    try:
        docker.from_env(timeout=5).ping()
    except DockerException as error:
        raise PartsError("no Docker engine answers") from error


class Container:
    """One container with one port bound to a free port on loopback."""

    def __init__(self, image: str, port: int, command: list[str] | None = None) -> None:
        from testcontainers.core.container import DockerContainer

        self.port = free_ports(1)[0]
        self._image = image
        self._container = DockerContainer(image)
        ports: dict[str, Any] = self._container.ports  # testcontainers types less than docker-py takes
        ports[f"{port}/tcp"] = (HOST, self.port)
        if command:
            self._container.with_command(command)

    def set(self, variable: str, value: str) -> None:
        """Set an environment variable of the server inside, before it starts."""
        self._container.with_env(variable, value)

    def start(self) -> None:
        """Pull the image if need be and start, without waiting for the server inside."""
        from docker.errors import DockerException

        try:
            self._container.start()
        except DockerException as error:
            self.stop()
            raise PartsError(f"the image {self._image} cannot be started: {error}") from error

    def stop(self) -> None:
        """Remove the container and its data."""
        self._container.stop()

    @property
    def handle(self) -> DockerHandle:
        """docker-py's object, for what goes beyond starting and stopping."""
        return self._container.get_wrapped_container()

    @property
    def running(self) -> bool:
        """Whether the server inside has not ended yet."""
        self.handle.reload()
        return bool(self.handle.status == "running")

    def last_words(self) -> str:
        """The end of the log, for an error message."""
        return str(self.handle.logs(tail=30).decode(errors="replace"))


def kafka_container(config: Mapping[str, object]) -> Container:
    """A broker that advertises its port on loopback; ``config`` is in Kafka's dotted names."""
    container = Container(KAFKA_IMAGE, 9092)
    settings = {
        **small_and_quick(nodes=1),
        **config,
        "node.id": 1,
        "process.roles": "broker,controller",
        "listeners": "PLAINTEXT://0.0.0.0:9092,BROKER://localhost:9093,CONTROLLER://localhost:9094",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{container.port},BROKER://localhost:9093",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "BROKER",
        "controller.listener.names": "CONTROLLER",
        "controller.quorum.voters": "1@localhost:9094",
    }
    for key, value in settings.items():
        container.set(_variable(key), str(value))
    return container


def _variable(key: str) -> str:
    """The image's spelling of a setting: ``a.b-c_d`` is ``KAFKA_A_B___C__D``."""
    return "KAFKA_" + key.replace("_", "__").replace("-", "___").replace(".", "_").upper()


class PostgresContainer:
    """A PostgreSQL server; its port and its data stay the same over every stop and start."""

    def __init__(self, settings: Sequence[str]) -> None:
        command = ["postgres", *(f"--{setting}" for setting in settings)]
        self._container = Container(POSTGRES_IMAGE, 5432, command)
        self._password = secrets.token_hex(8)
        self._container.set("POSTGRES_PASSWORD", self._password)
        self._created = False

    @property
    def url(self) -> str:
        """SQLAlchemy's URL of the database that every server has."""
        return url_of(SUPERUSER, self._password, HOST, self._container.port)

    def start(self) -> None:
        """Start the server if it is not running; return once it answers, after whatever recovery it has to do."""
        if self._created:
            self._container.handle.start()
        else:
            self._container.start()
            self._created = True
        wait_until(lambda: answers(self.url), what="PostgreSQL", server=self._container, seconds=START_SECONDS)

    def stop(self) -> None:
        """Stop in order."""
        self._container.handle.stop()

    def stop_immediately(self) -> None:
        """Stop as in a crash."""
        if self._container.running:
            self._container.handle.kill("SIGQUIT")
            self._container.handle.wait()

    def remove(self) -> None:
        """Remove the container and its data."""
        self._container.stop()
