"""How the consumers of one group, in any number of processes, share a topic's partitions.

Each member renews a row of its own and looks at the others' from time to time. Every member's quota follows from the
list of members alone: who holds more gives the surplus up, who holds less takes what is free. No partition has two
holders in the table; but a member that was dropped learns of it only at its next look, so nothing may rest on
this alone: what guarantees is the fence in the store.

Times are of the monotonic clock, which all processes of a machine share. A row from before a restart of the machine
has a time that no living member can have, and is dropped as well.
"""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, NamedTuple

from everwhen.local.database import writing

if TYPE_CHECKING:
    import sqlite3

_LOOKS_PER_SESSION = 12


class Shares(NamedTuple):
    """What one look at the group said."""

    lost: frozenset[int]
    """Held so far, and by now perhaps another's."""
    surplus: frozenset[int]
    """Held, and to be given up by :meth:`Membership.release`."""
    gained: frozenset[int]
    """Free so far, and ours from now on."""


class Membership:
    """One consumer's place in its group. Used by one thread."""

    def __init__(self, connection: sqlite3.Connection, topic: int, partitions: int, group: str, session: float) -> None:
        self._connection = connection
        self._group = (topic, group)
        self._partitions = partitions
        self._session = session
        self._member = uuid.uuid4().hex
        self._held: frozenset[int] = frozenset()
        self._next_look = 0.0

    @property
    def next_look(self) -> float:
        """When :meth:`look` is due, in seconds of the monotonic clock."""
        return self._next_look

    def look(self) -> Shares:
        """Renew the membership, drop members that stopped, and settle what is ours.

        :raises sqlite3.Error: if the file cannot be written.
        """
        with writing(self._connection):
            now = time.monotonic()
            self._drop_the_silent(now)
            self._renew(now)
            owned = self._owned()
            mine = frozenset(partition for partition, member in owned.items() if member == self._member)
            lost = self._held - mine
            quota = self._quota()
            free = sorted(set(range(self._partitions)) - owned.keys())
            gained = frozenset(free[: max(0, quota - len(mine))])
            self._take(gained)
        self._held = mine | gained
        self._next_look = now + self._session / _LOOKS_PER_SESSION
        return Shares(lost, frozenset(sorted(mine)[quota:]), gained)

    def release(self, partitions: frozenset[int]) -> None:
        """Give up partitions that we hold."""
        with writing(self._connection):
            self._connection.executemany(
                "DELETE FROM shares WHERE topic = ? AND group_name = ? AND partition = ? AND member = ?",
                [(*self._group, partition, self._member) for partition in partitions],
            )
        self._held -= partitions

    def leave(self) -> None:
        """Give up everything and leave the group."""
        with writing(self._connection):
            self._forget([self._member])

    def _drop_the_silent(self, now: float) -> None:
        silent = self._connection.execute(
            "SELECT member FROM members WHERE topic = ? AND group_name = ? AND NOT ? - beat_at BETWEEN 0 AND session",
            (*self._group, now),
        ).fetchall()
        self._forget([member for (member,) in silent])

    def _forget(self, members: list[str]) -> None:
        rows = [(*self._group, member) for member in members]
        self._connection.executemany("DELETE FROM shares WHERE topic = ? AND group_name = ? AND member = ?", rows)
        self._connection.executemany("DELETE FROM members WHERE topic = ? AND group_name = ? AND member = ?", rows)

    def _renew(self, now: float) -> None:
        # The order of joining decides who has one partition more: a newcomer must not move what others hold.
        self._connection.execute(
            "INSERT INTO members (topic, group_name, member, joined, beat_at, session) VALUES (?1, ?2, ?3, "
            "(SELECT coalesce(max(joined), 0) + 1 FROM members WHERE topic = ?1 AND group_name = ?2), ?4, ?5) "
            "ON CONFLICT DO UPDATE SET beat_at = excluded.beat_at",
            (*self._group, self._member, now, self._session),
        )

    def _owned(self) -> dict[int, str]:
        return dict(
            self._connection.execute(
                "SELECT partition, member FROM shares WHERE topic = ? AND group_name = ?", self._group
            ).fetchall()
        )

    def _quota(self) -> int:
        members = self._connection.execute(
            "SELECT member FROM members WHERE topic = ? AND group_name = ? ORDER BY joined", self._group
        ).fetchall()
        rank = members.index((self._member,))
        return self._partitions // len(members) + (rank < self._partitions % len(members))

    def _take(self, partitions: frozenset[int]) -> None:
        self._connection.executemany(
            "INSERT INTO shares (topic, group_name, partition, member) VALUES (?, ?, ?, ?)",
            [(*self._group, partition, self._member) for partition in partitions],
        )
