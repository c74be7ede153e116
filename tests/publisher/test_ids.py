"""Ids that nobody chose."""

from __future__ import annotations

from everwhen.publisher.ids import RandomIds


def test_no_two_publishers_give_the_same_id() -> None:
    """An id that comes again is a duplicate, and what it came with would not be applied."""
    drawn = [ids.next() for ids in (RandomIds() for _ in range(20)) for _ in range(20)]
    assert len(set(drawn)) == len(drawn)
