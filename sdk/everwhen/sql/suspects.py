"""The columns of ``checkpoints`` that outlive a process which dies: how often, and at which records."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Table, and_, case, update

from everwhen.ports.store import Claim
from everwhen.sql.claims import here, not_ours, ours, place
from everwhen.sql.database import Database
from everwhen.sql.tables import SharedTables


class Suspects:
    """Notes what is about to be applied, and takes it back. Thread-safe.

    Claiming counts the attempt, and every batch sets all of it back; see :mod:`everwhen.sql.checkpoints`.
    """

    def __init__(self, database: Database, shared: SharedTables) -> None:
        self._database = database
        self._table = shared.checkpoints

    def note(self, claim: Claim, offset: int, records: int) -> int:
        """Note that these records are about to be applied; return in how many claims that was so.

        :raises Fenced: if the partition was claimed by somebody else.
        """
        rows = self._table.c
        again = rows.suspect_deaths + case((rows.suspect_epoch == claim.epoch, 0), else_=1)
        noted = (
            update(self._table)
            .where(ours(self._table, claim))
            .values(
                suspect_offset=offset,
                suspect_records=records,
                suspect_deaths=case((_same(self._table, offset, records), again), else_=1),
                suspect_epoch=claim.epoch,
            )
            .returning(rows.suspect_deaths)
        )
        with self._database.core(f"noting what is applied next of {place(claim)}") as connection:
            deaths = connection.execute(noted).scalar()
        if deaths is None:
            raise not_ours(claim)
        return int(deaths)

    def take_back(self, claim: Claim, offset: int, records: int) -> None:
        """Count one death less at these records, whoever owns the partition now."""
        rows = self._table.c
        taken = update(self._table).where(
            here(self._table, claim),
            _same(self._table, offset, records),
            rows.suspect_deaths > 0,
        )
        mine = rows.suspect_epoch == claim.epoch
        with self._database.core(f"taking back a note about {claim.generation.topic}") as connection:
            # Without its epoch, noting the same again under this claim counts again.
            connection.execute(
                taken.values(
                    suspect_deaths=rows.suspect_deaths - 1, suspect_epoch=case((mine, 0), else_=rows.suspect_epoch)
                )
            )

    def release(self, claims: Sequence[Claim]) -> None:
        """Count one attempt less for each claim that still holds."""
        if not claims:
            return
        rows = self._table.c
        with self._database.core(f"releasing partitions of {claims[0].generation.topic}") as connection:
            # One by one and always in the same order, so that two workers cannot wait for each other in a circle.
            for claim in sorted(claims, key=lambda each: each.partition):
                held = update(self._table).where(ours(self._table, claim), rows.attempts > 0)
                connection.execute(held.values(attempts=rows.attempts - 1))


def _same(table: Table, offset: int, records: int) -> ColumnElement[bool]:
    return and_(table.c.suspect_offset == offset, table.c.suspect_records == records)
