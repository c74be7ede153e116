"""A Kafka broker with TLS and SASL listeners for tests, from the real broker's jars.

No other source serves: a broker of one's own is needed for certificates of one's own.
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from everwhen.testing.parts import sources
from everwhen.testing.parts.archive import program
from everwhen.testing.parts.authority import Authority, Identity
from everwhen.testing.parts.brokers import Cluster, Listener
from everwhen.testing.parts.jars import KAFKA_VERSION, cached_jars, fetch_jars
from everwhen.testing.parts.java import find_java

if TYPE_CHECKING:
    from collections.abc import Callable

    from everwhen.testing.parts.brokers import Program

USER = "alice"

_SECURITY = "org.apache.kafka.common.security"


@dataclass(frozen=True)
class SecureKafkaAddress:
    """Where the listeners of one broker answer, each as ``bootstrap.servers``; can be handed to other processes.

    :ivar plain: without encryption.
    :ivar ssl: TLS; a client certificate is not asked for.
    :ivar mutual: TLS that wants a client certificate: ``client`` is one.
    :ivar sasl: TLS with SASL, by SCRAM-SHA-512 or PLAIN: ``user`` with ``password``.
    :ivar expired: TLS with a certificate that has expired.
    :ivar elsewhere: TLS with a certificate for another host.
    :ivar authority: the certificate that vouches for all of them, as the path of a PEM file.
    :ivar stranger: the certificate of an authority that vouches for none of them.
    """

    plain: str
    ssl: str
    mutual: str
    sasl: str
    expired: str
    elsewhere: str
    authority: Path
    stranger: Path
    client: Identity
    user: str
    password: str = field(repr=False)
    means: str = ""
    passed_over: tuple[str, ...] = ()

    def describe(self) -> str:
        """One line, such as ``Apache Kafka 4.1.1 (jars, JVM 17.0.15) with TLS at localhost:29092``."""
        return f"{self.means} with TLS at {self.ssl}"


class SecureKafka(sources.Running):
    """A broker with TLS and SASL listeners beside its plain one."""

    def __init__(self, address: SecureKafkaAddress, end: Callable[[], None]) -> None:
        super().__init__(end)
        self.address = address


def start_secure_kafka() -> SecureKafka:
    """Start a broker with the listeners of `SecureKafkaAddress` and return once it answers.

    Raises `PartsError` saying what is missing.
    """
    sources.require("confluent_kafka", "confluent-kafka")
    java = find_java()
    if cached_jars() is None:
        sources.require("jgo", "jgo")
    directory = Path(tempfile.mkdtemp(prefix="everwhen-tls-"))
    try:
        return _start(program(java, fetch_jars()), directory)
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise


def _start(kafka: Program, directory: Path) -> SecureKafka:
    authority, stranger = Authority(_folder(directory, "authority")), Authority(_folder(directory, "stranger"))
    client, password = authority.issue(USER), secrets.token_hex(16)
    cluster = Cluster(
        kafka,
        config={"num.network.threads": 1},  # of each listener
        listeners=_listeners(authority, password),
        format_options=("--add-scram", f"SCRAM-SHA-512=[name={USER},password={password}]"),
    )
    cluster.start()

    def end() -> None:
        cluster.stop()
        shutil.rmtree(directory, ignore_errors=True)

    further = {name.lower(): address for name, address in cluster.further.items()}
    means = f"Apache Kafka {KAFKA_VERSION} (jars, JVM {kafka.java.version})"
    address = SecureKafkaAddress(
        plain=cluster.bootstrap,
        ssl=further["ssl"],
        mutual=further["mutual"],
        sasl=further["sasl"],
        expired=further["expired"],
        elsewhere=further["elsewhere"],
        authority=authority.certificate,
        stranger=stranger.certificate,
        client=client,
        user=USER,
        password=password,
        means=means,
    )
    return SecureKafka(address, end)


def _listeners(authority: Authority, password: str) -> list[Listener]:
    server = _keystore(authority.issue("localhost", ["localhost", "127.0.0.1"]))
    trust = {"ssl.truststore.type": "PEM", "ssl.truststore.location": authority.certificate}
    sasl = {
        "sasl.enabled.mechanisms": "SCRAM-SHA-512,PLAIN",
        "scram-sha-512.sasl.jaas.config": f"{_SECURITY}.scram.ScramLoginModule required;",
        "plain.sasl.jaas.config": f'{_SECURITY}.plain.PlainLoginModule required user_{USER}="{password}";',
    }
    return [
        Listener("SSL", "SSL", server),
        Listener("MUTUAL", "SSL", {**server, **trust, "ssl.client.auth": "required"}),
        Listener("SASL", "SASL_SSL", {**server, **sasl}),
        Listener("EXPIRED", "SSL", _keystore(authority.issue("expired", ["localhost"], expired=True))),
        Listener("ELSEWHERE", "SSL", _keystore(authority.issue("elsewhere", ["broker.example"]))),
    ]


def _keystore(identity: Identity) -> dict[str, object]:
    """Kafka reads a key and its certificates from one PEM file (KIP-651), so no keytool is needed."""
    store = identity.key.with_suffix(".pem")
    store.touch(mode=0o600)
    store.write_text(identity.both)
    return {"ssl.keystore.type": "PEM", "ssl.keystore.location": store}


def _folder(directory: Path, name: str) -> Path:
    folder = directory / name
    folder.mkdir(mode=0o700)
    return folder
