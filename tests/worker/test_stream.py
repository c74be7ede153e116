"""Records in portions: each comes once and in order, whatever can be read of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from everwhen.errors import MalformedRecord
from everwhen.ports.log import Record
from everwhen.worker import stream
from everwhen.worker.intake import Intake
from everwhen.worker.stream import Ahead, portions
from tests import ledger
from tests.ledger import Noted, Writer

GOOD, BROKEN, AHEAD = "good", "broken", "ahead"
SIZE: Final = 3
VALUES: Final = {BROKEN: b"nothing", AHEAD: b"\xc3\x01" + bytes(8)}


@pytest.fixture(autouse=True)
def _small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have several portions of few records."""
    monkeypatch.setattr(stream, "_PORTION", SIZE)


def make(directory: Path, kinds: Sequence[str], times: Sequence[int]) -> tuple[Intake, list[Record]]:
    """Records at offsets 0, 1, 2 … of these kinds, and what reads them."""
    topic = ledger.topic(directory)
    writer = Writer(topic)
    given = zip(kinds, times, strict=False)
    made = [
        (kind, writer.record(offset, "e", Noted(text=""), occurred_at=0, recorded_at=time))
        for offset, (kind, time) in enumerate(given)
    ]
    records = [record._replace(value=VALUES.get(kind, record.value)) for kind, record in made]
    return Intake(ledger.projection(topic)), records


@given(
    st.lists(st.sampled_from([GOOD, GOOD, GOOD, BROKEN]), max_size=12),
    st.lists(st.integers(0, 9), min_size=12, max_size=12),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_record_comes_once_in_order_with_a_time_that_does_not_go_back(
    tmp_path: Path, kinds: list[str], times: list[int]
) -> None:
    """A portion ends when it is full, and in front of a record that cannot be read, which comes with it."""
    intake, records = make(tmp_path / "schemas", kinds, times)
    came: list[tuple[str, int, int]] = []
    for portion in portions(intake, records, 4):
        assert len(portion.read) <= SIZE
        came += [(GOOD, row.offset, row.recorded_at) for row, *_ in portion.read]
        if portion.unread is not None:
            record, unread = portion.unread
            assert (record.offset, type(unread.error)) == (unread.offset, MalformedRecord)
            came.append((BROKEN, unread.offset, unread.recorded_at))
    latest = list(accumulate((record.timestamp for record in records), max, initial=4))[1:]
    assert came == [(kind, offset, latest[offset]) for offset, kind in enumerate(kinds)]


@pytest.mark.parametrize("before", [0, 1, SIZE, SIZE + 1])
def test_a_schema_that_is_not_known_yet_ends_it(tmp_path: Path, before: int) -> None:
    """It is said how many records come before it, portions that were read included, and which record it is."""
    intake, records = make(tmp_path / "schemas", [*[GOOD] * before, AHEAD, GOOD], [0] * (before + 2))
    with pytest.raises(Ahead) as raised:
        list(portions(intake, records, 0))
    assert raised.value.before == before
    assert f"[0]@{before}," in str(raised.value.error)
