"""TLS and SASL on the listeners of a real broker."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from everwhen import Publisher, Reader, Worker
from everwhen.connect import open_log
from everwhen.errors import LogError, SettingsError
from everwhen.kafka import KafkaLog, logs, settings
from tests import ledger
from tests.cli.conftest import PROJECT
from tests.ledger import Noted
from tests.security.conftest import HANDSHAKE_SECONDS

if TYPE_CHECKING:
    from everwhen.testing.parts import SecureKafkaAddress

T0 = datetime(2026, 3, 1, tzinfo=UTC)


def refused(target: dict[str, str]) -> str:
    """Open the log and return what it says; it must say so soon, in one line."""
    log = KafkaLog(target)
    before = time.monotonic()
    with pytest.raises(LogError) as caught:
        log.describe("ledger")
    assert time.monotonic() - before < HANDSHAKE_SECONDS
    log.close()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("target", ["tls", "mutual", "scram"], indirect=True)
def test_publish_project_ask(target: dict[str, str], kafka_topic_name: str, tmp_path: Path) -> None:
    """Each client that we make, producer, consumer and admin, gets all settings that the handshake needs."""
    topic = ledger.topic(tmp_path, kafka_topic_name)
    projection = ledger.projection(topic)
    log = open_log(target)
    log.create_topic(topic.name, topic.partitions)
    log.close()
    with Publisher(topic, target) as publisher:
        publisher.publish("e", Noted(text="by TLS"), occurred_at=T0)
    store = f"sqlite:///{tmp_path}/store.db"
    Worker(projection, target, store).run(until="end")
    with Reader(projection, store) as reader:
        assert reader.get("e").require().notes == ["by TLS"]


def test_sasl_plain(scram: dict[str, str], kafka_topic_name: str) -> None:
    """The password itself goes over the wire; TLS hides it."""
    log = KafkaLog(scram | {"sasl.mechanism": "PLAIN"})
    assert log.create_topic(kafka_topic_name, 1)
    log.close()


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "PLAIN"])
def test_wrong_password(scram: dict[str, str], mechanism: str) -> None:
    """The settings are named and the password is not."""
    said = refused(scram | {"sasl.mechanism": mechanism, "sasl.password": "wr0ng-s3cret"})
    assert "sasl.password" in said
    assert "wr0ng-s3cret" not in said


def test_mechanism_that_the_broker_lacks(scram: dict[str, str]) -> None:
    """Those that it has are named."""
    assert "SCRAM-SHA-512,PLAIN" in refused(scram | {"sasl.mechanism": "SCRAM-SHA-256"})


def test_unknown_authority(tls: dict[str, str], secure_kafka: SecureKafkaAddress) -> None:
    """Whoever holds a certificate of another authority is not the broker."""
    said = refused(tls | {"ssl.ca.location": str(secure_kafka.stranger)})
    assert "certificate is not trusted: ssl.ca.location" in said


@pytest.mark.parametrize("listener", ["expired", "elsewhere"])
def test_certificate_that_does_not_count(tls: dict[str, str], secure_kafka: SecureKafkaAddress, listener: str) -> None:
    """One that has expired, and one that was made for another host."""
    said = refused(tls | {"bootstrap.servers": getattr(secure_kafka, listener)})
    assert "its name the host's in bootstrap.servers, and it must not have expired" in said


def test_no_certificate_of_ours(tls: dict[str, str], secure_kafka: SecureKafkaAddress) -> None:
    """A listener that asks for one says so in an alert, after the handshake seemed done."""
    said = refused(tls | {"bootstrap.servers": secure_kafka.mutual})
    assert "ssl.certificate.location and ssl.key.location" in said


def test_no_tls_there(tls: dict[str, str], secure_kafka: SecureKafkaAddress) -> None:
    """The setting that is wrong is another one."""
    assert "security.protocol" in refused(tls | {"bootstrap.servers": secure_kafka.plain})


def test_authority_without_a_file(tls: dict[str, str]) -> None:
    """A setting that librdkafka refuses before it connects."""
    with pytest.raises(SettingsError, match=r"ssl\.ca\.location"):
        KafkaLog(tls | {"ssl.ca.location": "/nowhere/ca.pem"}).describe("ledger")


def test_verification_off(
    tls: dict[str, str], secure_kafka: SecureKafkaAddress, kafka_topic_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only who asks for it twice gets a connection to a broker that nobody vouches for."""
    monkeypatch.setattr(settings, "_warned", set())
    target = tls | {"ssl.ca.location": str(secure_kafka.stranger), "enable.ssl.certificate.verification": "false"}
    monkeypatch.delenv(settings.ALLOW_UNVERIFIED, raising=False)
    with pytest.raises(SettingsError, match=settings.ALLOW_UNVERIFIED):
        KafkaLog(target)
    monkeypatch.setenv(settings.ALLOW_UNVERIFIED, "1")
    log = KafkaLog(target)
    assert log.create_topic(kafka_topic_name, 1)
    log.close()


def test_host_name_unchecked(
    tls: dict[str, str],
    secure_kafka: SecureKafkaAddress,
    kafka_topic_name: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It works, as librdkafka's users expect, and is told once."""
    monkeypatch.setattr(settings, "_warned", set())
    monkeypatch.setattr(logs.logger, "filters", [])  # it would not tell the same again so soon
    target = {"bootstrap.servers": secure_kafka.elsewhere, "ssl.endpoint.identification.algorithm": "none"}
    for made in (True, False):
        log = KafkaLog(tls | target)
        assert log.create_topic(kafka_topic_name, 1) is made
        log.close()
    warnings = [record.getMessage() for record in caplog.records if "tls.unverified" in record.getMessage()]
    assert len(warnings) == 1
    assert warnings[0].startswith("tls.unverified ssl.endpoint.identification.algorithm=none:")


def test_exit_codes(scram: dict[str, str], secure_kafka: SecureKafkaAddress, tmp_path: Path) -> None:
    """A refusal is 7: trying again does not help. The password comes by the environment."""
    workspace = PROJECT.copy(tmp_path / "project")
    for changed, says in (
        ({"sasl.password": "wr0ng-s3cret"}, "sasl.password"),
        ({"ssl.ca.location": str(secure_kafka.stranger)}, "ssl.ca.location"),
    ):
        target = scram | changed
        log = f"kafka://{target.pop('bootstrap.servers')}"
        variable = " ".join(f"{name}={value}" for name, value in target.items())
        done = workspace.run_new(
            "topic",
            "check",
            "bank:accounts",
            "--log",
            log,
            EVERWHEN_KAFKA=variable,
        )
        assert (done.code, says in done.error) == (7, True), done
        assert "s3cret" not in done.out + done.err
