"""What a side's process says of itself is its own."""

from __future__ import annotations

import gc

from benchmarks.harness.process import alone, peak_memory, together


def test_a_process_does_not_count_what_its_parent_took() -> None:
    """Or a worker's memory would be that of whoever measures it."""
    much = bytearray(400_000_000)  # filled with zeros, page by page
    assert peak_memory() > 400
    assert alone(peak_memory) < 300
    del much


def test_processes_run_with_a_workers_garbage_collector() -> None:
    """Each side in the same way."""
    assert together([gc.get_threshold, gc.get_threshold]) == [(200_000, 20, 100)] * 2
