"""Rows of a timeline: what is made by places is what would be made by names."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from everwhen.projection.rows import Version

VALUES = st.builds(
    Version,
    **{name: st.integers() for name in ("valid_from", "offset", "partition", "recorded_at")},
    **{name: st.none() | st.integers() for name in ("refolded_offset", "refolded_at")},
    **{name: st.text() for name in ("entity_id", "event_id", "event_type")},
    **{name: st.none() | st.text() for name in ("correlation_id", "causation_id", "withdraws", "state")},
    event=st.binary(),
)


@given(VALUES, VALUES, st.none() | st.text())
def test_an_event_folded_again_differs_in_its_state_and_in_what_made_it(
    row: Version, by: Version, state: str | None
) -> None:
    """All other columns stay as they are, whatever the columns are called and wherever they stand."""
    wanted = row._replace(state=state, refolded_offset=by.offset, refolded_at=by.recorded_at)
    folded = row.refolded(state, by)
    assert folded == wanted
    assert type(folded) is Version
