"""One batch: what the store port promises of a batch, on top of a writer for the database at hand."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from operator import itemgetter
from typing import Any, Protocol

from everwhen.instants import Micros
from everwhen.ports.store import Inserter
from everwhen.projection.rows import Changes, Head, Known, Quarantined, Version
from everwhen.sql import lookups
from everwhen.sql.lookups import Lookup

_in_order = itemgetter(1, 2)  # valid_from, offset


class Writer(Protocol):
    """Reads and writes many rows of one generation at once. Immutable; ``connection`` is the driver's."""

    def look(self, connection: Any, lookup: Lookup, keys: Sequence[tuple[Any, ...]]) -> Iterable[tuple[Any, ...]]:
        """Run the lookup for all keys; rows come in any order."""
        ...

    def write(self, connection: Any, changes: Changes) -> None:
        """Execute the changes."""
        ...

    def inserting(self, connection: Any) -> AbstractContextManager[Inserter]:
        """Take new versions bit by bit."""
        ...


class SqlBatch:
    """One open transaction, in which the guarded checkpoint update has already matched.

    Implements :class:`everwhen.ports.store.StoreBatch`. Used by one thread. Errors of the driver leave the ``with``
    block of :meth:`everwhen.sql.SqlStore.batch` translated.
    """

    def __init__(self, writer: Writer, connection: Any, prunings: int = 0) -> None:
        self._writer = writer
        self._connection = connection
        self.prunings = prunings

    def heads(self, entity_ids: Collection[str]) -> dict[str, Head]:
        """Return the heads of those entities that have one."""
        return {row[0]: Head(*row) for row in self._look(lookups.HEADS, _keys(entity_ids))}

    def known(
        self, events: Collection[tuple[str, str]], corrected: Collection[str], pruned: Collection[str] = ()
    ) -> list[Known]:
        """Return which of these ``(entity_id, event_id)`` are known, live, withdrawn or pruned.

        A retraction has no valid time of its own in the store; it is known with its recorded time.
        """
        found = {row[:2]: _known(row, live=True) for row in self._look(lookups.LIVE, list(events))}
        if rest := [event for event in events if event[0] in corrected and event not in found]:
            found |= {row[:2]: _known(row, live=False) for row in self._look(lookups.GONE, rest)}
            rest = [event for event in rest if event not in found]
            found |= {row[:2]: _known(row, live=False) for row in self._look(lookups.WITHDRAWING, rest)}
        if rest := [event for event in events if event[0] in pruned and event not in found]:
            found |= {row[:2]: _pruned(row) for row in self._look(lookups.PRUNED, rest)}
        return list(found.values())

    def tails(self, since: Mapping[str, Micros]) -> dict[str, list[Version]]:
        """Return for each entity its versions from the last one that begins *before* the instant, in order."""
        tails: dict[str, list[Version]] = {}
        for row in self._look(lookups.TAILS, list(since.items())):
            tails.setdefault(row[0], []).append(Version(*row))
        for rows in tails.values():
            rows.sort(key=_in_order)
        return tails

    def withdrawn(self, entity_ids: Collection[str]) -> dict[str, dict[str, int]]:
        """Return for each entity the event ids that were withdrawn, with the lowest offset that did so."""
        found: dict[str, dict[str, int]] = {}
        for entity_id, target_id, offset in self._look(lookups.WITHDRAWN, _keys(entity_ids)):
            targets = found.setdefault(entity_id, {})
            targets[target_id] = min(offset, targets.get(target_id, offset))
        return found

    def quarantined(self, entity_ids: Collection[str]) -> dict[str, list[Quarantined]]:
        """Return for each entity the records that are kept aside and not discarded, in order."""
        found: dict[str, list[Quarantined]] = {}
        for row in self._look(lookups.QUARANTINED, _keys(entity_ids)):
            found.setdefault(row[2], []).append(Quarantined(*row))
        for rows in found.values():
            rows.sort()
        return found

    def write(self, changes: Changes) -> None:
        """Execute the changes."""
        self._writer.write(self._connection, changes)

    def inserting(self) -> AbstractContextManager[Inserter]:
        """Take new versions while more are being folded; nothing else may be asked or written meanwhile."""
        return self._writer.inserting(self._connection)

    def _look(self, lookup: Lookup, keys: Sequence[tuple[Any, ...]]) -> Iterable[tuple[Any, ...]]:
        return self._writer.look(self._connection, lookup, keys) if keys else ()


def _known(row: tuple[Any, ...], *, live: bool) -> Known:
    entity_id, event_id, valid_from, event_type, event, withdraws = row
    return Known(entity_id, event_id, valid_from, event_type, event, withdraws, live)


def _pruned(row: tuple[Any, ...]) -> Known:
    entity_id, event_id, valid_from, withdraws, counted, digest = row
    return Known(entity_id, event_id, valid_from, "", b"", withdraws, live=bool(counted), digest=digest)


def _keys(entity_ids: Iterable[str]) -> list[tuple[str]]:
    return [(entity_id,) for entity_id in entity_ids]
