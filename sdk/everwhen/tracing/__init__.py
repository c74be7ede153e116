"""Traces through the log, where the program uses OpenTelemetry; elsewhere nothing of it is loaded.

A program that traces has loaded ``opentelemetry.trace`` before it makes a span or sets a provider. So that is what is
looked for each time: without it nothing is imported, and looking costs a twentieth of a microsecond.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from everwhen.ports.log import Record

if TYPE_CHECKING:
    from everwhen.tracing.spans import BatchSpans, Sending, SendSpans

_API: Final = "opentelemetry.trace"


class PublishTracing:
    """Traces what a publisher sends.

    :param address: of the log; its scheme is the name of the messaging system.
    :param topic: the topic's name.

    Thread-safe.
    """

    def __init__(self, address: str, topic: str) -> None:
        self._place = _system(address), topic
        self._spans: SendSpans | None = None

    def begin(self, event_id: str) -> Sending | None:
        """Begin to trace one record; ``None`` if the program does not use OpenTelemetry."""
        if _API not in sys.modules:
            return None
        if self._spans is None:
            from everwhen.tracing.spans import SendSpans

            self._spans = SendSpans(*self._place)
        return self._spans.begin(event_id)


class BatchTracing:
    """Traces the batches of a projection.

    :param address: of the log; its scheme is the name of the messaging system.
    :param topic: the topic's name.
    :param projection: the projection's name.

    Used by one thread.
    """

    def __init__(self, address: str, topic: str, projection: str) -> None:
        self._place = _system(address), topic, projection
        self._spans: BatchSpans | None = None

    @contextmanager
    def applying(self, records: Sequence[Record]) -> Iterator[None]:
        """Trace the application of some records of one partition: what fails inside fails in the trace."""
        if _API not in sys.modules or not records:
            yield
            return
        if self._spans is None:
            from everwhen.tracing.spans import BatchSpans

            self._spans = BatchSpans(*self._place)
        with self._spans.batch(records):
            yield

    def committed(self, next_offset: int, seconds: Iterable[tuple[str, float]]) -> None:
        """Note what was committed of the batch that is applied.

        :param next_offset: where the partition stands now.
        :param seconds: how long each phase took.
        """
        if self._spans is not None:
            self._spans.committed(next_offset, seconds)


def _system(address: str) -> str:
    return address.partition("://")[0]
