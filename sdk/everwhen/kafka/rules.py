"""Which of librdkafka's settings are bound by a guarantee, are not the caller's to choose, or are secret."""

from __future__ import annotations

import re

ALIASES = {
    "auto.commit.enable": "enable.auto.commit",
    "compression.codec": "compression.type",
    "delivery.timeout.ms": "message.timeout.ms",
    "fetch.message.max.bytes": "max.partition.fetch.bytes",
    "max.in.flight.requests.per.connection": "max.in.flight",
    "message.send.max.retries": "retries",
    "metadata.broker.list": "bootstrap.servers",
    "queue.buffering.max.ms": "linger.ms",
    "request.required.acks": "acks",
    "sasl.mechanisms": "sasl.mechanism",
}
"""librdkafka's second names of the settings that we look at, with the first."""

BOUND: dict[str, tuple[tuple[str, ...], str]] = {
    "acks": (("all", "-1"), "an acknowledged record that only some replicas have can be lost"),
    "enable.idempotence": (("true",), "without it a retry can double or reorder records"),
    "partitioner": (
        ("murmur2_random",),
        "all events of an entity must lie in the partition where JVM clients and Kafka Streams put them",
    ),
    "queuing.strategy": (("fifo",), "an entity's events would change their order"),
    "delivery.report.only.error": (("false",), "a record's position is only known from its report"),
    "isolation.level": (("read_committed",), "records of aborted transactions would be applied"),
    "enable.auto.commit": (("false",), "the position is kept in the store, in one transaction with the rows"),
    "enable.auto.offset.store": (("false",), "the position is kept in the store, in one transaction with the rows"),
    "auto.offset.reset": (("error",), "a lost position must stop the partition and not skip records"),
    "enable.partition.eof": (("true",), "a worker knows by it that it has caught up"),
    "allow.auto.create.topics": (("false",), "a topic made by a typo has the broker's finite retention"),
}
"""Setting -> the values that keep the guarantee, the first being the default, and what the others would break."""

_OURS = "it is used by everwhen itself"
NOT_YOURS = {
    "group.id": "it follows from the projection, so that two projections never share a group",
    "transactional.id": "a publisher does not run transactions",
    "default.topic.config": "put its settings beside the others",
    "error_cb": f"{_OURS}; listen to the logger everwhen.kafka",
    "log_cb": f"{_OURS}; listen to the logger everwhen.kafka",
    "logger": f"{_OURS}; listen to the logger everwhen.kafka",
    "on_commit": _OURS,
    "on_delivery": _OURS,
    "dr_cb": _OURS,
    "dr_msg_cb": _OURS,
    "offset_commit_cb": _OURS,
    "rebalance_cb": _OURS,
    "consume_cb": _OURS,
}

_SECRET = re.compile(r"password|secret|passphrase|key\.pem$|^sasl\.oauthbearer\.config$|token$")


def is_secret(name: str) -> bool:
    """Whether a setting's value must not be seen; by its name, so that aliases and later settings are covered."""
    return _SECRET.search(name) is not None


def secrets_in(name: str, value: str) -> list[str]:
    """Return the parts of a setting's value that must not be seen, the longest first.

    librdkafka quotes the rest of a list that it cannot read, so each word of a secret is one of them.
    """
    if is_secret(name):
        return sorted({value, *(word for word in value.split() if len(word) >= _SHORTEST_WORD)}, key=len, reverse=True)
    if "://" in value:
        return [found for found in _IN_URL.findall(value) if found]
    return []


_SHORTEST_WORD = 4
_IN_URL = re.compile(r"(?<=://)[^/?#@]*(?=@)|(?<=\?)[^#]+")
