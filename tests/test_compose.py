"""``docker-compose.yml`` starts what the tests run on, for this machine only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from everwhen.testing.parts.containers import KAFKA_IMAGE, POSTGRES_IMAGE

COMPOSE = Path(__file__).parent.parent / "docker-compose.yml"


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """The services by name."""
    services: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())["services"]
    return services


def test_images_are_those_of_the_tests(services: dict[str, Any]) -> None:
    """A person tries the versions that the tests prove."""
    assert {name: service["image"] for name, service in services.items()} == {
        "kafka": KAFKA_IMAGE,
        "postgres": POSTGRES_IMAGE,
    }


@pytest.mark.parametrize(("name", "port"), [("kafka", 9092), ("postgres", 5432)])
def test_ports_are_open_to_this_machine_only(services: dict[str, Any], name: str, port: int) -> None:
    """Neither asks for a password, so neither may be reached from elsewhere."""
    assert services[name]["ports"] == [f"127.0.0.1:{port}:{port}"]


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
