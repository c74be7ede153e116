"""The parts are what they say they are, and are gone afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from tests.parts.watching import eventually, processes_naming

from everwhen.testing.parts import (
    KafkaAddress,
    PartsError,
    Postgres,
    PostgresAddress,
    plan_kafka,
    plan_postgres,
    start_kafka,
    start_postgres,
)
from everwhen.testing.parts.postgres_urls import answers, execute

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Owner = Callable[..., subprocess.Popen[str]]

OWNER = """
import signal
from everwhen.testing.parts import start_kafka, start_postgres
parts = start_kafka(kinds=["jars"]), start_postgres(kinds=["wheel"])
print("ready", flush=True)
signal.pause()
"""


@pytest.fixture
def needs_jars() -> None:
    """Skip where the broker cannot be had from its jars."""
    try:
        plan_kafka(["jars"])
    except PartsError as error:
        pytest.skip(str(error))


@pytest.fixture
def needs_wheel() -> None:
    """Skip where the database cannot be had from its wheel."""
    try:
        plan_postgres(["wheel"])
    except PartsError as error:
        pytest.skip(str(error))


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory that other users may enter: as root, the database runs as another one."""
    with tempfile.TemporaryDirectory(prefix="everwhen-test-") as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


@pytest.fixture
def owner(directory: Path) -> Iterator[Owner]:
    """Start Python with the given arguments; parts that it starts have their data under ``directory``."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        environment = {**os.environ, "TMPDIR": str(directory)}
        started.append(
            subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, text=True, env=environment)
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[Postgres]:
    """A server that the tests of this file may stop."""
    try:
        plan_postgres(["docker", "wheel"])
    except PartsError as error:
        pytest.skip(str(error))
    with start_postgres(fsync=False, kinds=["docker", "wheel"]) as postgres:
        yield postgres


def is_empty(directory: Path) -> bool:
    """Whether nothing is left in the directory."""
    return not list(directory.iterdir())


def replicas(client: AdminClient, topic: str) -> list[int]:
    """How many there are of each partition, as far as the node that answers knows the topic yet."""
    partitions = client.list_topics(topic, timeout=10).topics[topic].partitions
    return [len(partition.replicas) for partition in partitions.values()]


def test_importing_the_parts_loads_no_driver() -> None:
    """They are imported where none is installed, and by commands that need none."""
    drivers = "{'confluent_kafka', 'psycopg', 'jgo', 'testcontainers', 'docker'}"
    code = f"import sys, everwhen.testing.parts; print(sorted({drivers} & sys.modules.keys()))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said == "[]\n"


def test_the_broker_answers(kafka: KafkaAddress) -> None:
    """A client needs no more than the address."""
    brokers = AdminClient({"bootstrap.servers": kafka.bootstrap}).list_topics(timeout=10).brokers
    assert [f"{broker.host}:{broker.port}" for broker in brokers.values()] == kafka.bootstrap.split(",")
    assert kafka.url == f"kafka://{kafka.bootstrap}"


def test_the_broker_makes_no_topic_by_itself(real_kafka: KafkaAddress, kafka_topic_name: str) -> None:
    """A typing mistake in a topic's name is an error, not a topic with the wrong settings."""
    if real_kafka.kind == "environment":
        pytest.skip("a broker from the environment is configured by its owner")
    producer = Producer({"bootstrap.servers": real_kafka.bootstrap, "message.timeout.ms": 1000})
    producer.produce(kafka_topic_name, b"lost")
    producer.flush(10)
    assert kafka_topic_name not in producer.list_topics(timeout=10).topics


def test_the_mock_serves_where_nothing_else_does(kafka_topic_name: str) -> None:
    """It needs no more than the client library."""
    with start_kafka(kinds=["mock"]) as mock:
        assert mock.describe() == f"librdkafka {mock.address.version} mock cluster at {mock.address.bootstrap}"
        producer = Producer({"bootstrap.servers": mock.address.bootstrap})
        producer.produce(kafka_topic_name, b"taken")
        assert producer.flush(10) == 0


