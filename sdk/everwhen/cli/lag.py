"""``everwhen lag``: how far a projection is behind its log."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import click

from everwhen.cli.documents import shown
from everwhen.cli.options import json_option, kafka_option, log_option, log_target, option, store_option
from everwhen.cli.output import to_json, write_line, write_rows
from everwhen.cli.targets import named
from everwhen.connect import open_log, open_store
from everwhen.errors import LogError, LogUnavailable
from everwhen.instants import Micros, from_micros
from everwhen.ports.clock import SystemClock
from everwhen.ports.continuity import PartitionStand, StoreContinuity
from everwhen.ports.log import Bounds, Log
from everwhen.worker import Expiry, Unread, expiries

_SECOND: Final = 1_000_000
_OWNER_SHOWN: Final = 8
_TITLES: Final = (
    "PARTITION",
    "NEXT OFFSET",
    "END",
    "GAP",
    "LAG",
    "CLAIM",
    "OWNER",
    "RATE",
    "LEFT",
    "EXPIRES",
    "STOPPED BY",
)


@click.command()
@click.argument("name", metavar="NAME")
@log_option
@kafka_option
@store_option
@json_option
@option("--watch", metavar="SECONDS", type=click.FloatRange(min=0.1), help="Look again and again, until interrupted.")
def lag(
    name: str, *, log: str | None, kafka: tuple[str, ...], store: str | None, as_json: bool, watch: float | None
) -> None:
    """Print how far a projection is behind its log, partition by partition.

    The gap is counted in offsets up to the log's end, records of open transactions included. Lag is 0 without a gap,
    and else the seconds since the instant up to which the partition is projected. The owner is the last claim's token,
    whether its worker still runs or not. Without a log, only what the store knows is printed.

    With --watch also offsets per second since the look before, and the seconds left until the gap is closed if it goes
    on so; an empty line comes between two looks. On a terminal a table; elsewhere lines of tab-separated columns:
    partition, next offset, end, gap, lag, claim, owner, rate, left, expires, stopped by. NAME is the projection's name
    or MODULE:PROJECTION (NAME@2: its generation 2).

    Where the topic does not keep its records for ever, expires says after how many seconds the next unread record may
    be deleted, or how many records would be deleted before it if their size is what counts; with an exclamation mark if
    that is soon.

    With --json: one object for each look.

    \b
    Example:
      everwhen lag account --log sqlite:///log.db --store sqlite:///bank.db
    """
    with ExitStack() as stack:
        opened = stack.enter_context(closing(open_store(store)))
        target = log_target(log, kafka)
        source = stack.enter_context(closing(open_log(target))) if target is not None else None
        asked = opened.continuity(*named(name))
        for number, look in enumerate(_looks(asked, source, watch)):
            if as_json:
                write_line(to_json(look.document()))
                continue
            if number:
                write_line("")
            write_rows(_TITLES, map(_row, look.partitions))


@dataclass(frozen=True, slots=True)
class Lag:
    """How far one partition is behind; ``None`` for what is not known."""

    partition: int
    next_offset: int | None
    """``None`` if it was never claimed."""
    end: int | None
    gap: int | None
    lag_seconds: float | None
    epoch: int | None
    owner: str | None
    stopped_by: str | None
    per_second: float | None = None
    """Offsets applied since the look before."""
    retention_seconds: float | None = None
    """Until the next unread record may be deleted by its age, all of the retention without one; ``None``: never."""
    retention_records: int | None = None
    """How many records would be deleted before it; ``None`` if the topic keeps everything."""
    retention_close: bool = False
    """Whether unread records may be deleted soon."""
    seconds_left: float | None = None
    """Until the gap is closed, if it goes on shrinking so; ``None`` if it does not shrink."""


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen at once."""

    projection: str
    topic: str
    at: Micros
    began: float
    partitions: Sequence[Lag]

    def since(self, before: Look) -> Look:
        """Add how fast it goes."""
        earlier = {each.partition: each for each in before.partitions}
        seconds = self.began - before.began
        moved = [_moved(each, earlier.get(each.partition), seconds) for each in self.partitions]
        return Look(self.projection, self.topic, self.at, self.began, moved)

    def document(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {
            "projection": self.projection,
            "topic": self.topic,
            "at": shown(from_micros(self.at)),
            "partitions": list(map(asdict, self.partitions)),
        }


def _looks(asked: StoreContinuity, log: Log | None, every: float | None) -> Iterator[Look]:
    before: Look | None = None
    for number in itertools.count():
        if number and every is None:
            return
        if number and every is not None:
            time.sleep(every)
        look = _look(asked, log)
        yield look if before is None else look.since(before)
        before = look


def _look(asked: StoreContinuity, log: Log | None) -> Look:
    """Ask the store first: then what is applied meanwhile makes the gap larger, and never negative."""
    generation, began = asked.generation, time.monotonic()
    stands = {each.partition: each for each in asked.partitions()}
    bounds: Mapping[int, Bounds] = {}
    left: Mapping[int, Expiry] = {}
    now = SystemClock().now()
    if log is not None:
        partitions = range(log.describe(generation.topic).partitions)
        bounds = log.bounds(generation.topic, partitions)
        now = SystemClock().now()
        left = _expiries(log, generation.topic, stands, bounds, now)
    numbers = sorted(stands.keys() | bounds.keys())
    found = [_behind(number, stands.get(number), bounds.get(number), now) for number in numbers]
    found = [_expiring(each, left.get(each.partition)) for each in found]
    return Look(generation.projection, generation.topic, now, began, found)


def _behind(partition: int, stand: PartitionStand | None, bounds: Bounds | None, now: Micros) -> Lag:
    end = None if bounds is None else bounds.end
    if stand is None:
        assert bounds is not None
        return Lag(partition, None, end, bounds.end - bounds.start, None, None, None, None)
    gap = None if end is None else max(0, end - stand.next_offset)
    seconds = None
    if gap == 0:
        seconds = 0.0
    elif stand.complete_until >= 0:
        seconds = max(0.0, (now - stand.complete_until) / _SECOND)
    error = None if stand.trouble is None else stand.trouble.error
    return Lag(partition, stand.next_offset, end, gap, seconds, stand.epoch, stand.owner, error)


def _expiries(
    log: Log, topic: str, stands: Mapping[int, PartitionStand], bounds: Mapping[int, Bounds], now: Micros
) -> Mapping[int, Expiry]:
    try:
        retention = log.retention(topic)
    except LogUnavailable:
        raise
    except LogError:
        return {}  # settings may be asked for by fewer people than offsets
    if retention is None:
        return {}
    unread = {
        p: Unread(stand.next_offset, stand.complete_until) if (stand := stands.get(p)) is not None else Unread(None, -1)
        for p in bounds
    }
    return expiries(log, topic, retention, unread, bounds, now)


def _expiring(lag: Lag, expiry: Expiry | None) -> Lag:
    if expiry is None:
        return lag
    seconds, records, is_close = expiry
    return replace(lag, retention_seconds=seconds, retention_records=records, retention_close=is_close)


def _moved(now: Lag, before: Lag | None, seconds: float) -> Lag:
    if before is None or now.next_offset is None or before.next_offset is None:
        return now
    left = None
    if now.gap == 0:
        left = 0.0
    elif now.gap is not None and before.gap is not None and before.gap > now.gap:
        left = round(now.gap * seconds / (before.gap - now.gap), 1)
    values = asdict(now) | {
        "per_second": round((now.next_offset - before.next_offset) / seconds, 1),
        "seconds_left": left,
    }
    return Lag(**values)


def _row(each: Lag) -> tuple[str, ...]:
    owner = None if each.owner is None else each.owner[:_OWNER_SHOWN]
    numbers = each.partition, each.next_offset, each.end, each.gap, each.lag_seconds, each.epoch
    return tuple(_cells((*numbers, owner, each.per_second, each.seconds_left, _expires(each), each.stopped_by)))


def _expires(each: Lag) -> str | None:
    if each.retention_records is None:
        return None
    left = f"{each.retention_records} records" if each.retention_seconds is None else f"{each.retention_seconds:.1f}"
    return left + " !" * each.retention_close


def _cells(values: Iterable[object]) -> Iterator[str]:
    for value in values:
        yield "-" if value is None else f"{value:.1f}" if isinstance(value, float) else str(value)
