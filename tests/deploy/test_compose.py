"""``docker-compose.yml`` starts what the tests run on, and a whole deployment beside it, for this machine only."""

from __future__ import annotations

import re
import shlex
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from everwhen.testing.parts.containers import KAFKA_IMAGE, POSTGRES_IMAGE
from tests.cli.commands import parse

ROOT = Path(__file__).parents[2]
FLIGHTS = ("topic", "publisher", "worker")
ORDERS = ("orders-topic", "orders-tables", "orders-relay", "orders-worker", "orders")


@pytest.fixture(scope="module")
def composed() -> dict[str, Any]:
    """The file."""
    composed: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return composed


@pytest.fixture(scope="module")
def services(composed: dict[str, Any]) -> dict[str, Any]:
    """The services by name."""
    services: dict[str, Any] = composed["services"]
    return services


@pytest.fixture(scope="module")
def scraping() -> dict[str, Any]:
    """What Prometheus scrapes."""
    (job,) = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
    (names,) = job["dns_sd_configs"]
    return dict(names)


def test_images_are_those_of_the_tests(services: dict[str, Any]) -> None:
    """A person tries the versions that the tests prove; without a profile nothing else is started."""
    assert {name: service["image"] for name, service in services.items() if "profiles" not in service} == {
        "kafka": KAFKA_IMAGE,
        "postgres": POSTGRES_IMAGE,
    }


def test_images_have_versions(services: dict[str, Any]) -> None:
    """What starts today is what started yesterday."""
    for name, service in services.items():
        assert re.search(r":v?\d[\w.-]*$", service["image"]), name


@pytest.mark.parametrize(
    ("name", "port"), [("kafka", 9092), ("postgres", 5432), ("orders", 8000), ("prometheus", 9090)]
)
def test_ports_are_open_to_this_machine_only(services: dict[str, Any], name: str, port: int) -> None:
    """The password is known to everybody, and the others ask for none."""
    assert services[name]["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert [each for each in services if "ports" in services[each]] == ["kafka", "postgres", "orders", "prometheus"]


@pytest.mark.parametrize(("name", "program"), [("kafka", "kafka-broker-api-versions.sh"), ("postgres", "pg_isready")])
def test_health_checks_ask_the_server_itself(services: dict[str, Any], name: str, program: str) -> None:
    """``docker compose up --wait`` returns when clients are served, not when a process is there."""
    check = services[name]["healthcheck"]
    assert check["test"][0] == "CMD"
    assert Path(check["test"][1]).name == program
    assert {"interval", "timeout", "retries"} <= check.keys()


def test_topics_are_made_on_purpose_and_stamped_by_the_broker(services: dict[str, Any]) -> None:
    """An event topic that a typing mistake made would have the wrong settings; recorded times are the broker's."""
    environment = services["kafka"]["environment"]
    assert environment["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    assert environment["KAFKA_LOG_MESSAGE_TIMESTAMP_TYPE"] == "LogAppendTime"
    assert environment["KAFKA_LOG_RETENTION_MS"] == -1


def test_commands_are_those_of_the_program(services: dict[str, Any]) -> None:
    """An option that was renamed would be found out by whoever starts it."""
    for name in ("topic", "worker", "orders-topic", "orders-relay", "orders-worker"):
        parse(shlex.join(["everwhen", *services[name]["command"]]))
    publisher = services["publisher"]["entrypoint"]
    assert publisher[:2] == ["python", "-m"]
    assert callable(import_module(publisher[2]).main)
    assert {service for service in services if "build" in services[service]} == {*FLIGHTS, *ORDERS}


def test_the_service_is_the_one_that_the_example_starts(services: dict[str, Any]) -> None:
    """Its tables are made first, its factory is there, and it listens where its port leads."""
    tables, service = services["orders-tables"]["entrypoint"], services["orders"]["entrypoint"]
    assert tables[:2] == service[:2] == ["python", "-m"]
    assert callable(import_module(tables[2]).create)
    module, _, factory = service[service.index("--factory") + 1].partition(":")
    assert callable(getattr(import_module(module), factory))
    assert service[-2:] == ["--host", "0.0.0.0"]
    assert "http://127.0.0.1:8000/" in services["orders"]["healthcheck"]["test"][-1]


def test_what_ends_by_sigterm_is_given_the_time(services: dict[str, Any]) -> None:
    """By default Docker kills after ten seconds, which is how long a relay waits for a broker's last answers."""
    for name in ("worker", "orders-worker", "orders-relay"):
        assert services[name]["stop_grace_period"] == "60s"


def test_the_example_is_not_root_and_writes_nowhere(services: dict[str, Any]) -> None:
    """What the documentation asks of a deployment, the example does itself."""
    for name in (*FLIGHTS, *ORDERS):
        service = services[name]
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert "user" not in service  # the image's own, which is not root


def test_the_worker_says_how_it_is_where_prometheus_asks(services: dict[str, Any], scraping: dict[str, Any]) -> None:
    """Another port in one of the three places would be a worker that is never seen, or never healthy."""
    command = services["worker"]["command"]
    host, _, port = command[command.index("--http") + 1].rpartition(":")
    assert (host, int(port), scraping["names"]) == ("0.0.0.0", scraping["port"], ["worker"])
    assert f"http://127.0.0.1:{port}/livez" in services["worker"]["healthcheck"]["test"][-1]


def test_the_broker_is_reached_by_the_name_that_it_gives(services: dict[str, Any]) -> None:
    """A client asks one address and is sent to the one that is advertised: both must be of the same listener."""
    listeners = services["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"].split(",")
    for worker in ("worker", "orders-worker"):
        log = services[worker]["environment"]["EVERWHEN_LOG"]
        assert f"BROKER://{log.removeprefix('kafka://')}" in listeners


def test_one_password_from_the_environment(composed: dict[str, Any], services: dict[str, Any]) -> None:
    """Server and clients take the same one, and its default says what it is good for."""
    password = services["postgres"]["environment"]["POSTGRES_PASSWORD"]
    assert password == "${FLIGHTS_DATABASE_PASSWORD:-development-only}"
    for client in ("worker", "orders"):
        assert services[client]["environment"]["PGPASSWORD"] == password
        assert "development-only" not in services[client]["environment"]["EVERWHEN_STORE"]
    assert set(composed["volumes"]) == {"kafka", "postgres", "prometheus"}


def test_what_is_mounted_and_waited_for_is_there(composed: dict[str, Any], services: dict[str, Any]) -> None:
    """A path or a service that was renamed would be noticed at the start only."""
    for name, service in services.items():
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            assert source in composed["volumes"] or (ROOT / source).is_dir(), (name, source)
        for other, condition in service.get("depends_on", {}).items():
            wanted = condition["condition"]
            ends = wanted == "service_completed_successfully"
            assert ends or (wanted == "service_healthy" and "healthcheck" in services[other]), (name, other)
