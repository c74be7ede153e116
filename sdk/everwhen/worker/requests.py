"""What users ask about records that are kept aside: retried or discarded by the worker that owns the partition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from everwhen.ports.store import StoreBatch
from everwhen.projection.rows import Changes, Quarantined
from everwhen.worker import quarantine
from everwhen.worker.batch import Batch


def decide(
    store: StoreBatch, batch: Batch, requests: Sequence[Quarantined], reached: int
) -> list[tuple[Literal["retried", "discarded"], Quarantined]]:
    """Discard what is to be discarded, and put into the batch what is to be tried again.

    :param requests: records of one partition that something is asked for.
    :param reached: the offset that comes next there.
    :return: what was done, for the log.
    """
    changes = Changes()
    entities = {row.entity_id for row in requests if row.entity_id is not None}
    queues = store.quarantined(entities) if entities else {}
    homes = {entity_id: head.partition for entity_id, head in store.heads(entities).items()} if entities else {}
    partitions = {row.partition for row in requests}
    asked: dict[str | None, set[int]] = {}
    for row in requests:
        asked.setdefault(row.entity_id, set()).add(row.offset)
    for entity_id, rows in queues.items():
        queue = [row for row in rows if row.partition in partitions]
        if homes.get(entity_id) in partitions:
            changes.kept += [_discarded(row) for row in queue if row.request == "discard"]
            left = [row for row in queue if row.request != "discard"]
            batch.resume(entity_id, left, reached, asked.get(entity_id, ()))
        else:
            changes.kept += [_decided(row) for row in queue if row.request is not None]
    changes.kept += [_decided(row) for row in requests if row.entity_id is None]
    store.write(changes)
    return [("discarded" if row.request == "discard" else "retried", row) for row in requests]


def cross_out(store: StoreBatch, requests: Sequence[Quarantined]) -> None:
    """Take back what is asked for, since trying it may end the process: it must not be tried again and again."""
    retried = [row for row in requests if row.request == "retry"]
    store.write(Changes(kept=[row._replace(attempts=row.attempts + 1, request=None) for row in retried]))


def _decided(row: Quarantined) -> Quarantined:
    """A record that parks nothing: what it stands for cannot change, so another try fails as the first did."""
    if row.request == "discard":
        return _discarded(row)
    return row._replace(attempts=row.attempts + 1, request=None)


def _discarded(row: Quarantined) -> Quarantined:
    return row._replace(status=quarantine.DISCARDED, request=None)
