"""What librdkafka is told: from a URL, or from a mapping of its own dotted names.

The names and their meaning: https://github.com/confluentinc/librdkafka/blob/master/CONFIGURATION.md
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from everwhen.errors import SettingsError
from everwhen.kafka.rules import ALIASES, BOUND, NOT_YOURS, is_secret, secrets_in

_logger = logging.getLogger("everwhen.kafka")

_DEFAULT_PORT = 9092
_RECORD_OVERHEAD = 512
"""Bytes kept free for the framing of a record (KIP-98: at most 36, and some for each header) and of its batch (61)."""
_MESSAGE_MAX_BYTES = 1_000_000
_MOST_IN_FLIGHT = 5

_BOTH = {"client.id": "everwhen"}
_PRODUCER = {"linger.ms": "5", "compression.type": "lz4"}
_PRODUCER_BOUND = {"enable.idempotence": "true", "acks": "all", "partitioner": "murmur2_random"}
# What a worker has fetched it holds itself, within a bound; librdkafka's own 64 MB would come on top of that. Its bytes
# count neither headers nor its own bookkeeping, which are most of a small record: hence a number too.
_CONSUMER = {"queued.max.messages.kbytes": "16384", "queued.min.messages": "10000"}
_CONSUMER_BOUND = {
    "isolation.level": "read_committed",
    "enable.auto.commit": "false",
    "enable.auto.offset.store": "false",
    "auto.offset.reset": "error",
    "enable.partition.eof": "true",
    "allow.auto.create.topics": "false",
}


ALLOW_UNVERIFIED = "EVERWHEN_ALLOW_UNVERIFIED_TLS"
"""The environment variable without which no certificate goes unchecked."""

_FALSE = frozenset({"false", "f", "0"})
_warned: set[str] = set()


class KafkaSettings:
    """Settings for the producers, consumers and admin clients of one log. Immutable."""

    def __init__(self, source: str | Mapping[str, object]) -> None:
        """Check the settings; no connection is made.

        :param source: ``kafka://host:port,host:port``, optionally with librdkafka's settings as the query
            (``?security.protocol=SSL``), or a mapping of those settings.
        :raises SettingsError: for a malformed URL, a secret in a URL, and for a setting that breaks a guarantee or is
            not the caller's to choose. Names that librdkafka does not know are refused when a client is made.
        """
        self._given = _checked(_from_url(source) if isinstance(source, str) else source)
        servers = self._given.get("bootstrap.servers")
        if not servers:
            raise SettingsError("the log's settings name no broker; set bootstrap.servers to host:port")
        if "@" in str(servers):  # it is shown in every message
            raise SettingsError("bootstrap.servers holds no user and password; set sasl.username and sasl.password")
        _check_verification(self._given)

    @property
    def address(self) -> str:
        """The brokers as a URL; holds nothing else, so no secret."""
        return f"kafka://{self.brokers}"

    @property
    def brokers(self) -> str:
        """Where the brokers are, as ``HOST:PORT`` separated by commas."""
        return str(self._given["bootstrap.servers"])

    @property
    def cooperative(self) -> bool:
        """Whether a group's partitions move one by one (KIP-429, KIP-848) and not all at once."""
        strategy = self.consumer("").get("partition.assignment.strategy")
        return strategy is None or "cooperative" in strategy

    @property
    def message_max_bytes(self) -> int:
        """librdkafka's ``message.max.bytes``."""
        return int(self._given.get("message.max.bytes", _MESSAGE_MAX_BYTES))

    @property
    def size_limit(self) -> int:
        """The largest record, in bytes of key, value and headers together."""
        return self.message_max_bytes - _RECORD_OVERHEAD

    def producer(self) -> dict[str, Any]:
        """Return the configuration of a producer: idempotent, acknowledged by all replicas."""
        return _BOTH | _PRODUCER | self._given | _PRODUCER_BOUND

    def consumer(self, group: str) -> dict[str, Any]:
        """Return the configuration of a consumer: committed records only, positions kept by us."""
        config = _BOTH | _CONSUMER | self._given | _CONSUMER_BOUND | {"group.id": group}
        # A group of KIP-848 is assigned by the broker, and librdkafka refuses the setting there.
        if config.get("group.protocol") != "consumer":
            config.setdefault("partition.assignment.strategy", "cooperative-sticky")
        return config

    def admin(self) -> dict[str, Any]:
        """Return the configuration of an admin client."""
        return _BOTH | self._given

    def hide_secrets(self, text: str) -> str:
        """Return ``text`` without any password, key or token that is in the settings."""
        for name, value in self._given.items():
            if isinstance(value, str) and value:
                for secret in secrets_in(name, value):
                    text = text.replace(secret, "***")
        return text

    def __repr__(self) -> str:
        return f"KafkaSettings({self.address})"


