"""Parts with TLS, and the bank that is projected over them."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from everwhen.testing.parts import PartsError, SecureKafkaAddress, SecurePostgresAddress
from tests.conftest import _endpoint

if TYPE_CHECKING:
    from everwhen.connect import LogTarget

HANDSHAKE_SECONDS = 10.0
"""How long a refusal may take; the log itself waits for 15 seconds."""


@pytest.fixture(scope="session")
def secure_kafka(pytestconfig: pytest.Config) -> SecureKafkaAddress:
    """A broker with listeners for TLS and SASL."""
    try:
        return cast("SecureKafkaAddress", pytestconfig.stash[_endpoint].get("secure_kafka"))
    except PartsError as error:
        pytest.skip(f"no broker with TLS: {error}")


@pytest.fixture(scope="session")
def secure_postgres(pytestconfig: pytest.Config) -> SecurePostgresAddress:
    """A database server that takes connections by TLS only."""
    try:
        return cast("SecurePostgresAddress", pytestconfig.stash[_endpoint].get("secure_postgres"))
    except PartsError as error:
        pytest.skip(f"no database with TLS: {error}")


@pytest.fixture
def tls(secure_kafka: SecureKafkaAddress) -> dict[str, str]:
    """Settings for the listener with TLS and nothing else."""
    return {
        "bootstrap.servers": secure_kafka.ssl,
        "security.protocol": "SSL",
        "ssl.ca.location": str(secure_kafka.authority),
    }


@pytest.fixture
def mutual(secure_kafka: SecureKafkaAddress, tls: dict[str, str]) -> dict[str, str]:
    """Settings for the listener that asks for a certificate."""
    return tls | {
        "bootstrap.servers": secure_kafka.mutual,
        "ssl.certificate.location": str(secure_kafka.client.certificate),
        "ssl.key.location": str(secure_kafka.client.key),
    }


@pytest.fixture
def scram(secure_kafka: SecureKafkaAddress, tls: dict[str, str]) -> dict[str, str]:
    """Settings for the listener with SASL."""
    return tls | {
        "bootstrap.servers": secure_kafka.sasl,
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": secure_kafka.user,
        "sasl.password": secure_kafka.password,
    }


@pytest.fixture
def target(request: pytest.FixtureRequest) -> LogTarget:
    """The settings that the test's parameter names."""
    return cast("LogTarget", request.getfixturevalue(request.param))
