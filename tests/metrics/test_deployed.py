"""The dashboard and the alert rules speak of metrics and labels that there are, and of all that matter."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from everwhen.metrics import METRICS, RELAY_METRICS

ROOT = Path(__file__).parents[2]
DASHBOARD = ROOT / "deploy" / "grafana" / "everwhen.json"
RULES = ROOT / "deploy" / "prometheus" / "alerts.yml"
_SUFFIXES = {"counter": ("",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
OURS = {each.name + suffix: each for each in (*METRICS, *RELAY_METRICS) for suffix in _SUFFIXES[each.kind]}
STANDARD = {"up", "process_resident_memory_bytes", "process_cpu_seconds_total"}
"""What Prometheus makes itself, and what prometheus-client says of a process."""
SCRAPED = {"job", "instance"}
"""Labels that Prometheus adds."""
WORDS = {
    *("sum", "max", "min", "rate", "increase", "deriv", "histogram_quantile", "label_values"),
    *("by", "on", "and", "or", "bool", "group_left"),
}
_STRING = re.compile(r'"[^"]*"')
_RANGE = re.compile(r"\[[^\]]*\]")
_SELECTOR = re.compile(r"(\w+)\{([^}]*)\}")
_MATCHER = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
_GROUPING = re.compile(r"\b(?:by|on|group_left)\s*\(([^)]*)\)")
_NAME = re.compile(r"[A-Za-z_]\w*")


def boards() -> list[dict[str, Any]]:
    """The dashboard's panels that ask something."""
    return [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]


def rules() -> list[dict[str, Any]]:
    """The alert rules."""
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def asked() -> list[tuple[str, str]]:
    """Every expression, with where it stands."""
    variables = json.loads(DASHBOARD.read_text())["templating"]["list"]
    found = [(f"variable {each['name']}", each["definition"]) for each in variables if each["type"] == "query"]
    found += [(f"panel {each['title']}", target["expr"]) for each in boards() for target in each["targets"]]
    return found + [(f"rule {rule['alert']}", rule["expr"]) for rule in rules()]


def metrics_in(expression: str) -> set[str]:
    """The metrics that an expression names: what is no word of the language, no label and no text."""
    bare = _RANGE.sub("", _STRING.sub("", _GROUPING.sub(" ", expression)))
    bare = re.sub(r"label_values\((.*), *\w+\)", r"\1", re.sub(r"\{[^}]*\}", "", bare))
    return set(_NAME.findall(bare)) - WORDS


def labels_of(metric: str) -> set[str]:
    """The labels of a metric as it is scraped."""
    more = {"le"} if metric.endswith("_bucket") else set()
    return SCRAPED | more | set(OURS[metric].labels if metric in OURS else ())


EXPRESSIONS = asked()


@pytest.mark.parametrize(("where", "expression"), EXPRESSIONS, ids=[where for where, _ in EXPRESSIONS])
def test_an_expression_asks_for_what_there_is(where: str, expression: str) -> None:
    """Metrics with the suffixes of their kind, and for each the labels that it has."""
    metrics = metrics_in(expression)
    assert metrics
    assert metrics <= OURS.keys() | STANDARD
    for metric, matchers in _SELECTOR.findall(expression):
        assert set(_MATCHER.findall(matchers)) <= labels_of(metric)
    shared = set().union(*(labels_of(metric) for metric in metrics))
    for labels in _GROUPING.findall(expression):
        assert set(_NAME.findall(labels)) <= shared
    if metrics & STANDARD:
        return
    for labels in re.findall(r"\bby\s*\(([^)]*)\)", expression):
        assert all(set(_NAME.findall(labels)) <= labels_of(metric) for metric in metrics)


def test_every_metric_is_on_the_dashboard() -> None:
    """None is measured that nobody would see."""
    shown = set().union(*(metrics_in(target["expr"]) for panel in boards() for target in panel["targets"]))
    assert {OURS[name].name for name in shown & OURS.keys()} == {each.name for each in (*METRICS, *RELAY_METRICS)}


def test_the_dashboard_can_be_imported_anywhere() -> None:
    """It names no data source of its own; its panels have ids, places of their own, and an explanation."""
    board = json.loads(DASHBOARD.read_text())
    source, *variables = board["templating"]["list"]
    assert (source["name"], source["type"], source["query"]) == ("datasource", "datasource", "prometheus")
    assert "__inputs" not in board
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    cells: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        covered = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not covered & cells
        assert max(x for x, _ in covered) < 24
        cells |= covered
    for asking in [*variables, *boards(), *(target for panel in boards() for target in panel["targets"])]:
        assert asking["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert all(panel["description"] for panel in boards())


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_a_rule_says_what_it_means_and_where_to_read_on(rule: dict[str, Any]) -> None:
    """Summary, description with labels that the alert has, and a heading of the documentation that is there."""
    texts = rule["annotations"]
    assert set(texts) == {"summary", "description", "runbook"}
    assert rule["labels"]["severity"] in ("warning", "critical")
    grouped = re.findall(r"\bby\s*\(([^)]*)\)", rule["expr"])
    has = set(_NAME.findall(grouped[0])) if grouped else set.intersection(*map(labels_of, metrics_in(rule["expr"])))
    assert set(re.findall(r"\$labels\.(\w+)", texts["summary"] + texts["description"])) <= has
    page, _, anchor = texts["runbook"].partition("#")
    headings = re.findall(r"^#+ (.*)$", (ROOT / page).read_text(), re.MULTILINE)
    assert not anchor or anchor in {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
