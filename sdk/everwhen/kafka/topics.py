"""The settings that an event topic needs, and what is wrong with those that one has.

The names and their meaning: https://kafka.apache.org/documentation/#topicconfigs
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from everwhen.ports.log import Retention, TopicProblem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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


class Place(NamedTuple):
    """Which topic it is, and where."""

    topic: str
    brokers: str
    """As ``HOST:PORT``, separated by commas."""


def retention(values: Mapping[str, str]) -> Retention:
    """Return after what a topic's records are deleted."""
    if "delete" not in values.get("cleanup.policy", "delete"):
        return Retention(None, None)
    milliseconds, size = (int(values.get(name, _UNLIMITED)) for name in ("retention.ms", "retention.bytes"))
    return Retention(None if milliseconds < 0 else milliseconds / 1000, None if size < 0 else size)


def problems(place: Place, found: TopicSettings, message_max_bytes: int) -> list[TopicProblem]:
    """Name every setting that endangers the guarantee, with its remedy.

    :param message_max_bytes: the largest message that our producers send.
    """
    values = found.values
    named: list[TopicProblem] = []

    def name(setting: str, why: str, right: str, remedy: str | None = None) -> None:
        remedy = remedy or f"set {setting}={right}"
        command = _command(place, setting, right)
        named.append(TopicProblem(place.topic, setting, values.get(setting, ""), why, remedy, command))

    if "compact" in values.get("cleanup.policy", ""):
        name("cleanup.policy", "throws away all but the last event of an entity", "delete")
    for setting, limit in zip(("retention.ms", "retention.bytes"), retention(values), strict=True):
        if limit is not None:
            name(setting, "throws old events away, and a rebuild from the log would lack them", _UNLIMITED)
    if values.get("message.timestamp.type") != "LogAppendTime":
        name("message.timestamp.type", "lets each producer's clock say when a record was recorded", "LogAppendTime")
    if int(values.get("max.message.bytes", message_max_bytes)) < message_max_bytes:
        name(
            "max.message.bytes",
            f"is less than our producers' message.max.bytes={message_max_bytes}, so the broker would refuse events "
            "that we accept",
            str(message_max_bytes),
            "raise the one or lower the other",
        )
    _check_replicas(found, name)
    if values.get("unclean.leader.election.enable") == "true":
        name(
            "unclean.leader.election.enable",
            "lets a replica lead that lacks acknowledged events, and they are lost for ever",
            "false",
        )
    return named


def _check_replicas(found: TopicSettings, name: Callable[..., None]) -> None:
    setting, replicas = "min.insync.replicas", found.replication
    least = int(found.values.get(setting, "1"))
    if replicas > 1 and least == 1:
        name(setting, f"with {replicas} replicas acknowledges events that one broker alone has", "2")
    if least > replicas > 0:
        right = str(min(replicas, 2))
        name(
            setting,
            f"is more than the {replicas} of a partition, so the brokers refuse every event",
            right,
            f"add replicas, or set {setting}={right}",
        )


def _command(place: Place, setting: str, value: str) -> str:
    where = f"--bootstrap-server {place.brokers} --entity-type topics --entity-name {place.topic}"
    return f"kafka-configs.sh {where} --alter --add-config {setting}={value}"
