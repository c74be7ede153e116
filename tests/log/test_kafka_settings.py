"""What may be said to librdkafka, and what is refused by name. No broker is needed."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

from everwhen.errors import SettingsError
from everwhen.kafka import KafkaLog, KafkaSettings, consumer, logs
from everwhen.kafka import settings as settings_module
from everwhen.kafka.admin import Admin
from everwhen.ports.log import TopicDescription
from everwhen.testing.log_conformance import Follower

HERE = {"bootstrap.servers": "localhost:9092"}


@pytest.mark.parametrize(
    ("url", "servers"),
    [
        ("kafka://localhost:9092", "localhost:9092"),
        ("kafka://a:1,b:2", "a:1,b:2"),
        ("kafka://a", "a:9092"),
        ("kafka://[::1]:9093,[::2]", "[::1]:9093,[::2]:9092"),
        ("kafka://a:1/", "a:1"),
    ],
)
def test_brokers_of_a_url(url: str, servers: str) -> None:
    """As librdkafka writes them, with Kafka's port where none is given."""
    settings = KafkaSettings(url)
    assert settings.producer()["bootstrap.servers"] == servers
    assert settings.address == f"kafka://{servers}"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("kafka://", "kafka://host:port"),
        ("http://a:1", "kafka://host:port"),
        ("kafka://a:1,,b:2", "empty host"),
        ("kafka://a:1/topic", "topic is named by the Topic"),
        ("kafka://alice:s3cret@a:1", "mapping"),
        ("kafka://a:1?sasl.password=s3cret", "sasl.password is a secret"),
        ("kafka://a:1?acks=1", "acks=1 breaks a guarantee"),
        ("kafka://a:1?client.id=x&client.id=y", "twice"),
    ],
)
def test_url_refused(url: str, says: str) -> None:
    """With the reason, and without the secret."""
    with pytest.raises(SettingsError, match=says) as caught:
        KafkaSettings(url)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("acks", "1"),
        ("acks", 0),
        ("request.required.acks", 1),
        ("enable.idempotence", False),
        ("enable.idempotence", "false"),
        ("partitioner", "consistent_random"),
        ("enable.auto.commit", True),
        ("auto.commit.enable", "true"),
        ("enable.auto.offset.store", "true"),
        ("isolation.level", "read_uncommitted"),
        ("auto.offset.reset", "earliest"),
        ("auto.offset.reset", "latest"),
        ("enable.partition.eof", "false"),
        ("allow.auto.create.topics", True),
        ("queuing.strategy", "lifo"),
        ("delivery.report.only.error", True),
    ],
)
def test_what_breaks_a_guarantee(name: str, value: object) -> None:
    """Is refused by its name, whichever of its names, with the reason."""
    with pytest.raises(SettingsError, match=r"breaks a guarantee: .*; leave it out"):
        KafkaSettings({**HERE, name: value})


@pytest.mark.parametrize(
    "name", ["group.id", "transactional.id", "error_cb", "logger", "on_commit", "on_delivery", "default.topic.config"]
)
def test_what_is_not_the_callers(name: str) -> None:
    """Is refused by its name."""
    with pytest.raises(SettingsError, match=f"{name} cannot be set"):
        KafkaSettings({**HERE, name: "x"})


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({}, "bootstrap.servers"),
        ({"bootstrap.servers": " "}, "bootstrap.servers"),
        ({**HERE, "max.in.flight": 6}, "order"),
        ({**HERE, "max.in.flight.requests.per.connection": "many"}, "whole number"),
        ({**HERE, "message.max.bytes": 500}, "at least"),
        ({**HERE, "linger.ms": None}, "NoneType"),
        ({**HERE, "linger.ms": [5]}, "list"),
        ({**HERE, "metadata.broker.list": "b:1"}, "twice"),
    ],
)
def test_what_cannot_be_meant(settings: dict[str, object], says: str) -> None:
    """Is refused too."""
    with pytest.raises(SettingsError, match=says):
        KafkaSettings(settings)


def test_defaults() -> None:
    """The guarantees are set; the rest is fast and can be changed."""
    settings = KafkaSettings(HERE)
    producer, reading = settings.producer(), settings.consumer("g")
    assert (producer["acks"], producer["enable.idempotence"], producer["partitioner"]) == (
        "all",
        "true",
        "murmur2_random",
    )
    assert (producer["linger.ms"], producer["compression.type"]) == ("5", "lz4")
    assert (reading["group.id"], reading["auto.offset.reset"]) == ("g", "error")
    assert (reading["isolation.level"], reading["enable.auto.commit"]) == ("read_committed", "false")
    assert reading["partition.assignment.strategy"] == "cooperative-sticky"
    assert settings.cooperative
    assert settings.size_limit == 999_488