def is_silent(client: AdminClient) -> bool:
    """Whether no broker answers soon."""
    try:
        client.list_topics(timeout=0.3)
    except KafkaException:
        return True
    return False


@pytest.mark.usefixtures("needs_jars")
def test_a_cluster_of_three_loses_a_node_and_goes_on() -> None:
    """Killed, paused and started again, each node by itself; what was written stays."""
    with start_kafka(nodes=3, config={"num.partitions": 2}, kinds=["jars"]) as kafka:
        assert kafka.describe().startswith(f"Apache Kafka {kafka.address.version} (jars, JVM ")
        assert kafka.describe().endswith(f") at {kafka.address.bootstrap}")
        first, second, third = kafka.nodes
        client = AdminClient({"bootstrap.servers": f"{first.address},{third.address}", "log_level": 0})
        client.create_topics([NewTopic("kept")])["kept"].result(20)
        assert eventually(lambda: replicas(client, "kept") == [3, 3])
        second.kill()
        assert not second.running
        assert eventually(lambda: len(client.list_topics(timeout=10).brokers) == 2)
        producer = Producer({"bootstrap.servers": first.address, "acks": "all", "log_level": 0})
        producer.produce("kept", b"while one is down")
        assert producer.flush(20) == 0
        second.start()
        assert eventually(lambda: len(client.list_topics(timeout=10).brokers) == 3)
        third.pause()
        alone = AdminClient({"bootstrap.servers": third.address, "log_level": 0})
        assert eventually(lambda: is_silent(alone))  # the signal goes by way of the guard
        third.resume()
        assert "kept" in alone.list_topics(timeout=20).topics
        third.stop()
        with pytest.raises(PartsError, match="Kafka node 3 is not running"):
            third.pause()


def test_databases_are_fresh(postgres: PostgresAddress, postgres_url: str) -> None:
    """Each is empty and knows nothing of the others."""
    other = postgres.database()
    execute(other, "create table there (id int)")
    tables = "select count(*) from information_schema.tables where table_schema = 'public'"
    assert execute(other, tables) == "1"
    assert execute(postgres_url, tables) == "0"
    postgres.drop(other)
    assert not answers(other)
    assert answers(postgres_url)


def test_the_database_survives_its_crash(own_postgres: Postgres) -> None:
    """What was committed is there after the restart, under the same URL."""
    url = own_postgres.database("kept")
    execute(url, "create table answer as select 42 as value")
    own_postgres.stop_immediate()
    assert not answers(url)
    own_postgres.restart()
    assert execute(url, "select value from answer") == "42"


def test_the_database_says_what_it_is(own_postgres: Postgres) -> None:
    """Its version and where it answers, and not its password."""
    address = own_postgres.address
    said = own_postgres.describe()
    assert said.startswith(f"PostgreSQL {address.version} (")
    assert execute(address.url, "show port") in said or address.kind == "docker"
    assert address.url.partition("@")[0] not in said


@pytest.mark.usefixtures("needs_jars", "needs_wheel")
def test_a_killed_owner_leaves_no_server_behind(owner: Owner, directory: Path) -> None:
    """Neither a process of the broker or of the database nor a file of theirs."""
    process = owner("-c", OWNER)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    assert not is_empty(directory)
    process.kill()
    assert eventually(lambda: is_empty(directory))
    assert processes_naming(directory) == []


@pytest.mark.usefixtures("needs_wheel")
def test_the_command_runs_until_it_is_told_to_end(owner: Owner, directory: Path) -> None:
    """Its lines fit the settings of ``make demo``, and SIGTERM is an orderly end."""
    process = owner("-m", "everwhen.testing.parts", "postgres")
    assert process.stdout is not None
    about, store = process.stdout.readline(), process.stdout.readline()
    assert about.startswith("# PostgreSQL ")
    assert answers(store.strip().removeprefix("STORE="))
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    assert is_empty(directory)
    assert processes_naming(directory) == []
