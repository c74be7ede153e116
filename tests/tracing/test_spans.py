"""Traces: from a publisher through the log to the batch that applies the record."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import context, trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext, SpanKind, StatusCode, TraceFlags, TraceState

from everwhen import Publisher, Topic, Worker
from everwhen.connect import open_log, open_store
from everwhen.errors import EventTooLarge, Fenced
from everwhen.ports.store import Claim
from everwhen.tracing.spans import MOST_LINKS, linked
from everwhen.worker import Observer, blueprint
from tests import ledger
from tests.canaries import PAYLOAD
from tests.ledger import Noted, Poison
from tests.running import running

T0 = datetime(2026, 3, 1, tzinfo=UTC)
PARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Traced:
    """A provider of this test's own, and the spans that were ended."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    def spans(self, kind: SpanKind) -> list[ReadableSpan]:
        """Those of one kind, in the order of their end."""
        return [span for span in self._exporter.get_finished_spans() if span.kind is kind]

    def everything(self) -> str:
        """All that was exported, as text."""
        return "".join(span.to_json() for span in self._exporter.get_finished_spans())


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> Traced:
    """Have tracers come from a provider of this test's own: the process has one for ever once it is set."""
    found = Traced()
    monkeypatch.setattr(trace, "get_tracer", found.provider.get_tracer)
    return found


