"""The tables themselves: making them, upgrading them, and saying whether they are as they must be. Part of the port."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Upgraded(NamedTuple):
    """What an upgrade did."""

    found: int
    """The schema version that the tables were of."""
    reached: int
    """The one that they are of now; the same if nothing was to be done."""
    statements: Sequence[str]
    """What was executed."""


class Built(NamedTuple):
    """One generation, as the store lists it."""

    projection: str
    number: int
    version: int
    state: str
    topic: str


class Condition(NamedTuple):
    """What a store's tables are like."""

    version: int | None
    """Their schema version; ``None`` if there are none, or it cannot be read."""
    works_with: int
    """The version that this package works with."""
    generations: Sequence[Built]
    problems: Sequence[str]
    """What is not as it must be, each with what to do about it."""


class StoreSchema(Protocol):
    """The tables of a store. Thread-safe."""

    def create(self) -> bool:
        """Create the tables that all projections share; return whether they were missing.

        :raises StoreMismatch: if they are there in another version.
        :raises StoreUnavailable: if the database cannot be reached.
        """
        ...

    def grant(self, role: str, *, writing: bool) -> None:
        """Let a role of the database read, or read and write, all tables: also those that are made later by this one.

        :raises ArgumentError: if the database has no roles.
        :raises StoreError: if there is no such role, or these tables are not ours to grant.
        """
        ...

    def upgrade(self) -> Upgraded:
        """Bring the tables to the version of this package, in one transaction, and fence every worker.

        :raises StoreMismatch: if they are of a newer version, or of one that cannot be upgraded.
        :raises StoreUnavailable: if the database failed, or somebody holds the tables for too long; nothing was done.
        """
        ...

    def script(self) -> Sequence[str]:
        """Return what :meth:`upgrade` would execute, transaction included, for somebody who does that by hand.

        :raises StoreMismatch: as for :meth:`upgrade`.
        """
        ...

    def check(self, *, writing: bool = True) -> Condition:
        """Compare what is there with what must be; change nothing.

        :param writing: also say which rights are missing to write.
        """
        ...
