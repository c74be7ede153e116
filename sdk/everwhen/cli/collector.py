"""The collector of cycles, in processes that are ours."""

from __future__ import annotations

import gc


def collect_rarely() -> None:
    """Have the collector look for cycles less often, for as long as this process lives.

    Hundreds of thousands of objects wait in a worker's buffer, none of them in a cycle: by default the collector walks
    over them again and again, for a quarter of a busy worker's time. Cycles that handlers leave behind wait for longer
    then, until there are 200,000 objects.
    """
    gc.set_threshold(200_000, 20, 100)
