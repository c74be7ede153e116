"""A Kafka broker for tests and demos: the best that this machine can offer.

Looked for in this order: ``EVERWHEN_TEST_KAFKA`` (bootstrap servers; nothing else is tried then), Docker through
testcontainers, the real broker's jars on a Java virtual machine, librdkafka's mock cluster. The mock speaks the
protocol but has no admin API, no ``offsets_for_times``, shows aborted records and trims a partition at 5 MB.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from everwhen.testing.parts import sources
from everwhen.testing.parts.archive import program
from everwhen.testing.parts.brokers import Cluster, Node
from everwhen.testing.parts.containers import kafka_container, look_for_docker
from everwhen.testing.parts.errors import PartsError
from everwhen.testing.parts.jars import KAFKA_VERSION, cached_jars, fetch_jars
from everwhen.testing.parts.java import find_java
from everwhen.testing.parts.process import HOST
from everwhen.testing.parts.settings import wait_for_broker
from everwhen.testing.parts.sources import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

ENVIRONMENT = "EVERWHEN_TEST_KAFKA"

KafkaKind = Literal["environment", "docker", "jars", "mock"]
KINDS: tuple[KafkaKind, ...] = ("environment", "docker", "jars", "mock")
REAL_KINDS: tuple[KafkaKind, ...] = ("environment", "docker", "jars")

_ANSWER_SECONDS = 10.0


@dataclass(frozen=True)
class KafkaAddress:
    """Where a broker answers and what it is; can be handed to other processes.

    ``version`` is empty for a broker from the environment: the protocol does not tell it. ``passed_over`` says why the
    sources before this one did not serve.
    """

    bootstrap: str
    kind: KafkaKind
    version: str
    means: str
    passed_over: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        """The log argument of a publisher or worker."""
        return f"kafka://{self.bootstrap}"

    def describe(self) -> str:
        """One line, such as ``Apache Kafka 4.1.1 (jars, JVM 17.0.15) at 127.0.0.1:29092``."""
        return f"{self.means} at {self.bootstrap}"


class Kafka(sources.Running):
    """A broker, or a cluster of three. ``nodes`` is empty unless they run from jars: only those can be controlled."""

    def __init__(self, address: KafkaAddress, end: Callable[[], None], nodes: tuple[Node, ...] = ()) -> None:
        super().__init__(end)
        self.address = address
        self.nodes = nodes

    def describe(self) -> str:
        """`KafkaAddress.describe`."""
        return self.address.describe()


def start_kafka(
    *,
    nodes: Literal[1, 3] = 1,
    config: Mapping[str, object] | None = None,
    kinds: Collection[KafkaKind] = KINDS,
    java_options: Sequence[str] = (),
) -> Kafka:
    """Start, or find, a broker and return once it answers.

    ``config`` adds to the broker's configuration; with three ``nodes`` everything is replicated three times. A broker
    from the environment is taken as it is. Only the sources named in ``kinds`` are used; a fault test that wants to
    kill nodes asks for ``("jars",)``. ``java_options`` are for a broker from jars, whose Java is otherwise set up to
    start fast and stay small, not to run for long. Raises `PartsError` saying what is missing.
    """
    return sources.start("Kafka broker", _sources(nodes, dict(config or {}), kinds, tuple(java_options)))


def plan_kafka(kinds: Collection[KafkaKind] = KINDS) -> str:
    """What `start_kafka` would use, in a few words; starts nothing. Raises `PartsError` if there is nothing."""
    return sources.plan("Kafka broker", _sources(1, {}, kinds))


def _sources(
    nodes: int, config: dict[str, object], kinds: Collection[KafkaKind], java_options: tuple[str, ...] = ()
) -> list[Source[Kafka]]:
    if (bootstrap := os.environ.get(ENVIRONMENT)) and "environment" in kinds:
        return [Source("environment", lambda: f"Kafka ({ENVIRONMENT})", lambda _reasons: _found(bootstrap))]
    return [
        source
        for source in (
            sources.unset(ENVIRONMENT),
            Source("docker", lambda: _look_for_docker(nodes), lambda reasons: _from_docker(config, reasons)),
            Source("jars", _look_for_jars, lambda reasons: _from_jars(nodes, config, java_options, reasons)),
            Source("mock", _look_for_mock, lambda reasons: _mock(nodes, reasons)),
        )
        if source.kind in kinds
    ]


def _found(bootstrap: str) -> Kafka:
    sources.require("confluent_kafka", "confluent-kafka")
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    try:
        AdminClient({"bootstrap.servers": bootstrap, "log_level": 0}).list_topics(timeout=_ANSWER_SECONDS)
    except KafkaException as error:
        silent = f"{ENVIRONMENT}={bootstrap} does not answer within {_ANSWER_SECONDS:.0f} s"
        raise PartsError(f"{silent}: start it or unset the variable") from error
    address = KafkaAddress(bootstrap, "environment", "", f"Kafka ({ENVIRONMENT})")
    return Kafka(address, sources.nothing_to_end)


def _look_for_docker(nodes: int) -> str:
    if nodes > 1:
        raise PartsError("a cluster of several nodes runs from jars only")
    sources.require("confluent_kafka", "confluent-kafka")
    look_for_docker()
    return f"Apache Kafka {KAFKA_VERSION} (Docker)"


def _from_docker(config: dict[str, object], reasons: tuple[str, ...]) -> Kafka:
    container = kafka_container(config)
    container.start()
    bootstrap = f"{HOST}:{container.port}"
    try:
        wait_for_broker(bootstrap, "the Kafka container", container)
    except PartsError:
        container.stop()
        raise
    address = KafkaAddress(bootstrap, "docker", KAFKA_VERSION, f"Apache Kafka {KAFKA_VERSION} (Docker)", reasons)
    return Kafka(address, container.stop)


def _look_for_jars() -> str:
    sources.require("confluent_kafka", "confluent-kafka")
    java = find_java()
    if cached_jars() is None:
        sources.require("jgo", "jgo")
    return f"Apache Kafka {KAFKA_VERSION} (jars, JVM {java.version})"


def _from_jars(nodes: int, config: dict[str, object], java_options: tuple[str, ...], reasons: tuple[str, ...]) -> Kafka:
    java = find_java()
    broker = program(java, fetch_jars())
    cluster = Cluster(replace(broker, options=(*broker.options, *java_options)), nodes=nodes, config=config)
    cluster.start()
    means = f"Apache Kafka {KAFKA_VERSION} (jars, JVM {java.version})"
    return Kafka(KafkaAddress(cluster.bootstrap, "jars", KAFKA_VERSION, means, reasons), cluster.stop, cluster.nodes)


def _look_for_mock() -> str:
    sources.require("confluent_kafka", "confluent-kafka")
    from confluent_kafka import libversion

    return f"librdkafka {libversion()[0]} mock cluster"


def _mock(nodes: int, reasons: tuple[str, ...]) -> Kafka:
    from confluent_kafka import Producer, libversion

    # The cluster lives in this client's process and as long as the client; the closure of `end` keeps it.
    owner = [Producer({"test.mock.num.brokers": nodes, "log_level": 0})]
    brokers = owner[0].list_topics(timeout=_ANSWER_SECONDS).brokers.values()
    bootstrap = ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
    return Kafka(KafkaAddress(bootstrap, "mock", libversion()[0], _look_for_mock(), reasons), owner.clear)
