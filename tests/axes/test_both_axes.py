"""Store and reader against the oracle, on both databases: every breakpoint of both axes and a microsecond beside it."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from everwhen.instants import from_micros
from everwhen.reader import Answer
from tests import oracle
from tests.axes.checks import check_every_basis, check_history, check_join, check_known_at, check_snapshots
from tests.axes.logs import Log, logs
from tests.axes.world import World, instants_around, shown
from tests.ledger import Ledger
from tests.longer import times

LOGS = {"sqlite": times(110), "postgres": times(40)}
"""How many logs each world gets; there are four of SQLite and two of PostgreSQL."""


def run(world: World, data: st.DataObject) -> Log | None:
    """Draw a log, apply it in random batches with restarts, and ask everything; return it if it holds an event."""
    mark = world.owned.mark
    log = data.draw(logs(world.topic, 0, mark.next_offset, mark.watermark))
    if world.appends:
        log.entries = {entity: oracle.appended(entries) for entity, entries in log.entries.items()}
    cuts = data.draw(st.sets(st.integers(0, 12)), label="cuts")
    restarts = data.draw(st.sets(st.integers(0, 12), max_size=3), label="restarts")
    depth = data.draw(st.sampled_from([0, 1, 2, 32]), label="depth")
    # The last draw: after it, what is applied is also returned.
    joined_at = data.draw(st.integers(0, 24), label="offset of a join")
    middle = len(log.records) // 2
    world.apply(log.records[:middle], cuts, restarts, depth)
    asked: list[tuple[str, Answer[Ledger]]] = [
        (entity, world.reader.get(entity, valid_at=from_micros(instant)))
        for entity in log.entries
        for instant in instants_around(log)
    ]
    world.apply(log.records[middle:], cuts, restarts, depth)
    if not log.entries:
        return None
    check_every_basis(world, log)
    check_known_at(world, log)
    check_history(world, log)
    check_join(world, log, None)
    check_join(world, log, min(log.end, mark.next_offset + joined_at))
    for entity, answer in asked:
        again = world.reader.get(entity, valid_at=answer.valid_at, basis=str(answer.basis))
        assert (shown(again), again.status, again.valid_from, again.valid_to) == (
            shown(answer),
            answer.status,
            answer.valid_from,
            answer.valid_to,
        )
    return log


def test_every_answer_equals_the_oracle_at_every_breakpoint_of_both_axes(
    world: World, request: pytest.FixtureRequest
) -> None:
    """get, history, join and snapshot, at every basis and recorded time; every basis asked again gives the same."""
    told: list[Log] = []

    @given(st.data())
    @settings(max_examples=LOGS[world.kind], deadline=None, suppress_health_check=list(HealthCheck), database=None)
    def check(data: st.DataObject) -> None:
        log = run(world, data)
        if log is not None:
            told.append(log)

    check()
    for last in {log.end: log for log in (told[0], told[len(told) // 2], told[-1])}.values():
        check_snapshots(world, told, last)
