"""Rows and partitions for the tests of a store, made with little to type."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

from everwhen.ports.generations import Blueprint, Generation
from everwhen.ports.log import TopicDescription
from everwhen.ports.store import Claim, Store
from everwhen.positions import Mark
from everwhen.projection.rows import Changes, Head, Version
from everwhen.testing.store_oracle import TOPIC

OpenStore: TypeAlias = Callable[[], Store]
"""Opens the same store once more each time it is called."""

THINGS: Final = TopicDescription(TOPIC, 3, "cluster-1", "topic-1")


def blueprint(projection: str = "thing", version: int = 1, fingerprint: str = "a" * 16) -> Blueprint:
    """A projection with two fields."""
    return Blueprint(projection, version, fingerprint, TOPIC, (("name", "text"), ("size", "integer")))


def version(entity_id: str = "e", valid_from: int = 10, offset: int = 0, **fields: Any) -> Version:
    """A version; give what matters to the test."""
    row = Version(
        entity_id=entity_id,
        valid_from=valid_from,
        offset=offset,
        partition=0,
        recorded_at=100 + offset,
        refolded_offset=None,
        refolded_at=None,
        event_id=f"event-{offset}",
        event_type="thing.happened",
        correlation_id=None,
        causation_id=None,
        withdraws=None,
        event=b"\x00\xff" + str(offset).encode(),
        state=f'{{"n":{offset}}}',
    )
    return row._replace(**fields)


def head(row: Version, **fields: Any) -> Head:
    """The head of an entity whose last version is ``row``."""
    made = Head(
        entity_id=row.entity_id,
        partition=row.partition,
        state=row.state,
        first_valid=row.valid_from,
        last_valid=row.valid_from,
        last_offset=row.offset,
        versions=1,
        lead=row.valid_from - row.recorded_at,
        withdrawals=0,
        unstored_offset=None,
        unstored_valid=None,
        quarantined_offset=None,
    )
    return made._replace(**fields)


class Part:
    """One partition of a projection, written batch after batch.

    :param store: where to.
    :param claim: the right to write.
    """

    def __init__(self, store: Store, claim: Claim) -> None:
        self.store = store
        self.claim = claim
        self.mark = claim.mark

    def write(self, changes: Changes, reached: Mark | None = None) -> None:
        """Write a batch; by default it covers one more offset."""
        reached = reached or Mark(self.mark.next_offset + 1, self.mark.watermark + 1)
        with self.store.batch(self.claim, self.mark.next_offset, reached) as batch:
            batch.write(changes)
        self.mark = reached


def prepared(
    store: Store, projection: str = "thing", partitions: Sequence[int] = (0,), generation: Generation | None = None
) -> list[Part]:
    """Prepare and claim; return the partitions."""
    claims = store.claim(generation or store.prepare(blueprint(projection)), partitions, THINGS)
    return [Part(store, claims[partition]) for partition in partitions]
