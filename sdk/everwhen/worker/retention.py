"""Whether a log's retention comes close to records that a projection has not read."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Final, NamedTuple

from everwhen.instants import Micros
from everwhen.ports.clock import SystemClock
from everwhen.ports.log import Bounds, Log, Retention
from everwhen.worker.lines import place_of

_log = logging.getLogger("everwhen.worker")
_SECOND: Final = 1_000_000
_CLOSE: Final = 0.25
"""Of what retention gives, the share that is left when a warning is due."""
_LOOK_SECONDS: Final = 60.0
"""How often it is looked at most; oftener where retention is shorter than twenty times that."""
_LOOKS: Final = 20
_WARN_AGAIN: Final = 300.0


class Unread(NamedTuple):
    """What a projection has not read of a partition."""

    next_offset: int | None
    """``None`` if it has read nothing, and would begin with what is there."""
    since: Micros
    """No record from there on was recorded before; -1 if that is not known."""


class Expiry(NamedTuple):
    """What retention leaves of the time in which a partition is to be read.

    Logs delete whole segments, and look only every few minutes: this is when it *may* happen.
    """

    seconds: float | None
    """Until the next unread record is older than retention allows, all of it without one; ``None`` if age is not what
    counts."""
    records: int
    """How many records will be deleted before it."""
    is_close: bool
    """Whether that is soon."""


def expiries(
    log: Log, topic: str, retention: Retention, unread: Mapping[int, Unread], bounds: Mapping[int, Bounds], now: Micros
) -> dict[int, Expiry]:
    """Compute what is left, for each partition.

    :param retention: of the topic.
    :param unread: what a projection has not read.
    :param bounds: what the log holds of the same partitions; asked not after ``unread`` was looked up.
    :param now: by the machine's clock.
    :return: empty if the topic keeps everything.
    :raises LogUnavailable: if the log does not answer.
    """
    if not retention.is_finite:
        return {}
    behind = {p: each for p, each in unread.items() if _next(each, bounds[p]) < bounds[p].end}
    found = log.first_since(topic, {p: each.since + 1 for p, each in behind.items()}) if retention.seconds else {}
    left: dict[int, Expiry] = {}
    for partition, each in unread.items():
        seconds = retention.seconds
        if seconds is not None and partition in behind:
            recorded_at = _recorded_at(_next(each, bounds[partition]), each.since, found.get(partition))
            age = 0 if recorded_at is None else max(0, now - recorded_at)
            seconds = max(0.0, seconds - age / _SECOND)
        left[partition] = _judged(_next(each, bounds[partition]), bounds[partition], retention, seconds)
    return left


def _next(unread: Unread, bounds: Bounds) -> int:
    return bounds.start if unread.next_offset is None else unread.next_offset


def _recorded_at(next_offset: int, since: Micros, found: tuple[int, Micros] | None) -> Micros | None:
    """When the next record was recorded, or an instant before that; ``None`` if there is only a hole.

    Between it and one that was found behind it are holes, or records of the very instant ``since``.
    """
    if found is not None and (found[0] <= next_offset or since < 0):
        return found[1]
    return since if since >= 0 else None


def _judged(next_offset: int, bounds: Bounds, retention: Retention, seconds: float | None) -> Expiry:
    records = max(0, next_offset - bounds.start)
    is_old = retention.seconds is not None and seconds is not None and seconds < _CLOSE * retention.seconds
    # How full a partition is cannot be asked: once its first record is gone, it is as full as it gets.
    is_full = retention.size is not None and bounds.start > 0 and records < _CLOSE * (bounds.end - bounds.start)
    return Expiry(seconds, records, next_offset < bounds.end and (is_old or is_full))


class RetentionWatch:
    """Warns, for each partition once in five minutes, when retention comes close to records that are not read.

    :param log: asked after retention and what it holds.
    :param topic: the topic's name.

    Used by one thread.
    """

    def __init__(self, log: Log, topic: str) -> None:
        self._asked = log
        self._topic = topic
        self._again_at = 0.0
        self._warned: dict[int, float] = {}

    def due(self) -> bool:
        """Whether it is time to look again."""
        return time.monotonic() >= self._again_at

    def look(self, unread: Mapping[int, Unread]) -> dict[int, Expiry] | None:
        """Ask the log, and warn; ``None`` of a log that never deletes anything.

        :raises LogError: if the log does not answer.
        """
        self._again_at = time.monotonic() + _LOOK_SECONDS
        retention = self._asked.retention(self._topic)
        if retention is None:
            return None
        if not retention.is_finite:
            return {}
        if retention.seconds is not None:
            self._again_at = time.monotonic() + min(_LOOK_SECONDS, max(1.0, retention.seconds / _LOOKS))
        bounds = self._asked.bounds(self._topic, sorted(unread))
        found = expiries(self._asked, self._topic, retention, unread, bounds, SystemClock().now())
        for partition, expiry in found.items():
            if expiry.is_close:
                self._warn(partition, unread[partition], expiry, bounds[partition])
        return found

    def _warn(self, partition: int, unread: Unread, expiry: Expiry, bounds: Bounds) -> None:
        now, warned = time.monotonic(), self._warned.get(partition)
        if warned is not None and now - warned < _WARN_AGAIN:
            return
        self._warned[partition] = now
        left = "by size" if expiry.seconds is None else f"in {expiry.seconds:.0f} s"
        next_offset = _next(unread, bounds)
        _log.warning(
            "retention.close %s[%d]@%d is not projected yet and may be deleted %s, after the %d records before it; the "
            "partition would stop with LogGap. Keep records longer (retention.ms, retention.bytes: see everwhen topic "
            "check), or find out why %d records wait",
            self._topic,
            partition,
            next_offset,
            left,
            expiry.records,
            bounds.end - next_offset,
            extra=place_of(self._topic, partition, next_offset),
        )
