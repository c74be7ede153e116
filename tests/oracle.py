"""The meaning of an answer, written down as directly as it can be. Everything else is tested against it.

It imports nothing from the package. A log is a list of records in offset order; ``reduce(state, record)`` is the
user's function.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any, NamedTuple


class Entry(NamedTuple):
    """One record of an entity's log."""

    offset: int
    recorded_at: int
    valid_at: int
    event_id: str
    event: Any
    withdraws: str | None = None
    """The event id that it withdraws, for a correction or a retraction."""
    contributes: bool = True
    """False for a retraction: it has no event of its own."""


def events(log: Iterable[Entry], basis: int) -> list[Entry]:
    """The entries that are folded at a basis: first occurrences below it that nothing below it withdraws."""
    first: dict[str, Entry] = {}
    for entry in log:
        if entry.offset < basis:
            first.setdefault(entry.event_id, entry)
    withdrawn = {entry.withdraws for entry in first.values()}
    left = [entry for entry in first.values() if entry.contributes and entry.event_id not in withdrawn]
    return sorted(left, key=lambda entry: (entry.valid_at, entry.offset))


def state(log: Iterable[Entry], valid_at: int, basis: int, reduce: Callable[[Any, Any], Any]) -> Any:
    """The state at an instant, as known at a basis (the offset that comes next)."""
    folded = None
    for entry in events(log, basis):
        if entry.valid_at <= valid_at:
            folded = reduce(folded, entry.event)
    return folded


def is_good(log: Iterable[Entry], basis: int, reduce: Callable[[Any, Any], Any], bad: Collection[int] = ()) -> bool:
    """Whether a basis holds no record that cannot be read (``bad``) and its events can be folded."""
    folded = None
    try:
        for entry in events(log, basis):
            folded = reduce(folded, entry.event)
    except ValueError:
        return False
    return all(offset >= basis for offset in bad)


def good_basis(log: Iterable[Entry], basis: int, reduce: Callable[[Any, Any], Any], bad: Collection[int] = ()) -> int:
    """The last good basis up to this one. At one that is not good the answer is that of the last good one before."""
    return next(each for each in range(basis, -1, -1) if is_good(log, each, reduce, bad))


def basis_of(log: Iterable[Entry], known_at: int) -> int:
    """The basis that holds exactly the records with ``recorded_at <= known_at`` (it never goes back in a log)."""
    return max((entry.offset + 1 for entry in log if entry.recorded_at <= known_at), default=0)


def appended(log: Iterable[Entry]) -> list[Entry]:
    """The log under ``late="append"``: none counts from before the latest of those that count when it comes."""
    placed: list[Entry] = []
    for entry in log:
        others = [each for each in events([*placed, entry], entry.offset + 1) if each.offset != entry.offset]
        latest = max((each.valid_at for each in others), default=entry.valid_at)
        placed.append(entry._replace(valid_at=max(entry.valid_at, latest)))
    return placed