def test_what_may_be_chosen() -> None:
    """Passes through, under librdkafka's first name for it."""
    settings = KafkaSettings(
        {
            **HERE,
            "queue.buffering.max.ms": 50,
            "compression.codec": "zstd",
            "acks": "all",
            "partition.assignment.strategy": "range",
            "session.timeout.ms": 10000,
            "message.max.bytes": 2_000_000,
        }
    )
    producer = settings.producer()
    assert (producer["linger.ms"], producer["compression.type"], producer["acks"]) == ("50", "zstd", "all")
    assert settings.consumer("g")["session.timeout.ms"] == "10000"
    assert not settings.cooperative
    assert settings.size_limit == 2_000_000 - 512


def test_broker_side_groups() -> None:
    """KIP-848: the assignor is the broker's, and librdkafka refuses ours."""
    settings = KafkaSettings({**HERE, "group.protocol": "consumer"})
    assert "partition.assignment.strategy" not in settings.consumer("g")
    assert settings.cooperative


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"no.such.setting": 1}, "no.such.setting"),
        ({"linger.ms": "soon"}, "queue.buffering.max.ms"),
        ({"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN", "sasl.username": "u"}, "sasl.password"),
    ],
)
def test_what_librdkafka_refuses(settings: dict[str, object], names: str) -> None:
    """Is a wrong setting to us as well, named as librdkafka names it."""
    with pytest.raises(SettingsError, match=names):
        KafkaLog(HERE | settings).describe("t")


def test_secrets_stay_inside() -> None:
    """In no representation, and not in what librdkafka says of them."""
    settings = KafkaSettings({**HERE, "sasl.password": "s3cret"})
    assert "s3cret" not in repr(settings) + settings.address
    assert settings.hide_secrets("bad value s3cret") == "bad value ***"


def test_unverified_tls_is_refused_or_told(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """It is the caller's risk: asked for twice where nothing is checked, and told once for a process."""
    monkeypatch.setattr(settings_module, "_warned", set())
    monkeypatch.setattr(logs.logger, "filters", [])  # it would not tell the same again so soon
    monkeypatch.delenv(settings_module.ALLOW_UNVERIFIED, raising=False)
    unchecked = {**HERE, "security.protocol": "SSL", "enable.ssl.certificate.verification": False}
    with pytest.raises(SettingsError, match=r"set ssl\.ca\.location .* EVERWHEN_ALLOW_UNVERIFIED_TLS=1"):
        KafkaSettings(unchecked)
    monkeypatch.setenv(settings_module.ALLOW_UNVERIFIED, "1")
    with caplog.at_level(logging.WARNING, logger="everwhen.kafka"):
        for _ in range(2):
            KafkaSettings(unchecked)
            KafkaSettings({**HERE, "security.protocol": "SSL", "ssl.endpoint.identification.algorithm": "none"})
    assert [record.message.partition(":")[0] for record in caplog.records] == [
        "tls.unverified enable.ssl.certificate.verification=false",
        "tls.unverified ssl.endpoint.identification.algorithm=none",
    ]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("sasl.oauthbearer.config", "principal=p extension_x=s3cret", "beginning at: extension_x=s3cret"),
        ("sasl.oauthbearer.client.credentials.client.secret", "s3cret", "refused: s3cret"),
        ("ssl.key.pem", "-----BEGIN\ns3cret\n-----END", "bad line s3cret"),
        ("sasl.oauthbearer.token.endpoint.url", "https://u:s3cret@h/t?k=t0ken", "GET https://u:s3cret@h/t?k=t0ken"),
    ],
)
def test_parts_of_secrets(name: str, value: str, said: str) -> None:
    """librdkafka quotes what it cannot read, from there on."""
    hidden = KafkaSettings({**HERE, name: value}).hide_secrets(said)
    assert "s3cret" not in hidden
    assert "t0ken" not in hidden
    assert "***" in hidden


def test_user_in_bootstrap_servers() -> None:
    """The brokers are shown everywhere, so nothing secret may stand among them."""
    with pytest.raises(SettingsError, match=r"sasl\.username and sasl\.password") as caught:
        KafkaSettings({"bootstrap.servers": "alice:s3cret@a:1"})
    assert "s3cret" not in str(caught.value)


def test_no_client_without_kafka() -> None:
    """Who has a local log does not load confluent_kafka."""
    program = "import sys, everwhen.local, everwhen.ports.log; sys.exit('confluent_kafka' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_librdkafka_that_skips_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever confluent-kafka's own version: its issue 4844 loses a record without a word."""
    monkeypatch.setattr(consumer, "libversion", lambda: ("2.13.0", 0x020D00FF))
    settings = KafkaSettings(HERE)
    topic = TopicDescription("t", 1, "cluster", "id")
    with pytest.raises(SettingsError, match=r"librdkafka 2\.13\.0 .* 2\.13\.2 or newer"):
        consumer.KafkaConsumer(settings, Admin(settings), topic, Follower(), group="g", partitions=None)
