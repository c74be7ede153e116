"""The names of the metrics: those on the page, those in the code and those that are served are the same."""

from __future__ import annotations

import re
from pathlib import Path

from prometheus_client import CollectorRegistry

from everwhen.metrics import METRICS, RELAY_METRICS, Metrics, RelayMetrics
from everwhen.metrics.names import TALLIED
from everwhen.ports.outbox import Backlog
from everwhen.projection import Tally

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
_ROW = re.compile(r"^\| `(everwhen_\w+)` \| (\w+) \| ([\w, ]+) \| (.*) \|$", re.MULTILINE)


def test_the_page_lists_every_metric_as_it_is() -> None:
    """Name, kind, labels and meaning; a dashboard is written after the page."""
    documented = _ROW.findall(PAGE.read_text())
    assert documented == [
        (each.name, each.kind, ", ".join(each.labels), each.meaning) for each in (*METRICS, *RELAY_METRICS)
    ]


def test_what_is_served_is_what_is_listed() -> None:
    """With the standard suffixes: a counter's family is its name without _total."""
    registry: CollectorRegistry = Metrics("account", "bank").registry
    served = {(family.name, family.type) for family in registry.collect() if family.name.startswith("everwhen_")}
    assert served == {(each.name.removesuffix("_total"), each.kind) for each in METRICS}
    assert all(each.name.endswith("_total") == (each.kind == "counter") for each in METRICS)


def test_what_a_relay_serves_is_what_is_listed() -> None:
    """As above, for a relay."""
    metrics = RelayMetrics("bank")
    metrics.waiting(Backlog(0, None))
    served = {
        (family.name, family.type) for family in metrics.registry.collect() if family.name.startswith("everwhen_")
    }
    assert served == {(each.name.removesuffix("_total"), each.kind) for each in RELAY_METRICS}
    assert all(each.name.endswith("_total") == (each.kind == "counter") for each in RELAY_METRICS)


def test_every_count_of_a_tally_has_a_metric() -> None:
    """A count that is added to the tally later must not be forgotten."""
    assert list(TALLIED) == list(Tally.__dataclass_fields__)
