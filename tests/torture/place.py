"""Where a run takes place."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from everwhen.connect import open_log
from everwhen.testing.parts.brokers import Node
from everwhen.testing.parts.postgres import Postgres
from tests.torture import domain
from tests.torture.worker import Task

_GROUP = {"session.timeout.ms": 1500, "heartbeat.interval.ms": 300}
_LAST_WORDS = 2_000


@dataclass
class Place:
    """A topic, the store that it is projected into, and what may be stopped."""

    log: str
    store: str
    topic: str
    directory: Path
    postgres: Postgres | None = None
    """A server that may be stopped."""
    broker: Node | None = None
    """A broker that may be killed."""

    @property
    def kind(self) -> str:
        """The kind of the store."""
        return "sqlite" if self.store.startswith("sqlite") else "postgres"

    @property
    def schemas(self) -> Path:
        """The directory of the contracts."""
        return self.directory / "schemas"

    @property
    def history(self) -> Path:
        """What the load generator was told."""
        return self.directory / "sent.jsonl"

    @property
    def answers(self) -> Path:
        """What the readers were told."""
        return self.directory / "answers.jsonl"

    def prepare(self) -> None:
        """Write the contracts and make the topic."""
        domain.write_contracts(self.schemas)
        log = open_log(self.log)
        log.create_topic(self.topic, domain.PARTITIONS)
        log.close()

    def task(self) -> Task:
        """A worker on explicit partitions."""
        return Task(self.log, self.store, self.topic, self.directory, tuple(range(domain.PARTITIONS)))

    def group_task(self) -> Task:
        """A worker of a group, whose members are missed soon."""
        log: str | Mapping[str, Any] = self.log
        if self.log.startswith("kafka://"):
            log = {"bootstrap.servers": self.log.removeprefix("kafka://"), **_GROUP}
        return replace(self.task(), log=log, partitions=None, group="torture")

    def start_load(self, seed: int, rate: float, events: int) -> subprocess.Popen[bytes]:
        """Start the load generator; it ends when its input is closed and so many events are sent."""
        arguments = {
            "log": self.log,
            "topic": self.topic,
            "schemas": self.schemas,
            "history": self.history,
            "seed": seed,
            "rate": rate,
            "events": events,
        }
        return self._start("load", arguments)

    def start_reading(self, seed: int, rate: float) -> subprocess.Popen[bytes]:
        """Start the process that asks, and writes down what it was told, until its input is closed."""
        return self._start("reading", {**self._reading(), "history": self.history, "seed": seed, "rate": rate})

    def start_reading_again(self) -> subprocess.Popen[bytes]:
        """Start the process that asks everything once more."""
        return self._start("reading", self._reading(), "--again")

    def _start(self, program: str, arguments: Mapping[str, object], *flags: str) -> subprocess.Popen[bytes]:
        """Start a program of ours; what its libraries say of servers that are away goes into a file."""
        given = [str(part) for name, value in arguments.items() for part in (f"--{name}", value)]
        command = [sys.executable, "-m", f"tests.torture.{program}", *given, *flags]
        with (self.directory / f"{program}.log").open("ab") as said:
            return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said)

    def said(self, program: str) -> str:
        """Return the last words of a program."""
        file = self.directory / f"{program}.log"
        return file.read_text(errors="replace")[-_LAST_WORDS:]

    def _reading(self) -> dict[str, object]:
        return {"store": self.store, "schemas": self.schemas, "topic": self.topic, "answers": self.answers}


def through(url: str, port: int) -> str:
    """The same database, by way of a port on the loopback interface."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:{port}"))
