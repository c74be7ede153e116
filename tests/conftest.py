"""Real parts for the tests: one Kafka broker and one PostgreSQL server a run, started when a test asks for them.

The process that was called as ``pytest`` owns them. Under pytest-xdist the workers get an endpoint to ask for their
addresses, so that all workers share one broker and one server.
"""

from __future__ import annotations

import secrets
from collections import Counter
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import HealthCheck, settings

from everwhen.testing.parts import (
    Endpoint,
    KafkaAddress,
    PartsError,
    PostgresAddress,
    RegistryAddress,
    SharedParts,
    plan_kafka,
    plan_postgres,
    start_kafka,
    start_postgres,
    start_registry,
    start_secure_kafka,
    start_secure_postgres,
)
from everwhen.testing.parts.kafka import KINDS, REAL_KINDS
from tests.canaries import CanaryWatch
from tests.simulation.counts import SIMULATED, lines

if TYPE_CHECKING:
    from collections.abc import Collection

    from xdist.workermanage import WorkerController

    from everwhen.testing.parts.kafka import KafkaKind

pytest_plugins = ["everwhen.testing.plugin"]

# How fast an example is drawn says more about what else the machine does.
settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")

PARTS = {
    "kafka": "broker",
    "postgres": "database",
    "secure_kafka": "broker with TLS",
    "secure_postgres": "database with TLS",
    "registry": "schema registry",
}
"""The fixture that asks for a part, and the word for it in the report."""

_shared = pytest.StashKey[SharedParts]()
_endpoint = pytest.StashKey[Endpoint]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer ``--real-parts``, for runs whose result must count."""
    parser.addoption(
        "--real-parts",
        action="store_true",
        help="fail instead of testing on librdkafka's mock of Kafka, or of skipping what needs a schema registry",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Open the endpoint in the process that owns the parts, or take it over from there."""
    workerinput = getattr(config, "workerinput", None)
    if workerinput is not None:
        config.stash[_endpoint] = Endpoint(*workerinput["parts"])
        return
    config.pluginmanager.register(CanaryWatch(), "canaries")
    kinds = _kafka_kinds(config)
    shared = SharedParts(
        {
            "kafka": lambda: start_kafka(kinds=kinds),
            "postgres": lambda: start_postgres(fsync=False),
            "secure_kafka": start_secure_kafka,
            "secure_postgres": start_secure_postgres,
            "registry": start_registry,
        }
    )
    config.stash[_shared] = shared
    config.stash[_endpoint] = shared.endpoint


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: WorkerController) -> None:
    """Tell a worker of pytest-xdist where to ask."""
    endpoint = node.config.stash[_endpoint]
    node.workerinput["parts"] = (endpoint.port, endpoint.key)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop what was started."""
    if _shared in config.stash:
        config.stash[_shared].close()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Have the parts that the collected tests need started side by side, while the first tests run.

    Only where that happens in another process: what a test does to the environment must not reach a part's start.
    """
    if not hasattr(session.config, "workerinput"):
        return
    wanted = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    for part in PARTS.keys() & wanted:
        session.config.stash[_endpoint].prepare(part)


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say which broker and which database would serve; nothing has been started yet."""
    plans = {"kafka": lambda: plan_kafka(_kafka_kinds(config)), "postgres": plan_postgres}
    lines = []
    for part in plans:
        word = PARTS[part]
        try:
            lines.append(f"{word}: {plans[part]()}")
        except PartsError as error:
            lines.append(f"{word}: none. {error}")
    return lines


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say which broker and which database served."""
    _report_counts(terminalreporter)
    started = config.stash[_shared].started()
    terminalreporter.section("parts")
    for part, word in PARTS.items():
        if part not in started:
            terminalreporter.line(f"{word}: no test needed it")
            continue
        address, seconds = started[part]
        terminalreporter.line(f"{word}: {address.describe()}, ready after {seconds:.1f} s")
        for reason in address.passed_over:
            terminalreporter.line(f"  passed over {reason}")


def _report_counts(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what the simulation played; each of its tests has its share among its properties."""
    reports = [report for key in ("passed", "failed") for report in terminalreporter.stats.get(key, ())]
    counts: Counter[str] = Counter()
    for report in reports:
        if getattr(report, "when", None) == "call":
            for name, value in report.user_properties:
                counts += Counter(value) if name == SIMULATED else Counter()
    if counts:
        terminalreporter.section("simulation")
        for line in lines(counts):
            terminalreporter.line(line)


@pytest.fixture(scope="session")
def kafka(pytestconfig: pytest.Config) -> KafkaAddress:
    """The broker: ``bootstrap``, ``url`` for the log argument, ``kind``, ``version``."""
    return cast("KafkaAddress", pytestconfig.stash[_endpoint].get("kafka"))


@pytest.fixture(scope="session")
def real_kafka(kafka: KafkaAddress) -> KafkaAddress:
    """The broker, for a test that needs what librdkafka's mock of one lacks."""
    if kafka.kind == "mock":
        pytest.skip("the mock has no admin API, no offsets_for_times, shows aborted records, trims a partition at 5 MB")
    return kafka


@pytest.fixture
def kafka_topic_name() -> str:
    """A topic name that no other test uses; the topic is not created."""
    return f"test-{secrets.token_hex(6)}"


@pytest.fixture(scope="session")
def postgres(pytestconfig: pytest.Config) -> PostgresAddress:
    """The server, for a test that wants to make databases itself."""
    return cast("PostgresAddress", pytestconfig.stash[_endpoint].get("postgres"))


@pytest.fixture(scope="session")
def everwhen_kafka(real_kafka: KafkaAddress) -> KafkaAddress:
    """The plugin's, from the broker that all workers of pytest-xdist share."""
    return real_kafka


@pytest.fixture(scope="session")
def everwhen_postgres_server(postgres: PostgresAddress) -> PostgresAddress:
    """The plugin's, likewise."""
    return postgres


@pytest.fixture
def postgres_url(everwhen_postgres: str) -> str:
    """SQLAlchemy's URL of an empty database that is this test's own."""
    return everwhen_postgres


@pytest.fixture(scope="session")
def registry(pytestconfig: pytest.Config) -> RegistryAddress:
    """The schema registry: ``url`` of its Confluent-compatible API, ``kind``."""
    try:
        return cast("RegistryAddress", pytestconfig.stash[_endpoint].get("registry"))
    except PartsError as error:
        if pytestconfig.getoption("--real-parts"):
            raise
        pytest.skip(str(error))


def _kafka_kinds(config: pytest.Config) -> Collection[KafkaKind]:
    return REAL_KINDS if config.getoption("--real-parts") else KINDS
