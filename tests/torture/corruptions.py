"""What can be wrong with a store, a log or a history, each with the anomaly that it has to be reported as."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tests.checker.sent import Sent


class Corruption(NamedTuple):
    """One thing that is wrong."""

    kind: str
    sql: str


def _one(table: str, where: str = "TRUE") -> str:
    return f"rowid = (SELECT min(rowid) FROM {table} WHERE {where})"


def _first(table: str, where: str = "TRUE") -> str:
    return f"entity_id = (SELECT min(entity_id) FROM {table} WHERE {where}) AND {where}"


_PREFIX = "everwhen_torture__1_"
_V, _S, _E = f"{_PREFIX}versions", f"{_PREFIX}superseded", f"{_PREFIX}entities"
_W, _C = f"{_PREFIX}withdrawals", f"{_PREFIX}conflicts"
_CHECKPOINTS = "everwhen_checkpoints"
_LATER = "state IS NOT NULL AND length(state) > 60"
_PARTITION = "partition = (SELECT max(partition) FROM everwhen_checkpoints)"
_COPIED = "entity_id, valid_from, 999999, partition, recorded_at, refolded_offset, refolded_at, 'another', event_type, "
_COPIED += "correlation_id, causation_id, withdraws, event, state"
STORE = {
    "a version is missing": Corruption("versions.missing", f"DELETE FROM {_V} WHERE {_one(_V)}"),
    "a version stands there twice": Corruption(
        "versions.extra", f"INSERT INTO {_V} SELECT {_COPIED} FROM {_V} WHERE {_one(_V)}"
    ),
    "a version begins a microsecond later": Corruption(
        "versions.valid_from", f"UPDATE {_V} SET valid_from = valid_from + 1 WHERE {_one(_V)}"
    ),
    "two states are swapped": Corruption(
        "versions.state",
        f"UPDATE {_V} SET state = CASE rowid WHEN (SELECT min(rowid) FROM {_V}) "
        f"THEN (SELECT state FROM {_V} WHERE {_one(_V, _LATER)}) ELSE (SELECT state FROM {_V} WHERE {_one(_V)}) END "
        f"WHERE {_one(_V)} OR {_one(_V, _LATER)}",
    ),
    "a state is no JSON": Corruption("versions.state", f"UPDATE {_V} SET state = '{{' WHERE {_one(_V)}"),
    "a state is missing": Corruption("versions.state", f"UPDATE {_V} SET state = NULL WHERE {_one(_V, _LATER)}"),
    "a deleted entity has a state": Corruption(
        "versions.state", f"UPDATE {_V} SET state = '{{\"items\":[]}}' WHERE {_one(_V, 'state IS NULL')}"
    ),
    "a version has another event id": Corruption(
        "versions.event_id", f"UPDATE {_V} SET event_id = 'other' WHERE {_one(_V)}"
    ),
    "a version has another event type": Corruption(
        "versions.event_type", f"UPDATE {_V} SET event_type = 'other' WHERE {_one(_V)}"
    ),
    "an event has another byte": Corruption(
        "versions.event", f"UPDATE {_V} SET event = CAST(event || x'00' AS BLOB) WHERE {_one(_V)}"
    ),
    "a version was recorded later": Corruption(
        "versions.recorded_at", f"UPDATE {_V} SET recorded_at = recorded_at + 1 WHERE {_one(_V)}"
    ),
    "a version says another partition": Corruption(
        "versions.partition", f"UPDATE {_V} SET partition = partition + 1 WHERE {_one(_V)}"
    ),
    "a version forgets that it was folded again": Corruption(
        "versions.refolded_offset",
        f"UPDATE {_V} SET refolded_offset = NULL WHERE {_one(_V, 'refolded_offset IS NOT NULL')}",
    ),
    "a correction forgets what it corrects": Corruption(
        "versions.withdraws", f"UPDATE {_V} SET withdraws = NULL WHERE {_one(_V, 'withdraws IS NOT NULL')}"
    ),
    "the event of an entity counts for another": Corruption(
        "versions.extra",
        f"UPDATE {_V} SET entity_id = (SELECT max(entity_id) FROM {_V}) WHERE {_one(_V)}",
    ),
    "an earlier belief is missing": Corruption("superseded.missing", f"DELETE FROM {_S} WHERE {_one(_S)}"),
    "an earlier belief ended later": Corruption(
        "belief.differs", f"UPDATE {_S} SET ended_offset = 1000000 WHERE {_one(_S)}"
    ),
    "an earlier belief ended at another time": Corruption(
        "superseded.ended_at", f"UPDATE {_S} SET ended_at = ended_at - 1 WHERE {_one(_S)}"
    ),
    "an earlier belief was withdrawn or not": Corruption(
        "superseded.withdrawn", f"UPDATE {_S} SET withdrawn = 1 - withdrawn WHERE {_one(_S)}"
    ),
    "an earlier belief was another one": Corruption(
        "superseded.state", f'UPDATE {_S} SET state = \'{{"items":["x"]}}\' WHERE {_one(_S)}'
    ),
    "a head has another state": Corruption(
        "entities.state", f'UPDATE {_E} SET state = \'{{"items":["x"]}}\' WHERE {_first(_E)}'
    ),
    "a head counts one too many": Corruption(
        "entities.versions", f"UPDATE {_E} SET versions = versions + 1 WHERE {_first(_E)}"
    ),
    "a head has another lead": Corruption("entities.lead", f"UPDATE {_E} SET lead = lead + 1 WHERE {_first(_E)}"),
    "a head begins earlier": Corruption(
        "entities.first_valid", f"UPDATE {_E} SET first_valid = first_valid - 1 WHERE {_first(_E)}"
    ),
    "a head ends at another record": Corruption(
        "entities.last_offset", f"UPDATE {_E} SET last_offset = last_offset + 1 WHERE {_first(_E)}"
    ),
    "a head counts no withdrawals": Corruption(
        "entities.withdrawals", f"UPDATE {_E} SET withdrawals = 0 WHERE {_first(_E, 'withdrawals > 0')}"
    ),
    "a head is missing": Corruption("entities.missing", f"DELETE FROM {_E} WHERE {_first(_E)}"),
    "an entity is nobody's": Corruption("entities.extra", f"UPDATE {_E} SET entity_id = 'nobody' WHERE {_first(_E)}"),
    "a head denies that beliefs are kept": Corruption(
        "entities.unstored", f"UPDATE {_E} SET unstored_offset = 1000000 WHERE {_first(_E)}"
    ),
    "an entity is parked": Corruption(
        "entities.quarantined_offset", f"UPDATE {_E} SET quarantined_offset = 1 WHERE {_first(_E)}"
    ),
    "a withdrawal is missing": Corruption("withdrawals.missing", f"DELETE FROM {_W} WHERE {_first(_W)}"),
    "a withdrawal has another target": Corruption(
        "withdrawals.target_id", f"UPDATE {_W} SET target_id = 'other' WHERE {_first(_W)}"
    ),
    "a conflict is missing": Corruption("conflicts.missing", f"DELETE FROM {_C} WHERE {_first(_C)}"),
    "a conflict has another value": Corruption("conflicts.event", f"UPDATE {_C} SET event = x'00' WHERE {_first(_C)}"),
    "a checkpoint is one too far": Corruption(
        "checkpoints.next_offset", f"UPDATE {_CHECKPOINTS} SET next_offset = next_offset + 1 WHERE {_PARTITION}"
    ),
    "a checkpoint is one behind": Corruption(
        "checkpoints.next_offset", f"UPDATE {_CHECKPOINTS} SET next_offset = next_offset - 1 WHERE {_PARTITION}"
    ),
    "a watermark went back": Corruption(
        "checkpoints.watermark", f"UPDATE {_CHECKPOINTS} SET watermark = watermark - 1 WHERE {_PARTITION}"
    ),
    "a checkpoint is missing": Corruption("checkpoints.missing", f"DELETE FROM {_CHECKPOINTS} WHERE {_PARTITION}"),
    "a checkpoint is of another topic": Corruption(
        "checkpoints.topic_id", f"UPDATE {_CHECKPOINTS} SET topic_id = 'other' WHERE {_PARTITION}"
    ),
    "a generation does not answer": Corruption(
        "generations.differs", "UPDATE everwhen_generations SET state = 'retired'"
    ),
}

_LAST = 'partition = 0 AND "offset" = (SELECT max("offset") FROM records WHERE partition = 0)'
_COLUMNS = "recorded_at, key, value, headers"

LOG = {
    "an acknowledged record is missing": Corruption("log.lost", 'DELETE FROM records WHERE "offset" = 5'),
    "the last record is missing": Corruption("log.lost", f"DELETE FROM records WHERE {_LAST}"),
    "a record stands there twice": Corruption(
        "log.duplicate",
        f'INSERT INTO records SELECT topic, partition, "offset" + 1, {_COLUMNS} FROM records WHERE {_LAST}',
    ),
    "a record is another one": Corruption(
        "log.other-content",
        "UPDATE records AS one SET (key, value, headers) = (SELECT key, value, headers FROM records AS other "
        'WHERE other.partition = one.partition AND other."offset" = 6) WHERE "offset" = 5',
    ),
    "a value is cut off": Corruption(
        "log.unreadable", 'UPDATE records SET value = substr(value, 1, length(value) - 1) WHERE "offset" = 5'
    ),
    "a value has a byte too many": Corruption(
        "log.unreadable", "UPDATE records SET value = CAST(value || x'00' AS BLOB) WHERE \"offset\" = 5"
    ),
    "a record's time is another": Corruption(
        "versions.recorded_at", "UPDATE records SET recorded_at = recorded_at + 1"
    ),
}


def _first_two(said: list[Sent]) -> tuple[int, int]:
    """Two sends of one entity, by their places in the list."""
    second = next(i for i, each in enumerate(said) if any(each.entity == earlier.entity for earlier in said[:i]))
    return next(i for i, each in enumerate(said) if each.entity == said[second].entity), second


def _forgotten(said: list[Sent]) -> list[Sent]:
    return said[1:]


def _swapped(said: list[Sent]) -> list[Sent]:
    one, two = _first_two(said)
    changed = list(said)
    changed[one], changed[two] = said[one]._replace(at=said[two].at), said[two]._replace(at=said[one].at)
    return changed


def _doubled(said: list[Sent]) -> list[Sent]:
    one, two = _first_two(said)
    return [each if i != two else each._replace(at=said[one].at) for i, each in enumerate(said)]


def _moved(said: list[Sent]) -> list[Sent]:
    _, two = _first_two(said)
    partition, offset = said[two].at or (0, 0)
    return [each if i != two else each._replace(at=(partition + 1, offset)) for i, each in enumerate(said)]


def _never_there(said: list[Sent]) -> list[Sent]:
    return [*said, said[-1]._replace(n=said[-1].n + 1, event_id="never", at=(0, 1_000_000))]


SENT: dict[str, tuple[str, Callable[[list[Sent]], list[Sent]]]] = {
    "nobody says that it was sent": ("log.phantom", _forgotten),
    "two were acknowledged in the wrong order": ("log.reordered", _swapped),
    "two were acknowledged at one position": ("sent.two-at-offset", _doubled),
    "an entity went to two partitions": ("log.split-entity", _moved),
    "an acknowledged event is not there": ("log.lost", _never_there),
}
