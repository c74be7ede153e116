"""What every store must know of the past as a whole.

A part of the suite in :mod:`everwhen.testing.store_conformance`.
"""

from __future__ import annotations

import pytest

from everwhen.errors import ArgumentError
from everwhen.ports.answers import AsOf, EntityRows
from everwhen.ports.store import Store
from everwhen.positions import Basis, Mark
from everwhen.projection.rows import Changes, Conflict, Superseded, Withdrawal
from everwhen.testing.store_oracle import TOPIC
from everwhen.testing.store_samples import Part, head, prepared, version


def changed(store: Store, since: Basis, valid_at: int = 50) -> dict[str, int]:
    """From where on each entity changed."""
    with store.reader("thing").changes(since, valid_at) as (_, stream):
        return {each.found.head.entity_id: each.valid_from for each in stream if each.found.head is not None}


def at(next_offset: int, known_at: int | None = None) -> Basis:
    """A basis of one partition."""
    return Basis.of(TOPIC, {0: Mark(next_offset, 1_000)}, known_at)


class StoreKnowledge:
    """Everything about one entity, and what changed since a basis; needs the fixture ``store``."""

    def test_everything_about_an_entity_comes_in_one_piece(self, store: Store) -> None:
        """All its rows, in every table, and nobody else's; nothing for one that is not there."""
        (part,) = prepared(store)
        rows = [version("e", 20, 1), version("e", 10, 0, refolded_offset=4, refolded_at=104)]
        gone = Superseded(version("e", 15, 2), 3, 103, withdrawn=True)
        old = Superseded(version("e", 10, 0), 4, 104, withdrawn=False)
        withdrawal = Withdrawal("e", "event-2", 3, 0, 103, "r", "gone", b"\x00why")
        conflict = Conflict("e", "event-1", 5, 0, 105, 99, "thing.happened", b"other")
        known = head(rows[0], first_valid=10, versions=2, withdrawals=1, quarantined_offset=9, quarantined_at=109)
        part.write(
            Changes(
                inserted=[*rows, version("f", 1, 6)],
                superseded=[gone, old, Superseded(version("f", 1, 7), 8, 108, withdrawn=True)],
                withdrawals=[withdrawal],
                conflicts=[conflict],
                heads=[known, head(version("f", 1, 6), pruned_before=1)],
            )
        )
        reader = store.reader("thing")
        found = reader.rows("e")
        assert (found.marks, found.head, found.versions) == (reader.marks(), known, [rows[1], rows[0]])
        assert sorted(found.superseded) == [old, gone]
        assert (found.withdrawals, found.conflicts) == ([withdrawal], [conflict])
        other = reader.rows("f").head
        assert other is not None
        assert other.pruned_before == 1
        assert reader.rows("nobody") == EntityRows(reader.marks(), None, [], [], [], [], [])

    def test_what_changed_is_what_counts_now_or_counted_then(self, store: Store) -> None:
        """An event that came, from its instant on; one that was withdrawn; neither for one that came and went."""
        part = told(store)
        assert changed(store, at(0)) == {"came": 10, "late": 5, "moved": 30}
        assert changed(store, at(1)) == {"came": 10, "late": 5, "moved": 10}
        assert changed(store, at(3)) == {"late": 5, "moved": 10}
        assert changed(store, at(4)) == {"moved": 10}
        assert changed(store, part_end(part)) == {}

    def test_what_changed_since_an_instant(self, store: Store) -> None:
        """A basis may leave out what was recorded after an instant."""
        told(store)
        assert changed(store, at(8, known_at=102)) == {"late": 5, "moved": 10}
        assert changed(store, at(8, known_at=99)) == {"came": 10, "late": 5, "moved": 30}
        assert changed(store, at(8, known_at=500)) == {}

    def test_what_changed_comes_with_what_is_believed_now(self, store: Store) -> None:
        """In the order of the ids, each as at the instant, and with the marks of the snapshot."""
        told(store)
        reader = store.reader("thing")
        with reader.changes(at(0), 7) as (marks, stream):
            found = [each.found for each in stream]
        assert marks == reader.marks()
        assert found == [reader.find(entity, AsOf(7)) for entity in ("came", "late", "moved")]

    def test_changes_since_a_basis_of_another_topic_are_refused(self, store: Store) -> None:
        """Its offsets mean something else."""
        prepared(store)
        with (
            pytest.raises(ArgumentError, match="of topic others"),
            store.reader("thing").changes(Basis.of("others", {}), 0),
        ):
            pass


def told(store: Store) -> Part:
    """Offsets 0 to 7: entities that came, got a late event, moved one by a correction, and came and went."""
    (part,) = prepared(store)
    came, late = version("came", 10, 2), [version("late", 10, 1), version("late", 5, 3)]
    moved, instead = version("moved", 10, 0), version("moved", 30, 4, withdraws="event-0")
    went = version("went", 10, 5)
    part.write(
        Changes(
            inserted=[came, *late, instead],
            superseded=[
                Superseded(moved, 4, 104, withdrawn=True),
                Superseded(went, 6, 106, withdrawn=True),
                Superseded(version("came", 99, 7), 7, 107, withdrawn=True),
            ],
            heads=[
                head(came, last_offset=7),
                head(late[0], first_valid=5, last_offset=3, versions=2),
                head(instead, withdrawals=1),
                head(went, first_valid=None, last_valid=None, state=None, last_offset=6, versions=0, withdrawals=1),
            ],
        ),
        Mark(8, 107),
    )
    return part


def part_end(part: Part) -> Basis:
    """The basis of everything."""
    return Basis.of(TOPIC, {0: part.mark})
