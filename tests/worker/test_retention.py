"""A warning before a log deletes what a projection has not read."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from hypothesis import given
from hypothesis import strategies as st

from everwhen import Projection, Publisher, Worker, WorkerSettings
from everwhen.connect import open_log
from everwhen.metrics import Metrics
from everwhen.ports.log import Bounds, Log, Retention
from everwhen.testing.parts import KafkaAddress
from everwhen.worker import Expiry, Unread, expiries
from tests import ledger
from tests.ledger import Ledger, Noted
from tests.running import running

PATIENCE = 60
_SECOND = 1_000_000


class Listed:
    """A log of one partition whose records' times are known; those in front of ``start`` are gone."""

    def __init__(self, times: list[int], start: int) -> None:
        self._times = times
        self._start = start

    def first_since(self, topic: str, instants: Mapping[int, int]) -> dict[int, tuple[int, int]]:
        """Find the first record since an instant."""
        left = [(offset, at) for offset, at in enumerate(self._times) if offset >= self._start]
        return {
            p: next(each for each in left if each[1] >= t) for p, t in instants.items() if left and left[-1][1] >= t
        }


@given(
    st.lists(st.integers(0, 100 * _SECOND), min_size=1, max_size=8).map(sorted),
    st.data(),
    st.none() | st.integers(1, 200),
    st.none() | st.integers(1, 1000),
)
def test_what_is_left_is_computed_from_the_next_unread_record(
    times: list[int], data: st.DataObject, seconds: int | None, size: int | None
) -> None:
    """Compared with the definition: its own age, and the records that are deleted before it."""
    end, now = len(times), times[-1] + data.draw(st.integers(0, 100 * _SECOND))
    start = data.draw(st.integers(0, end))
    stands = data.draw(st.integers(start, end))
    was_read = stands > start or data.draw(st.booleans())
    since = times[stands - 1] if stands and was_read else -1
    log, retention = cast("Log", Listed(times, start)), Retention(seconds, size)
    unread = {0: Unread(stands if was_read else None, since)}
    found = expiries(log, "t", retention, unread, {0: Bounds(start, end)}, now)
    if seconds is None and size is None:
        assert found == {}
        return
    left = None if seconds is None else float(seconds)
    if seconds is not None and stands < end:
        left = max(0.0, seconds - (now - times[stands]) / _SECOND)
    old = seconds is not None and left is not None and left < seconds / 4
    full = size is not None and start > 0 and (stands - start) < (end - start) / 4
    assert found == {0: Expiry(left, stands - start, stands < end and (old or full))}


class Counting(Metrics):
    """Counts how often unread records were found to be close to their end."""

    close = 0

    def retained(self, expiries: Mapping[int, Expiry]) -> None:
        """Count."""
        super().retained(expiries)
        self.close += any(each.is_close for each in expiries.values())


def test_a_projection_that_stands_is_warned_of_before_its_records_are_deleted(
    real_kafka: KafkaAddress, kafka_topic_name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """In the log, once, and by metrics; it is over as soon as the records are projected."""
    topic = ledger.topic(tmp_path / "schemas", kafka_topic_name, partitions=1)
    projection = Projection("ledger", version=1, topic=topic, state=Ledger, ignore=ledger.EVENTS[1:])
    stands, go_on = threading.Event(), threading.Event()

    @projection.on(Noted)
    def noted(state: Ledger | None, event: Noted) -> Ledger:
        stands.set()
        go_on.wait(PATIENCE)
        return Ledger(notes=[event.text])

    _make_topic(real_kafka.bootstrap, kafka_topic_name, {"retention.ms": "3000"})
    metrics = Counting("ledger", kafka_topic_name)
    settings = WorkerSettings(accept_topic=True, batch_records=1)
    worker = Worker(projection, real_kafka.url, f"sqlite:///{tmp_path}/store.db", settings=settings, observer=metrics)
    with running(worker) as failed:
        with Publisher(topic, real_kafka.url) as publisher:
            for n in range(3):
                publisher.publish("e", Noted(text=str(n)))
        assert stands.wait(PATIENCE)
        _until(lambda: metrics.close >= 2)
        said, standing = metrics.expose().decode(), _expiry(metrics)
        go_on.set()
        _until(lambda: _expiry(metrics) == Expiry(3.0, 3, is_close=False))
    assert failed == []
    assert standing is not None
    assert standing.seconds is not None
    assert (standing.seconds < 0.75, standing.records) == (True, 0)
    place = f'{{partition="0",projection="ledger",topic="{kafka_topic_name}"}}'
    assert f"everwhen_partition_retention_seconds{place} {standing.seconds}\n" in said
    assert f"everwhen_partition_retention_records{place} 0.0\n" in said
    assert f"everwhen_partition_retention_close{place} 1.0\n" in said
    (warning,) = [record.getMessage() for record in caplog.records if "retention.close" in record.getMessage()]
    assert f"{kafka_topic_name}[0]@0 " in warning
    assert "3 records wait" in warning


def test_retention_is_read_as_kafka_means_it(real_kafka: KafkaAddress, kafka_topic_name: str) -> None:
    """By age, by size, by both; a topic that is only compacted deletes nothing by either."""
    cases: dict[str, tuple[dict[str, str], Retention]] = {
        "age": ({"retention.ms": "60000"}, Retention(60.0, None)),
        "size": ({"retention.ms": "-1", "retention.bytes": "1000"}, Retention(None, 1000)),
        "both": ({"retention.ms": "1", "retention.bytes": "2"}, Retention(0.001, 2)),
        "compacted": ({"retention.ms": "1", "cleanup.policy": "compact"}, Retention(None, None)),
    }
    with closing(open_log(real_kafka.url)) as log:
        for name, (config, expected) in cases.items():
            _make_topic(real_kafka.bootstrap, f"{kafka_topic_name}-{name}", config)
            assert log.retention(f"{kafka_topic_name}-{name}") == expected, name


def _expiry(metrics: Metrics) -> Expiry | None:
    stand = metrics.partitions().get(0)
    return None if stand is None else stand.expiry


def _make_topic(bootstrap: str, name: str, config: dict[str, str]) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    new: Any = NewTopic(name, 1, 1, config={"message.timestamp.type": "LogAppendTime", **config})
    admin.create_topics([new])[name].result(PATIENCE)
    _until(lambda: name in admin.list_topics(timeout=PATIENCE).topics)


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