@pytest.fixture(params=["sqlite", "kafka"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Topic, str]:
    """A topic with one partition, and where it is."""
    name, log = "ledger", f"sqlite:///{tmp_path}/log.db"
    if request.param == "kafka":
        log = request.getfixturevalue("real_kafka").url
        name = request.getfixturevalue("kafka_topic_name")
    topic = ledger.topic(tmp_path / "schemas", name, partitions=1)
    with closing(open_log(log)) as opened:
        opened.create_topic(name, 1)
    return topic, log


def test_the_trace_of_a_publish_is_linked_by_the_batch_that_applied_it(
    traced: Traced, place: tuple[Topic, str], tmp_path: Path
) -> None:
    """Under the caller's span, through a real log; with what the conventions name, and nothing of what events hold."""
    topic, log = place
    with traced.provider.get_tracer("caller").start_as_current_span("request") as request, Publisher(topic, log) as p:
        receipts = [p.publish(f"entity-{n}", Noted(text=PAYLOAD), occurred_at=T0) for n in range(3)]
    with Publisher(topic, log) as publisher:
        publisher.publish("entity-1", Noted(text="as it is"), occurred_at=T0, traceparent=PARENT.decode())
    done = Worker(ledger.projection(topic), log, f"sqlite:///{tmp_path}/store.db").run(until="end")
    assert done.tally.applied == 4
    sent = traced.spans(SpanKind.PRODUCER)
    system = log.partition(":")[0]
    of_topic = {"messaging.system": system, "messaging.destination.name": topic.name}
    by_id = {span.attributes["messaging.message.id"]: span for span in sent if span.attributes is not None}
    assert len(sent) == 3
    for receipt in receipts:
        span = by_id[receipt.event_id]
        assert (span.name, span.parent) == (f"publish {topic.name}", request.get_span_context())
        assert dict(span.attributes or {}) == of_topic | {
            "messaging.operation.name": "publish",
            "messaging.operation.type": "send",
            "messaging.message.id": receipt.event_id,
            "messaging.destination.partition.id": "0",
            "messaging.kafka.offset": receipt.position.offset,
        }
    (batch,) = traced.spans(SpanKind.CONSUMER)
    linked_to = {(link.context.trace_id, link.context.span_id) for link in batch.links}
    assert linked_to == {(span.context.trace_id, span.context.span_id) for span in sent} | {
        (0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331)
    }
    said = dict(batch.attributes or {})
    phases = {name for name in said if name.startswith("everwhen.seconds.")}
    assert phases == {f"everwhen.seconds.{phase}" for phase in ("decode", "load", "fold", "write", "commit")}
    assert {name: value for name, value in said.items() if name not in phases} == of_topic | {
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.partition.id": "0",
        "messaging.batch.message_count": 4,
        "everwhen.projection": "ledger",
        "everwhen.first_offset": 0,
        "everwhen.last_offset": 3,
        "everwhen.next_offset": 4,
        "everwhen.links_left_out": 0,
        "everwhen.outcome": "applied",
    }
    assert (batch.name, batch.status.status_code) == (f"process {topic.name}", StatusCode.UNSET)
    assert PAYLOAD not in traced.everything()
    assert "entity-" not in traced.everything()


def test_a_broken_trace_of_a_stranger_is_passed_over(traced: Traced, tmp_path: Path) -> None:
    """The records are applied, and those with a good one are linked; what a handler says of an event is not told."""
    topic, log = ledger.topic(tmp_path / "schemas", partitions=1), f"sqlite:///{tmp_path}/log.db"
    writer = ledger.Writer(topic)
    broken = [b"", b"\xff", b"00-x", PARENT.replace(b"00-", b"ff-"), PARENT.upper(), PARENT + b"-", PARENT[:-1]]
    twice = PARENT.replace(b"-b7", b"-c7")
    carried = [[value] for value in broken] + [[twice, twice], [PARENT], []]
    with closing(open_log(log)) as opened:
        opened.create_topic(topic.name, 1)
        sending = opened.writer(topic.name)
        for n, values in enumerate(carried):
            event = Poison() if n == 0 else Noted(text=str(n))
            record = writer.record(n, f"e{n}", event, occurred_at=n)
            given = [*record.headers, *(("traceparent", value) for value in values)]
            sending.send(record.key or b"", record.value, given, lambda _position, _error: None)
        sending.close()
    done = Worker(ledger.projection(topic), log, f"sqlite:///{tmp_path}/store.db").run(until="end")
    assert (done.tally.applied, done.tally.parked) == (len(carried) - 1, 1)
    (batch,) = traced.spans(SpanKind.CONSUMER)
    assert [link.context.span_id for link in batch.links] == [0xB7AD6B7169203331]
    assert PAYLOAD not in traced.everything()


def test_a_batch_that_is_fenced_says_so(traced: Traced, tmp_path: Path) -> None:
    """As an error, with the class of it and no more; nothing was committed."""
    log, store = f"sqlite:///{tmp_path}/log.db", f"sqlite:///{tmp_path}/store.db"
    topic, claimed = ledger.topic(tmp_path / "schemas", partitions=1), threading.Event()

    class Told(Observer):
        def claimed(self, claims: Collection[Claim]) -> None:
            claimed.set()

    projection = ledger.projection(topic)
    with Publisher(topic, log) as publisher:
        worker = Worker(projection, log, store, partitions=[0], observer=Told())
        with closing(open_log(log)) as opened, closing(open_store(store)) as other, running(worker) as failed:
            assert claimed.wait(60)
            other.claim(other.prepare(blueprint(projection)), [0], opened.describe(topic.name))
            publisher.publish("e", Noted(text="1"), occurred_at=T0)
            publisher.flush()
            _until(lambda: bool(failed))
    assert [type(error) for error in failed] == [Fenced]
    (batch,) = traced.spans(SpanKind.CONSUMER)
    said = batch.attributes or {}
    assert (said["everwhen.outcome"], said["error.type"]) == ("fenced", "Fenced")
    assert (batch.status.status_code, batch.status.description) == (StatusCode.ERROR, None)
    assert ("everwhen.next_offset" in said, batch.events) == (False, ())


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_an_event_that_is_refused_ends_its_span_with_the_error(traced: Traced, tmp_path: Path) -> None:
    """Nothing was sent, and the trace says why."""
    topic = ledger.topic(tmp_path / "schemas", partitions=1)
    with Publisher(topic, f"sqlite:///{tmp_path}/log.db") as publisher, pytest.raises(EventTooLarge):
        publisher.publish("e", Noted(text=PAYLOAD * 200_000), occurred_at=T0)
    (span,) = traced.spans(SpanKind.PRODUCER)
    assert ((span.attributes or {})["error.type"], span.status.status_code) == ("EventTooLarge", StatusCode.ERROR)
    assert PAYLOAD not in traced.everything()


def test_without_a_provider_the_trace_of_the_caller_is_carried(tmp_path: Path) -> None:
    """As OpenTelemetry's API has it: context goes through, and no span is made."""
    topic, log = ledger.topic(tmp_path / "schemas", partitions=1), f"sqlite:///{tmp_path}/log.db"
    state = TraceState([("vendor", "value")])
    remote = SpanContext(7, 9, is_remote=True, trace_flags=TraceFlags(1), trace_state=state)
    with Publisher(topic, log) as publisher:
        publisher.publish("e", Noted(text="no trace"), occurred_at=T0)
        token = context.attach(trace.set_span_in_context(trace.NonRecordingSpan(remote)))
        publisher.publish("e", Noted(text="in a trace"), occurred_at=T0)
        context.detach(token)
    with closing(open_log(log)) as opened:
        found = [dict(record.headers) for record in _records(opened, topic.name)]
    assert ["traceparent" in headers for headers in found] == [False, True]
    assert found[1]["traceparent"] == b"00-00000000000000000000000000000007-0000000000000009-01"
    assert found[1]["tracestate"] == b"vendor=value"


def _records(log: Any, topic: str) -> Sequence[Any]:
    class All:
        def assigned(self, partitions: Any) -> dict[int, int]:
            return dict.fromkeys(partitions, 0)

        def revoked(self, partitions: Any, *, lost: bool) -> None:
            pass

    with closing(log.consumer(topic, All(), group="check", partitions=[0])) as consumer:
        found: list[Any] = []
        while len(found) < consumer.ends([0])[0]:
            found += consumer.poll(100, 1.0).records
        return found


def _header(number: int, *, sampled: bool) -> bytes:
    return f"00-{number:032x}-{number:016x}-{'01' if sampled else '00'}".encode()


@given(
    st.lists(
        st.tuples(st.integers(0, 3 * MOST_LINKS), st.booleans()).map(lambda each: _header(each[0], sampled=each[1]))
        | st.binary(max_size=60),
        max_size=3 * MOST_LINKS,
    )
)
def test_links_are_bounded_and_those_that_were_sampled_come_first(values: list[bytes]) -> None:
    """Compared with all good headers, each once; whatever else stands there is no error."""
    good = {_header(n, sampled=sampled) for n in range(1, 3 * MOST_LINKS + 1) for sampled in (False, True)}
    expected = sorted(dict.fromkeys(v for v in values if v in good), key=lambda v: v[-1:] == b"0")
    contexts, left_out = linked([[("traceparent", value)] for value in values])
    assert [_header(c.trace_id, sampled=c.trace_flags.sampled) for c in contexts] == expected[:MOST_LINKS]
    assert left_out == max(0, len(expected) - MOST_LINKS)
