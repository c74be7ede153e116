"""Taking a partition back to an earlier offset: what its entities were then is folded again from their records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from everwhen.event import headers
from everwhen.instants import MIN_MICROS
from everwhen.ports.answers import EntityRows
from everwhen.ports.log import Record
from everwhen.ports.store import Store
from everwhen.projection import Folder, Projection
from everwhen.projection.rows import Conflict, Quarantined, Version, Withdrawal
from everwhen.worker.batch import Batch, Rules
from everwhen.worker.heads import HeadCache
from everwhen.worker.intake import Intake
from everwhen.worker.quarantine import record_of
from everwhen.worker.settings import WorkerSettings
from everwhen.worker.stream import Ahead
from everwhen.worker.worker import blueprint

if TYPE_CHECKING:
    from everwhen.event.codec import SchemaIds

_SOURCE = "everwhen:roll-back"
"""Where a record comes from whose own headers are not kept."""


class RolledBack(NamedTuple):
    """What was done."""

    stood: int
    entities: int


def roll_back(
    projection: Projection[Any],
    store: Store,
    partition: int,
    to_offset: int,
    reason: str,
    *,
    generation: int | None = None,
    ids: SchemaIds | None = None,
) -> RolledBack:
    """Remove everything that the records from an offset on did, in one transaction.

    The rows are then those of a store that has read the log only up to there, but for what leaves no row: an entity's
    last offset, and the partition's watermark, do not count a duplicate or an ignored record.

    :param projection: its code; the one that built what the store holds.
    :param generation: the number of the one that goes back; as for a worker if left out.
    :param ids: a schema registry, for records that are kept aside and name a schema of it.
    :raises ArgumentError: if the partition stands in front of the offset, or is not there.
    :raises GenerationMismatch: if other code built what the store holds.
    :raises UnknownSchema: if a stored event was written with a schema that is not among the contracts.
    """
    rules = Rules(Intake(projection, ids), Folder(projection), WorkerSettings().depth, projection.late)
    count = 0
    store.find(projection.name, generation)  # as preparing would make what is not there
    continuity = store.continuity(projection.name, store.prepare(blueprint(projection), generation).number)
    with continuity.roll_back(partition, to_offset, reason) as back:
        for some in back.entities():
            batch = Batch(rules, partition)
            records = [each for rows, aside in some for each in _records(rows, aside) if each.offset < to_offset]
            batch.take(sorted(records, key=lambda record: record.offset), MIN_MICROS)
            try:
                batch.write(back.batch, HeadCache(0), careful=True)  # what was a repetition comes again as one
            except Ahead as ahead:
                raise ahead.error from None
            count += len(some)
    return RolledBack(back.stood, count)


def _records(rows: EntityRows, aside: Sequence[Quarantined]) -> list[Record]:
    """Return every record of an entity that left a row, as it stood in the log, each once, with its recorded time."""
    events = [*rows.versions, *(ended.version for ended in rows.superseded if ended.withdrawn)]
    records = {row.offset: _record(row, row.withdraws) for row in events}
    for each in rows.withdrawals:
        records.setdefault(each.offset, _record(each, each.target_id))
    for conflict in rows.conflicts:
        records.setdefault(conflict.offset, _record(conflict, None))
    return [*records.values(), *map(record_of, aside)]


def _record(row: Version | Withdrawal | Conflict, withdraws: str | None) -> Record:
    caused: dict[str, str | None] = {}
    if isinstance(row, Version):
        caused = {"correlation_id": row.correlation_id, "causation_id": row.causation_id}
    built = headers.build(
        id=row.event_id,
        source=_SOURCE,
        type=row.event_type,
        entity_id=row.entity_id,
        occurred_at=row.recorded_at if isinstance(row, Withdrawal) else row.valid_from,
        withdraws=withdraws,
        **caused,
    )
    return Record(row.partition, row.offset, row.recorded_at, row.entity_id.encode(), row.event, built)