def _from_url(url: str) -> dict[str, object]:
    parts = urlsplit(url)
    if parts.scheme != "kafka" or not parts.netloc:
        raise SettingsError("a log on Kafka is named like kafka://host:port or kafka://host1:port,host2:port")
    if "@" in parts.netloc:
        raise SettingsError(
            "a Kafka URL holds no user and password, since URLs end up in logs and process lists; give a mapping with "
            "sasl.username and sasl.password instead of the URL"
        )
    if parts.path.strip("/") or parts.fragment:
        raise SettingsError("a Kafka URL ends after the brokers and settings; the topic is named by the Topic")
    settings: dict[str, object] = {"bootstrap.servers": ",".join(map(_with_port, parts.netloc.split(",")))}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if is_secret(name):
            raise SettingsError(
                f"{name} is a secret, and URLs end up in logs and process lists; give the settings as a mapping"
            )
        if name in settings:
            raise SettingsError(f"{name} is given twice in the Kafka URL")
        settings[name] = value
    return settings


def _with_port(host: str) -> str:
    if not host:
        raise SettingsError("a Kafka URL has an empty host between its commas")
    has_port = ":" in (host.rpartition("]")[2] if host.startswith("[") else host)
    return host if has_port else f"{host}:{_DEFAULT_PORT}"


def _checked(given: Mapping[str, object]) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for alias, value in given.items():
        name = ALIASES.get(alias, alias)
        if name in settings:
            raise SettingsError(f"{name} is given twice, also as {alias}; they are the same setting")
        settings[name] = _text(name, value)
        _check(name, settings[name])
    return settings


def _text(name: str, value: object) -> Any:
    """Return the value as librdkafka reads it from a file; callbacks stay what they are."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, str):
        return value.strip()
    if callable(value) and name.endswith("_cb"):
        return value
    raise SettingsError(f"{name} must be a text, a number or a truth value, not {type(value).__name__}")


def _check(name: str, value: Any) -> None:
    if reason := NOT_YOURS.get(name):
        raise SettingsError(f"{name} cannot be set: {reason}")
    if name in BOUND:
        allowed, reason = BOUND[name]
        if str(value).lower() not in allowed:
            raise SettingsError(f"{name}={value} breaks a guarantee: {reason}; leave it out, it is {allowed[0]}")
    if name == "max.in.flight":
        _check_number(name, value, most=_MOST_IN_FLIGHT)
    if name == "message.max.bytes":
        _check_number(name, value, least=2 * _RECORD_OVERHEAD)


def _check_number(name: str, value: Any, *, least: int = 1, most: int | None = None) -> None:
    try:
        number = int(value)
    except ValueError:
        raise SettingsError(f"{name} must be a whole number") from None
    if number < least or (most is not None and number > most):
        bound = f"at least {least}" if most is None else f"{least} to {most}, above which order is not kept"
        raise SettingsError(f"{name}={number} cannot be: {bound}")


def _check_verification(settings: Mapping[str, Any]) -> None:
    if str(settings.get("enable.ssl.certificate.verification", "")).lower() in _FALSE:
        setting = "enable.ssl.certificate.verification=false"
        if os.environ.get(ALLOW_UNVERIFIED) != "1":
            raise SettingsError(
                f"{setting} lets anyone on the way pose as the broker; set ssl.ca.location to the authority of its "
                f"certificate, or allow it by the environment variable {ALLOW_UNVERIFIED}=1"
            )
        _warn_once(setting, "anyone on the way can pose as the broker")
    elif str(settings.get("ssl.endpoint.identification.algorithm", "")).lower() == "none":
        _warn_once(
            "ssl.endpoint.identification.algorithm=none",
            "whoever holds a certificate of the same authority can pose as the broker",
        )


def _warn_once(setting: str, danger: str) -> None:
    if setting not in _warned:
        _warned.add(setting)
        _logger.warning("tls.unverified %s: %s", setting, danger)
