"""Every seeded bug."""

from __future__ import annotations

from tests.mutation import (
    bytes_bugs,
    continuity_bugs,
    evolution_bugs,
    fence_bugs,
    generation_bugs,
    log_bugs,
    outbox_bugs,
    passage_bugs,
    publisher_bugs,
    reader_bugs,
    store_bugs,
    timeline_bugs,
    worker_bugs,
)
from tests.mutation.bug import Bug

GUARANTEE: list[Bug] = [
    *fence_bugs.BUGS,
    *worker_bugs.BUGS,
    *continuity_bugs.BUGS,
    *generation_bugs.BUGS,
    *log_bugs.BUGS,
    *publisher_bugs.BUGS,
    *outbox_bugs.BUGS,
    *bytes_bugs.BUGS,
    *evolution_bugs.BUGS,
]
"""Those in what exactly once, reading, publishing and outages rest on."""

BUGS: list[Bug] = [*timeline_bugs.BUGS, *passage_bugs.BUGS, *store_bugs.BUGS, *reader_bugs.BUGS, *GUARANTEE]
