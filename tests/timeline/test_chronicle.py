"""What a reader works out from an entity's rows: the same whether beliefs were kept as rows or not."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from everwhen.ports.answers import AsOf, EntityRows, VersionRow
from everwhen.positions import Basis, Mark
from everwhen.projection.rows import Conflict, Withdrawal
from everwhen.reader.chronicle import Chronicle
from tests import oracle
from tests.longer import times
from tests.oracle import Entry
from tests.timeline.test_timeline import INSTANTS, Rows, cut, fold, logs, reduce


def chronicle(rows: Rows) -> Chronicle:
    """Everything that was stored, as a store gives it."""
    marks = Basis.of("things", {0: Mark(1_000, 1_000)})
    versions = [rows.versions[key] for key in sorted(rows.versions)]
    withdrawals: list[Withdrawal] = rows.withdrawals
    conflicts: list[Conflict] = []
    return Chronicle(EntityRows(marks, rows.head, versions, rows.superseded, withdrawals, conflicts))


def valid_at(rows: list[VersionRow], instant: int) -> VersionRow | None:
    """The version of a history that is valid at an instant, its end that of the next other instant."""
    here = [row for row in rows if row.valid_from <= instant]
    ends = [row.valid_from for row in rows if row.valid_from > instant]
    return here[-1]._replace(valid_to=min(ends, default=None)) if here else None


@given(logs(), st.lists(st.integers(0, 14)), st.sampled_from([0, 1, 2]))
@settings(max_examples=times(240), deadline=None)
def test_folding_gives_what_the_rows_would_have(log: list[Entry], cuts: list[int], depth: int) -> None:
    """State, end and the time at which it was superseded, at every instant and every basis and recorded time."""
    bounded, exact = Rows(), Rows()
    for batch in cut(log, cuts):
        bounded.apply(batch, depth)
        exact.apply(batch, 100)
    folding, kept = chronicle(bounded), chronicle(exact)
    bases = [AsOf(0, Basis.of("things", {0: Mark(offset, 0)})) for offset in range(log[-1].offset + 2)]
    for as_of in [*bases, *(AsOf(0, None, known) for known in range(0, 71, 5))]:
        history = kept.history(as_of)
        for instant in sorted({t + d for t in INSTANTS for d in (-1, 0, 1)}):
            assert folding.fold_at(instant, as_of, fold) == valid_at(history, instant)


@given(logs(), st.lists(st.integers(0, 14)), st.sampled_from([0, 2]))
@settings(max_examples=times(120), deadline=None)
def test_folding_says_what_the_definition_says(log: list[Entry], cuts: list[int], depth: int) -> None:
    """At every basis and recorded time; comparing with what was kept would not show a mistake in what counts at all."""
    rows = Rows()
    for batch in cut(log, cuts):
        rows.apply(batch, depth)
    folding = chronicle(rows)
    asked = [(AsOf(0, Basis.of("things", {0: Mark(offset, 0)})), offset) for offset in range(log[-1].offset + 2)]
    asked += [(AsOf(0, None, known), oracle.basis_of(log, known)) for known in range(0, 71, 5)]
    for as_of, basis in asked:
        for instant in sorted({t + d for t in INSTANTS for d in (-1, 0)}):
            row = folding.fold_at(instant, as_of, fold)
            state = None if row is None or row.state is None else json.loads(row.state)
            assert state == oracle.state(log, instant, basis, reduce)


@given(logs(), st.lists(st.integers(0, 14)), st.sampled_from([0, 1, 2]))
@settings(max_examples=times(240), deadline=None)
def test_a_replay_gives_every_row_back(log: list[Entry], cuts: list[int], depth: int) -> None:
    """Versions and superseded beliefs, as they are when everything is kept."""
    bounded, exact = Rows(), Rows()
    for batch in cut(log, cuts):
        bounded.apply(batch, depth)
        exact.apply(batch, 100)
    replayed, kept = chronicle(bounded).replayed(fold).rows, chronicle(exact).rows
    assert replayed.versions == kept.versions
    assert sorted(replayed.superseded, key=repr) == sorted(kept.superseded, key=repr)


@given(logs())
@settings(max_examples=times(240), deadline=None)
def test_beliefs_cover_the_plane_once(log: list[Entry]) -> None:
    """Every point of both axes lies in one belief with the oracle's state, or in none before the first event."""
    rows = Rows()
    for entry in log:
        rows.apply([entry], 100)
    beliefs = chronicle(rows).beliefs()
    for basis in range(log[-1].offset + 2):
        events = oracle.events(log, basis)
        held = [b for b in beliefs if b.made.offset < basis and (b.ended is None or basis <= b.ended.offset)]
        for instant in sorted({t + d for t in INSTANTS for d in (-1, 0, 1)}):
            here = [b for b in held if b.row.valid_from <= instant and (b.valid_to is None or instant < b.valid_to)]
            assert len(here) == any(event.valid_at <= instant for event in events)
            if here:
                state = oracle.state(log, instant, basis, reduce)
                assert here[0].row.state == (None if state is None else json.dumps(state))
