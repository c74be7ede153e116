"""L against S: do the tables hold what the log says, at every offset, every instant, in every column?"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from heapq import merge
from itertools import groupby
from operator import itemgetter
from typing import Any

from tests.checker.anomalies import Anomaly
from tests.checker.folding import Belief, Entity, fold_entity
from tests.checker.logs import Log
from tests.checker.records import Raw, by_entity
from tests.checker.stores import Row, Tables

VERSION = 1
"""Of the workload's handlers, which the checker has its own of."""
_OF_ENTITIES = ("entities", "versions", "superseded", "withdrawals", "conflicts")
_UNSTORED = ("unstored_offset", "unstored_valid", "unstored_at")
_REFOLDED = ("refolded_offset", "refolded_at")
_ENDING = ("ended_offset", "ended_at", "withdrawn")


class Expected(Mapping[str, Entity]):
    """What each entity's log says; folded when it is asked for, and not kept."""

    def __init__(self, log: Log) -> None:
        self._records = by_entity(log.records)

    def __getitem__(self, entity: str) -> Entity:
        return fold_entity(self._records[entity])

    def __iter__(self) -> Iterator[str]:
        return iter(self._records)

    def __len__(self) -> int:
        return len(self._records)


def expect(log: Log) -> dict[str, Entity]:
    """Fold the whole log."""
    return dict(Expected(log))


def compare(
    log: Log, expected: Mapping[str, Entity], tables: Tables, counts: Counter[str] | None = None
) -> Iterator[Anomaly]:
    """Yield what does not agree.

    :param tables: read once, entity by entity.
    :param counts: what was compared is counted here, if given.
    """
    counts = Counter() if counts is None else counts
    yield from _checkpoints(log, list(tables["generations"]), list(tables["checkpoints"]), counts)
    for row in tables["decisions"]:
        yield Anomaly("decisions.extra", f"{row['projection']}[{row['partition']}]", row["reason"])
    for row in tables["quarantine"]:
        counts["quarantine"] += 1
        yield Anomaly("quarantine.extra", f"{row['partition']}@{row['offset']}", row["error"])
    for row in tables["pruned"]:
        yield Anomaly("pruned.extra", row["entity_id"], f"nothing was pruned, and {row['event_id']} is said to be")
    for entity, rows in _together(expected, tables):
        counts.update({name: len(found) for name, found in rows.items()})
        if entity not in expected:
            yield Anomaly("entities.extra", entity, "the log has no record of it")
        elif not rows["entities"]:
            yield Anomaly("entities.missing", entity, "it has records and no head")
        else:
            folded, head = expected[entity], rows["entities"][0]
            counts["lists of intervals"] += len(folded.beliefs)
            counts["intervals"] += sum(len(belief) for _, belief in folded.beliefs)
            counts["entities with beliefs that are not kept"] += head["unstored_offset"] is not None
            if len(rows["entities"]) > 1:
                yield Anomaly("entities.repeated", entity, "it has more than one head")
            yield from _entity(entity, folded, head, rows)


def _together(expected: Iterable[str], tables: Tables) -> Iterator[tuple[str, dict[str, list[Row]]]]:
    """Yield each entity of the log or the store once, with its rows."""
    owner = itemgetter("entity_id")

    def groups(name: str) -> Iterator[tuple[str, str, list[Row]]]:
        return ((entity, name, list(rows)) for entity, rows in groupby(tables[name], key=owner))

    known: Iterator[tuple[str, str, list[Row]]] = ((entity, "", []) for entity in sorted(expected))
    streams = [known, *map(groups, _OF_ENTITIES)]
    for entity, found in groupby(merge(*streams, key=itemgetter(0)), key=itemgetter(0)):
        rows: dict[str, list[Row]] = {name: [] for name in _OF_ENTITIES}
        for _, name, some in found:
            if name:
                rows[name] += some
        yield entity, rows


def _entity(entity: str, expected: Entity, head: Row, rows: Mapping[str, list[Row]]) -> Iterator[Anomaly]:
    yield from _columns("entities", entity, expected.head, head)
    unstored = head["unstored_offset"] is not None
    yield from _unstored(entity, expected, head)
    optional = _REFOLDED if unstored else ()
    yield from _rows("versions", entity, expected.versions, rows["versions"], lambda row: row["offset"], optional)
    if unstored:
        yield from _ended(entity, expected, rows["superseded"])
    else:
        key = lambda row: (row["offset"], row["ended_offset"])  # noqa: E731 - a key, as the others are
        yield from _rows("superseded", entity, expected.superseded, rows["superseded"], key)
    yield from _rows("withdrawals", entity, expected.withdrawals, rows["withdrawals"], lambda row: row["event_id"])
    yield from _rows("conflicts", entity, expected.conflicts, rows["conflicts"], lambda row: row["offset"])
    yield from _beliefs(entity, expected, head, [*rows["versions"], *rows["superseded"]])


def _unstored(entity: str, expected: Entity, head: Row) -> Iterator[Anomaly]:
    """What the head says of beliefs that are not kept: nothing at all, or an offset of the entity with its time."""
    said = [head[name] for name in _UNSTORED]
    if said == [None] * 3:
        return
    times = {row["offset"]: row["recorded_at"] for row in (*expected.versions.values(), *expected.superseded.values())}
    times |= {row["offset"]: row["recorded_at"] for row in expected.withdrawals.values()}
    if None in said or times.get(said[0]) != said[2]:
        yield Anomaly("entities.unstored", entity, f"{dict(zip(_UNSTORED, said, strict=True))} is no record of it")


