"""The outbox port: events that wait in a service's own database, and the shards in which relays take them on.

Adapter: :mod:`everwhen.sql.outbox`.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from everwhen.instants import Micros
from everwhen.ports.log import Header

SHARDS: Final = 32
"""Into how many parts the key space is divided; so many relays of one topic can share the work."""


def shard_of(key: bytes) -> int:
    """Return the part of the key space that an entity is in.

    It is kept in each row, so it must be the same for ever: CRC-32 (ISO 3309) modulo :data:`SHARDS`.
    """
    return zlib.crc32(key) % SHARDS


class Entry(NamedTuple):
    """An event as an outbox takes it."""

    topic: str
    entity_id: str
    event_id: str
    type: str
    value: bytes
    headers: Sequence[tuple[str, bytes]]
    queued_at: Micros
    """By the writer's clock. Entries of one entity never go back in it, whatever the clock does."""


class Pending(NamedTuple):
    """An event that is not known to stand in the log."""

    shard: int
    entity_id: str
    version: int
    queued_at: Micros
    value: bytes
    headers: Sequence[Header]


class Backlog(NamedTuple):
    """How much waits."""

    events: int
    oldest: Micros | None
    """When the first of them was queued; ``None`` if nothing waits."""


class Standing(NamedTuple):
    """How one topic of an outbox stands."""

    topic: str
    events: int
    """How many wait."""
    oldest: Micros | None
    """When the first of them was queued; ``None`` if nothing waits."""
    relays: int
    """How many have not left, and were not found to be silent by another one."""
    shards: int
    """How many of :data:`SHARDS` are some relay's."""
    silent: Micros | None
    """For how long no relay was heard of; ``None`` if there is none."""


class OutboxWriter(Protocol):
    """Puts events into an outbox, inside a transaction of the caller's. Thread-safe."""

    def add(self, transaction: Any, entry: Entry, expected: int | None) -> int:
        """Add an event; return the version of its entity that it is.

        :raises VersionConflict: if ``expected`` is not the entity's version.
        :raises StoreConflict: if the database undid the transaction because of another one.
        :raises StoreError: if it failed otherwise.
        """
        ...

    def version(self, transaction: Any, topic: str, entity_id: str) -> int:
        """Return how many events the entity has had; 0 for one that is new."""
        ...

    def close(self) -> None:
        """Free everything. Idempotent."""
        ...


class RelayStore(Protocol):
    """Gives a relay what it has to send. Used by one thread, but for :meth:`renew`."""

    @property
    def address(self) -> str:
        """Where it is, without secrets, for messages."""
        ...

    def check(self) -> None:
        """Make sure that the tables are there.

        :raises StoreMismatch: if they are missing, or of another schema version.
        """
        ...

    def share(self, owner: str, held: Mapping[int, int], lease: float) -> dict[int, int]:
        """Renew, give back and take shards, so that all relays of the topic have about as many.

        :param owner: this relay's token.
        :param held: the epoch of each shard that it thinks it has.
        :param lease: for how many seconds a relay may be silent before others take its shards.
        :return: the epoch of each shard that it has now.
        """
        ...

    def renew(self, owner: str, held: Mapping[int, int]) -> None:
        """Say that this relay lives, without giving or taking anything. Any thread may call it."""
        ...

    def pending(self, shards: Collection[int], records: int) -> list[Pending]:
        """Return what waits in these shards, for each entity from its first on without a hole.

        :param records: about how many at most.
        """
        ...

    def done(self, owner: str, held: Mapping[int, int], sent: Sequence[Pending], at: Micros) -> set[int]:
        """Note in one transaction that these stand in the log.

        :param held: the epoch of each shard that they are in.
        :return: the shards that are still held under that epoch. Of the others nothing is noted.
        """
        ...

    def leave(self, owner: str) -> None:
        """Give all shards back."""
        ...

    def remove(self, before: Micros, records: int) -> int:
        """Remove rows that were sent before an instant; return how many were looked at.

        An entity's last row stays without its payload: it says which version the entity has.
        """
        ...

    def backlog(self) -> Backlog:
        """Say how much waits."""
        ...

    def wait(self, seconds: float) -> bool:
        """Wait for so long at most; return whether the database has told that something was published."""
        ...

    def close(self) -> None:
        """Free everything. Idempotent."""
        ...
