"""H against L: is everything in the log that was acknowledged, once, where it was said to be, and nothing else?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from tests.checker.anomalies import Anomaly
from tests.checker.records import RETRACTED, Record
from tests.checker.sent import Sent


def compare(sent: Sequence[Sent], log: Sequence[Record]) -> Iterator[Anomaly]:
    """Yield what does not agree."""
    yield from _acknowledged(sent, {(record.partition, record.offset): record for record in log})
    yield from _numbers(sent, log)
    yield from _order(sent)


def _acknowledged(sent: Sequence[Sent], log: dict[tuple[int, int], Record]) -> Iterator[Anomaly]:
    taken: dict[tuple[int, int], int] = {}
    for each in sent:
        if each.at is None:
            continue
        place = f"{each.entity} at {each.at[0]}@{each.at[1]}"
        if each.at in taken:
            detail = f"sends {taken[each.at]} and {each.n} were acknowledged at one position"
            yield Anomaly("sent.two-at-offset", place, detail)
        taken[each.at] = each.n
        record = log.get(each.at)
        if record is None:
            yield Anomaly("log.lost", place, f"send {each.n}, event {each.event_id}, was acknowledged and is not there")
        elif _content(record) != _content(each):
            yield Anomaly("log.other-content", place, f"send {each.n} was {each.event_id}, there is {record.event_id}")


def _numbers(sent: Sequence[Sent], log: Sequence[Record]) -> Iterator[Anomaly]:
    """Compare how often each content was sent, and stands in the log: a client that tries again must not double it."""
    intended = Counter(map(_content, sent))
    for content, count in Counter(map(_content, log)).items():
        if count > intended[content]:
            kind = "log.duplicate" if intended[content] else "log.phantom"
            yield Anomaly(
                kind, content[0], f"event {content[1]} stands there {count} times, sent {intended[content]} times"
            )


def _order(sent: Sequence[Sent]) -> Iterator[Anomaly]:
    last: dict[str, Sent] = {}
    for each in sent:
        if each.at is None:
            continue
        before = last.get(each.entity)
        if before is not None and before.at is not None:
            place = f"{each.entity} at {each.at[0]}@{each.at[1]}"
            if before.at[0] != each.at[0]:
                yield Anomaly("log.split-entity", place, f"send {before.n} went to partition {before.at[0]}")
            elif before.at[1] > each.at[1]:
                yield Anomaly("log.reordered", place, f"send {before.n} came first and stands at {before.at[1]}")
        last[each.entity] = each


def _content(each: Sent | Record) -> tuple[Any, ...]:
    valid_at = None if each.type == RETRACTED else each.valid_at
    payload = tuple(sorted(each.payload.items()))
    return each.entity, each.event_id, each.type, valid_at, each.withdraws, payload
