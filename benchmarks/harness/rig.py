"""What a benchmark runs on: a real broker and a real database, started when they are first asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Final, Self

from confluent_kafka.admin import AdminClient

from benchmarks.harness.figure import ROUNDS
from everwhen.testing.parts import Kafka, PartsError, Postgres, start_kafka, start_postgres

STATE: Final = Path(__file__).parents[2] / ".bench"
"""Where environments and jars of peers are kept from run to run."""

MOST_SECONDS: Final = 600.0
"""For a run of a peer; one that takes longer hangs."""
_SERVER_JAVA: Final = (
    "-Xms1g",
    "-Xmx1g",
    "-XX:-UseSerialGC",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:TieredStopAtLevel=4",
)
"""As Kafka's own start script has it: brokers of tests are set up to start fast, and these are to run fast."""


class Unavailable(Exception):
    """A peer or a part cannot be had here; its message says what is missing. The figure is then left out."""


class Rig:
    """The parts of one run of the suite; leaving the ``with`` block ends them. Used by one thread.

    :ivar quick: fewer events, so that everything ends within three minutes; figures then only say that it works.
    :ivar rounds: how often each side runs.
    :ivar directory: for files, gone at the end.
    """

    def __init__(self, *, quick: bool = False, rounds: int = ROUNDS) -> None:
        self.quick = quick
        self.rounds = rounds
        self._stack = ExitStack()
        self._numbers = count(1)
        self.directory = Path(self._stack.enter_context(TemporaryDirectory(prefix="everwhen-bench-")))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def rounds_of_short(self, least: int) -> int:
        """Return how often sides run that are so short that other work on the machine is much of a round.

        :param least: at least so often, but for a quick run.
        """
        return self.rounds if self.quick else max(self.rounds, least)

    @cached_property
    def kafka(self) -> Kafka:
        """A broker of its own, as topics have fixed names and must hold nothing else; started once."""
        options = () if self.quick else _SERVER_JAVA
        try:
            return self._stack.enter_context(start_kafka(kinds=("docker", "jars"), java_options=options))
        except PartsError as error:
            raise Unavailable(str(error)) from error

    @cached_property
    def postgres(self) -> Postgres:
        """A database server with its default settings; started once."""
        try:
            return self._stack.enter_context(start_postgres())
        except PartsError as error:
            raise Unavailable(str(error)) from error

    @property
    def log(self) -> str:
        """The broker's URL."""
        return self.kafka.address.url

    @property
    def kafka_version(self) -> str:
        """The broker's version."""
        return self.kafka.address.version or "unknown"

    @property
    def postgres_version(self) -> str:
        """The server's version."""
        return self.postgres.address.version

    @contextmanager
    def database(self) -> Iterator[str]:
        """Make an empty PostgreSQL database; yield its URL; drop it at the end."""
        url = self.postgres.database()
        try:
            yield url
        finally:
            self.postgres.address.drop(url)

    def delete_topic(self, topic: str) -> None:
        """Have the broker forget a topic, so that its disk is not filled."""
        admin = AdminClient({"bootstrap.servers": self.kafka.address.bootstrap, "log_level": 3})
        admin.delete_topics([topic])[topic].result()

    def file(self, suffix: str) -> Path:
        """Return the path of one more file, which is not there yet."""
        return self.directory / f"{next(self._numbers)}{suffix}"
