"""Records that are kept aside: as rows of the quarantine and back, and how many of them are too many."""

from __future__ import annotations

import base64
import json
from collections import deque

from everwhen.errors import QuarantineLimit, RecordError
from everwhen.event import headers
from everwhen.instants import Micros
from everwhen.ports.log import Record
from everwhen.projection.rows import Quarantined

FAILED, WAITING, DISCARDED = "failed", "waiting", "discarded"
_WINDOW = 10_000
"""How many records the share of failed ones is taken of."""
_AT_LEAST = 20
"""So many must fail before their share says anything."""


class Window:
    """How many of the latest records of a partition could not be applied."""

    def __init__(self) -> None:
        self._batches: deque[tuple[int, int]] = deque()
        self._records = self._failed = 0

    def check(self, place: str, share: float, records: int, failed: int) -> None:
        """Refuse a batch that fails too often.

        :param place: topic and partition, for the message.
        :param share: the largest share of records that is borne.
        :raises QuarantineLimit: before any of it is committed.
        """
        total, of_these = self._failed + failed, self._records + records
        if failed and total >= _AT_LEAST and total > share * of_these:
            raise QuarantineLimit(
                f"{place}: {total} of the latest {of_these} records cannot be applied, more than the share "
                f"quarantine_limit_share={share:g}. The last batch is not committed. Find out from the log "
                "(entity.parked) whether the handlers or the publishers are to blame and mend them; if the records are "
                "to be parked all the same, as when history is loaded in the wrong order, allow a larger share"
            )

    def add(self, records: int, failed: int) -> None:
        """Count a batch that was committed."""
        self._batches.append((records, failed))
        self._records += records
        self._failed += failed
        while len(self._batches) > 1 and self._records - self._batches[0][0] >= _WINDOW:
            gone = self._batches.popleft()
            self._records -= gone[0]
            self._failed -= gone[1]


def entity_of(key: bytes | None) -> str | None:
    """Return the entity that a key names, whatever else is wrong with its record; ``None`` if it cannot say."""
    if not key or len(key) > headers.ID_LIMIT or b"\0" in key:
        return None
    try:
        return key.decode()
    except UnicodeDecodeError:
        return None


def kept(record: Record, entity_id: str | None, recorded_at: Micros, error: RecordError | None) -> Quarantined:
    """Return the row of a record that is kept aside.

    :param entity_id: the entity that it is of, if that is known.
    :param error: why it cannot be applied; ``None`` if it only waits.
    """
    row = Quarantined(
        partition=record.partition,
        offset=record.offset,
        entity_id=entity_id,
        recorded_at=recorded_at,
        key=record.key,
        value=record.value,
        headers=_write_headers(record),
        error_class=None,
        error=None,
        attempts=0,
        status=WAITING,
        reason=None,
        request=None,
    )
    return row if error is None else failed(row, error)


def failed(row: Quarantined, error: RecordError) -> Quarantined:
    """Return the row after another try that failed."""
    return row._replace(
        status=FAILED,
        error_class=type(error).__name__,
        error=str(error).replace("\0", "\\0"),  # no database text can hold one
        attempts=row.attempts + 1,
        reason=None,
        request=None,
    )


def waiting(row: Quarantined) -> Quarantined:
    """Return the row of a record that waits for one before it."""
    return row._replace(status=WAITING, error_class=None, error=None, reason=None, request=None)


def record_of(row: Quarantined) -> Record:
    """Return a record as it stood in the log, with its recorded time."""
    return Record(row.partition, row.offset, row.recorded_at, row.key, row.value, read_headers(row))


def read_headers(row: Quarantined) -> list[tuple[str, bytes | None]]:
    """Return the headers of a record."""
    return [(name, None if value is None else base64.b64decode(value)) for name, value in json.loads(row.headers)]


def _write_headers(record: Record) -> str:
    return json.dumps(
        [[name, None if value is None else base64.b64encode(value).decode()] for name, value in record.headers or ()]
    )
