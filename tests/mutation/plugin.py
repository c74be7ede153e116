"""A pytest plugin for a run on a copy of the sources: makes sure of the copy, and has examples tried and not shrunk.

Loaded with ``-p tests.mutation.plugin``, before any test module.
"""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import Phase, settings

import everwhen
from tests.mutation.bug import SOURCES_VARIABLE

_expected = Path(os.environ[SOURCES_VARIABLE]).resolve()
if _expected not in Path(everwhen.__file__).resolve().parents:
    raise ImportError(f"everwhen comes from {everwhen.__file__}, not from {_expected}: nothing would be tested")

# No database: what a bug made fail must not be tried again by the next run of the tests.
settings.register_profile("mutation", phases=(Phase.explicit, Phase.generate), database=None, print_blob=False)
settings.load_profile("mutation")
