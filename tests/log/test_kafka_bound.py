"""What the guarantee rests on is told to librdkafka, whatever its own default is in this version or the next."""

from __future__ import annotations

import pytest

from everwhen.kafka import KafkaSettings
from everwhen.kafka.rules import BOUND

HERE = {"bootstrap.servers": "localhost:9092"}
TOLD = {
    "acks": "all",
    "enable.idempotence": "true",
    "partitioner": "murmur2_random",
    "isolation.level": "read_committed",
    "enable.auto.commit": "false",
    "enable.auto.offset.store": "false",
    "auto.offset.reset": "error",
    "enable.partition.eof": "true",
    "allow.auto.create.topics": "false",
}
LEFT = {"queuing.strategy", "delivery.report.only.error"}
"""librdkafka's defaults of these are the values that we need, and have been since it has them."""


@pytest.mark.parametrize("name", TOLD)
def test_what_keeps_a_guarantee_is_always_told_to_librdkafka(name: str) -> None:
    """To producer or consumer, as the one value that keeps it."""
    settings = KafkaSettings(HERE)
    told = settings.producer() | settings.consumer("g")
    assert told.get(name) == TOLD[name]


def test_no_bound_setting_is_forgotten() -> None:
    """Whatever a caller may not change is either told or is librdkafka's default."""
    assert TOLD.keys() | LEFT == BOUND.keys()
    assert all(TOLD[name] in BOUND[name][0] for name in TOLD)
