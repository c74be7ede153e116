"""Every seeded bug."""

from __future__ import annotations

from tests.mutation import reader_bugs, store_bugs, timeline_bugs
from tests.mutation.bug import Bug

BUGS: list[Bug] = [*timeline_bugs.BUGS, *store_bugs.BUGS, *reader_bugs.BUGS]