def _rows(
    table: str,
    entity: str,
    expected: Mapping[Any, Row],
    rows: Iterable[Row],
    key: Callable[[Row], Hashable],
    optional: Iterable[str] = (),
) -> Iterator[Anomaly]:
    found: dict[Hashable, Row] = {}
    for row in rows:
        place = f"{entity} {key(row)}"
        if key(row) in found:
            yield Anomaly(f"{table}.repeated", place, "it stands there more than once")
        elif key(row) not in expected:
            yield Anomaly(f"{table}.extra", place, f"the log gives no such row; event {row['event_id']}")
        else:
            left_out = dict.fromkeys(optional)
            yield from _columns(table, place, expected[key(row)] | left_out, row | left_out)
        found[key(row)] = row
    for missing in expected.keys() - found.keys():
        yield Anomaly(f"{table}.missing", f"{entity} {missing}", f"event {expected[missing]['event_id']} is not there")


def _columns(table: str, place: str, expected: Row, found: Row) -> Iterator[Anomaly]:
    for column, value in expected.items():
        if found[column] != value or type(found[column]) is not type(value):
            yield Anomaly(f"{table}.{column}", place, f"expected {_short(value)}, found {_short(found[column])}")


def _ended(entity: str, expected: Entity, rows: Iterable[Row]) -> Iterator[Anomaly]:
    """Where beliefs are not kept: every row that is there is one of an event, and no withdrawn event is missing."""
    events: dict[int, Row] = {row["offset"]: row for row in expected.superseded.values()} | expected.versions
    moments = {row["offset"]: row["recorded_at"] for row in (*events.values(), *expected.withdrawals.values())}
    withdrawn = {key for key, row in expected.superseded.items() if row["withdrawn"]}
    seen: Counter[tuple[int, int]] = Counter()
    for row in rows:
        key = row["offset"], row["ended_offset"]
        seen[key] += 1
        place = f"{entity} {key}"
        if row["offset"] not in events or row["ended_offset"] not in moments or seen[key] > 1:
            yield Anomaly("superseded.extra", place, f"event {row['event_id']} has no such belief")
            continue
        event = {name: value for name, value in events[row["offset"]].items() if name not in (*_REFOLDED, *_ENDING)}
        del event["state"]
        ending = {"ended_at": moments[row["ended_offset"]], "withdrawn": key in withdrawn}
        yield from _columns("superseded", place, event | ending, row)
    for missing in withdrawn - seen.keys():
        yield Anomaly("superseded.missing", f"{entity} {missing}", "a withdrawn event is not there")


def _beliefs(entity: str, expected: Entity, head: Row, rows: Iterable[Row]) -> Iterator[Anomaly]:
    """Compare the whole list of intervals as it was believed after every record, as far as beliefs are kept."""
    unstored, before = head["unstored_offset"], head["unstored_valid"]
    known = sorted(rows, key=lambda row: (row["valid_from"], row["offset"]))
    for offset, belief in expected.beliefs:
        found: Belief = [
            (row["valid_from"], row["offset"], row["state"])
            for row in known
            if (row["offset"] if row["refolded_offset"] is None else row["refolded_offset"])
            <= offset
            < row.get("ended_offset", offset + 1)
        ]
        if unstored is not None and before is not None and offset < unstored:
            found, belief = ([each for each in some if each[0] < before] for some in (found, belief))
        if found != belief:
            wrong = next((pair for pair in zip(belief, found, strict=False) if pair[0] != pair[1]), "their number")
            yield Anomaly("belief.differs", f"{entity} after {offset}", f"expected, found: {_short(wrong)}")


def _checkpoints(log: Log, generations: list[Row], checkpoints: list[Row], counts: Counter[str]) -> Iterator[Anomaly]:
    counts["checkpoints"] += len(checkpoints)
    named = ("number", "version", "topic", "state", "partitions", "retired_at")
    if [tuple(row[name] for name in named) for row in generations] != [
        (1, VERSION, log.topic, "live", log.partitions, None)
    ]:
        yield Anomaly("generations.differs", log.topic, f"expected one that is live, found {generations}")
    watermarks: dict[int, int] = {}
    for record in log.records:
        watermarks[record.partition] = max(record.recorded_at, watermarks.get(record.partition, record.recorded_at))
    found = {row["partition"]: row for row in checkpoints}
    if len(found) < len(checkpoints):
        yield Anomaly("checkpoints.repeated", log.topic, "a partition has more than one")
    for partition, end in log.ends.items():
        place = f"{log.topic}[{partition}]"
        expected = {
            "projection": generations[0]["projection"] if generations else None,
            "number": 1,
            "topic": log.topic,
            "cluster_id": log.cluster_id,
            "topic_id": log.topic_id,
            "next_offset": end,
            "prunings": 0,
            "watermark": watermarks.get(partition),
            "last_offset": log.lasts[partition].offset if partition in log.lasts else None,
            "last_checksum": _checksum(log.lasts[partition]) if partition in log.lasts else None,
            "trouble": None,
            "trouble_from": None,
            "trouble_to": None,
        }
        if partition in found:
            yield from _columns("checkpoints", place, expected, found[partition])
        elif end:
            yield Anomaly("checkpoints.missing", place, f"the log ends at {end}")
    for partition in found.keys() - log.ends.keys():
        yield Anomaly("checkpoints.extra", f"{log.topic}[{partition}]", "the log has no such partition")


def _checksum(raw: Raw) -> int:
    """The CRC-32 by which a worker knows its last record again: of key, value, headers and time."""
    parts = [raw.key or b"", raw.value or b""]
    for name, value in raw.headers:
        parts += [name.encode(), value or b""]
    return zlib.crc32(b"".join(parts) + raw.timestamp.to_bytes(8, "big", signed=True))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:100]} … {text[-80:]}"
