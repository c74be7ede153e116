"""For tests of Everwhen's adapters and of its users: given/when/then, conformance suites, and real parts to run on.

``given`` needs no pytest; fixtures are in :mod:`everwhen.testing.plugin`. Names are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from everwhen.testing.scenario import Scenario, at, correction, given, retraction
else:

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module 'everwhen.testing' has no attribute {name!r}")
        from everwhen.testing import scenario

        return getattr(scenario, name)


__all__ = ["Scenario", "at", "correction", "given", "retraction"]
