"""How much is called for each event and question, compared with what was committed."""

from __future__ import annotations

import json

from benchmarks import calls


def test_publishing_projecting_and_asking_call_no_more_than_they_did() -> None:
    """A tenth more is a slow-down that no timing on a busy machine would show; a tenth less is worth being kept."""
    committed, counted = json.loads(calls.COMMITTED.read_text()), calls.count()
    assert counted.keys() == committed.keys()
    for name, before in committed.items():
        now = counted[name]
        assert now <= 1.1 * before, (
            f"{name}: {now:.1f} calls, and {before} were committed; find out what is called more"
        )
        assert now >= 0.9 * before, f"{name}: {now:.1f} calls instead of {before}: python -m benchmarks.calls --write"
