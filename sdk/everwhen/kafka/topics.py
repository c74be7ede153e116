"""The settings that an event topic needs, and what is wrong with those that one has.

The names and their meaning: https://kafka.apache.org/documentation/#topicconfigs
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

TOPIC_SETTINGS = {
    "cleanup.policy": "delete",
    "retention.ms": "-1",
    "retention.bytes": "-1",
    "message.timestamp.type": "LogAppendTime",
}
_UNLIMITED = "-1"


class TopicSettings(NamedTuple):
    """What the broker says of a topic."""

    values: Mapping[str, str]
    """Setting -> its value in effect."""
    replication: int
    """The least number of replicas that a partition has."""


def problems(topic: str, found: TopicSettings, message_max_bytes: int) -> list[str]:
    """Name every setting that endangers the guarantee, with its remedy.

    :param message_max_bytes: the largest message that our producers send.
    """
    values = found.values
    named = []
    if "compact" in values.get("cleanup.policy", ""):
        named.append(
            f"cleanup.policy={values['cleanup.policy']} throws away all but the last event of an entity; "
            "set cleanup.policy=delete"
        )
    for setting in ("retention.ms", "retention.bytes"):
        if values.get(setting, _UNLIMITED) != _UNLIMITED and "delete" in values.get("cleanup.policy", "delete"):
            named.append(
                f"{setting}={values[setting]} throws old events away, and a rebuild from the log would lack them; "
                f"set {setting}=-1"
            )
    if values.get("message.timestamp.type") != "LogAppendTime":
        named.append(
            f"message.timestamp.type={values.get('message.timestamp.type')} lets each producer's clock say when "
            "a record was recorded; set message.timestamp.type=LogAppendTime"
        )
    if int(values.get("max.message.bytes", message_max_bytes)) < message_max_bytes:
        named.append(
            f"max.message.bytes={values['max.message.bytes']} is less than our producers' message.max.bytes="
            f"{message_max_bytes}, so the broker would refuse events that we accept; raise the one or lower the other"
        )
    if found.replication > 1 and values.get("min.insync.replicas") == "1":
        named.append(
            f"min.insync.replicas=1 with {found.replication} replicas acknowledges events that one broker alone has; "
            "set min.insync.replicas=2"
        )
    return [f"topic {topic!r}: {problem}" for problem in named]
