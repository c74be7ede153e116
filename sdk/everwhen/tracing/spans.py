"""The spans: one for each record that is sent, one for each batch that is applied, linked by ``traceparent``.

Names and attributes: OpenTelemetry's semantic conventions for messaging spans and for Kafka
(https://opentelemetry.io/docs/specs/semconv/messaging/), names as of their version 1.27; ``everwhen.*`` is ours. What
is carried: W3C Trace Context (https://www.w3.org/TR/trace-context/), whatever other propagation the program uses, as
``traceparent`` is what the headers of our records are documented to have. No span holds a payload or an entity id.

Imported only where the program has loaded OpenTelemetry's API.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanContext, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from everwhen.errors import Fenced
from everwhen.ports.log import Header, Record
from everwhen.positions import Position

MOST_LINKS: Final = 128
"""The most links of a span; the SDK keeps as many unless it is told otherwise."""

_SCOPE: Final = "everwhen"
_W3C: Final = TraceContextTextMapPropagator()
_TRACEPARENT: Final = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-([0-9a-f]{2})(?:-.*)?")


class Sending:
    """A record on its way.

    :ivar traceparent: what its header says; ``None`` if there is no trace.
    :ivar tracestate: as above.
    """

    __slots__ = ("_span", "traceparent", "tracestate")

    def __init__(self, span: Span) -> None:
        self._span = span
        carrier: dict[str, str] = {}
        if span.get_span_context().is_valid:
            _W3C.inject(carrier, trace.set_span_in_context(span, Context()))
        self.traceparent = carrier.get("traceparent")
        self.tracestate = carrier.get("tracestate") or None

    def settle(self, position: Position | None, error: BaseException | None) -> None:
        """End the span with the log's answer, or with why it was not even asked. Any thread may call it."""
        span = self._span
        if position is not None:
            span.set_attribute("messaging.destination.partition.id", str(position.partition))
            span.set_attribute("messaging.kafka.offset", position.offset)
        if error is not None:
            _fail(span, error)
        span.end()


class SendSpans:
    """Makes the spans of one publisher. Thread-safe."""

    def __init__(self, system: str, topic: str) -> None:
        self._tracer = trace.get_tracer(_SCOPE)
        self._name = f"publish {topic}"
        self._attributes = {
            "messaging.system": system,
            "messaging.destination.name": topic,
            "messaging.operation.name": "publish",
            "messaging.operation.type": "send",
        }

    def begin(self, event_id: str) -> Sending:
        """Begin a span under the caller's; without a provider it is the caller's own that is carried, if any."""
        span = self._tracer.start_span(self._name, kind=SpanKind.PRODUCER, attributes=self._attributes)
        if span.is_recording():
            span.set_attribute("messaging.message.id", event_id)
            return Sending(span)
        # It may be the caller's, which is not ours to end.
        return Sending(trace.NonRecordingSpan(span.get_span_context()))


class BatchSpans:
    """Makes the spans of one worker. Used by one thread."""

    def __init__(self, system: str, topic: str, projection: str) -> None:
        self._tracer = trace.get_tracer(_SCOPE)
        self._name = f"process {topic}"
        self._attributes = {
            "messaging.system": system,
            "messaging.destination.name": topic,
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "everwhen.projection": projection,
        }
        self._span: Span | None = None

    @contextmanager
    def batch(self, records: Sequence[Record]) -> Iterator[None]:
        """Make the span of a batch and have it be the current one inside."""
        span = self._tracer.start_span(self._name, kind=SpanKind.CONSUMER, attributes=self._attributes)
        if not span.is_recording():
            yield
            return
        _describe(span, records)
        self._span = span
        try:
            with trace.use_span(span, record_exception=False, set_status_on_exception=False):
                yield
            span.set_attribute("everwhen.outcome", "applied")
        except BaseException as error:
            span.set_attribute("everwhen.outcome", "fenced" if isinstance(error, Fenced) else "failed")
            _fail(span, error)
            raise
        finally:
            self._span = None
            span.end()

    def committed(self, next_offset: int, seconds: Iterable[tuple[str, float]]) -> None:
        """Note what was committed, if there is a span."""
        if (span := self._span) is not None:
            span.set_attribute("everwhen.next_offset", next_offset)
            for phase, spent in seconds:
                span.set_attribute(f"everwhen.seconds.{phase}", round(spent, 6))


def _describe(span: Span, records: Sequence[Record]) -> None:
    contexts, left_out = linked(record.headers for record in records)
    for context in contexts:
        span.add_link(context)
    span.set_attributes(
        {
            "messaging.destination.partition.id": str(records[0].partition),
            "messaging.batch.message_count": len(records),
            "everwhen.first_offset": records[0].offset,
            "everwhen.last_offset": records[-1].offset,
            "everwhen.links_left_out": left_out,
        }
    )


def linked(records: Iterable[Sequence[Header] | None]) -> tuple[list[SpanContext], int]:
    """Return the span contexts that records carry, and how many more there were than :data:`MOST_LINKS`.

    Each once. Those that were sampled come first, as only of these there is something to be seen. A header that is
    broken, or stands twice, is as if it were not there.

    :param records: the headers of each.
    """
    sampled: dict[bytes, str | None] = {}
    others: dict[bytes, str | None] = {}
    for headers in records:
        parent, state = _carried(headers or ())
        if parent is not None and (found := _TRACEPARENT.fullmatch(parent)):
            chosen = sampled if int(found[1], 16) & 1 else others
            chosen.setdefault(parent, state)
    contexts: list[SpanContext] = []
    left_out = 0
    for parent, state in (sampled | others).items():
        if len(contexts) == MOST_LINKS:
            left_out += 1
        elif (context := _context(parent, state)).is_valid:
            contexts.append(context)
    return contexts, left_out


def _carried(headers: Iterable[Header]) -> tuple[bytes | None, str | None]:
    parents: list[bytes | None] = []
    states: list[str] = []
    for name, value in headers:
        if name == "traceparent":
            parents.append(value)
        elif name == "tracestate" and value:
            states.append(value.decode("ascii", "replace"))
    return (parents[0], ",".join(states) or None) if len(parents) == 1 else (None, None)


def _context(parent: bytes, state: str | None) -> SpanContext:
    carrier = {"traceparent": parent.decode("ascii", "replace")}
    if state is not None:
        carrier["tracestate"] = state
    return trace.get_current_span(_W3C.extract(carrier, Context())).get_span_context()


def _fail(span: Span, error: BaseException) -> None:
    """Say of which class an error is; its text may be that of a handler, and hold values of an event."""
    span.set_attribute("error.type", type(error).__name__)
    span.set_status(Status(StatusCode.ERROR))
