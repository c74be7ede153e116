"""The suite's arithmetic, and the files that it writes."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from benchmarks.__main__ import outcomes
from benchmarks.harness import chart, page
from benchmarks.harness.benchmark import Benchmark, chosen, load
from benchmarks.harness.figure import Cannot, Figure, Missing, Outcome, Promise, Spread, at_least, at_most
from benchmarks.harness.machine import is_optimized, optimizes, python
from benchmarks.harness.results import Result, Results, Setting
from benchmarks.harness.rig import Rig, Unavailable
from benchmarks.harness.table import number, render
from benchmarks.harness.turns import in_turns

SETTING = Setting("2026-03-01", 2, "some processor", quick=False)
FASTER = Promise("publish_vs_raw", "publishing", "events/s", at_least(0.8), "Publisher", "by hand")
SMALLER = Promise("rss_worker_mb", "memory", "MB", at_most(250), "Worker")
OTHER = Promise("other", "something | else", "s", at_most(4), "A", "B")
ORDER = ["publish_vs_raw", "rss_worker_mb", "other"]


def sample() -> Results:
    """Results of each kind."""
    outcomes = (
        FASTER.measured([90, 85, 50], [100, 100, 100], versions={"Python": "3.11"}, note="200,000 events"),
        SMALLER.measured([200.123456, 300, 260], versions={"Python": "3.11"}),
        OTHER.missing("no Java"),
    )
    results = Results()
    for outcome in outcomes:
        results = results.with_figure(Result(outcome, SETTING), ORDER)
    return results.with_cannot([Cannot("Quix Streams", "as of", "its state is the latest one only")])


def test_a_ratio_is_the_median_of_the_rounds_own_ratios() -> None:
    """A round in which the machine was slow weighs no more than another one."""
    figure = FASTER.measured([100, 10, 90], [100, 20, 100], versions={})
    assert figure.ratio == Spread(0.5, 0.9, 1.0, 3)
    assert figure.first == Spread(10, 90, 100, 3)
    assert figure.value == 0.9
    assert figure.reached


def test_a_figure_with_one_side_is_held_against_its_goal_by_its_median() -> None:
    """There is no ratio then."""
    figure = SMALLER.measured([300, 200, 260], versions={})
    assert figure.ratio is None
    assert figure.value == 260
    assert not figure.reached


def test_too_few_runs_make_no_figure() -> None:
    """Two of them cannot tell which one was disturbed; and a side without its round cannot be paired."""
    with pytest.raises(ValueError, match="needs 3 runs"):
        SMALLER.measured([1, 2], versions={})
    with pytest.raises(ValueError, match="shorter"):
        FASTER.measured([1, 2, 3], [1, 2], versions={})
    with pytest.raises(ValueError, match="has two sides"):
        FASTER.measured([1, 2, 3], versions={})


@pytest.mark.parametrize(("goal", "value", "margin"), [(at_least(0.8), 1.6, 2), (at_most(4), 8, 0.5)])
def test_a_margin_above_one_reaches_the_goal(goal: object, value: float, margin: float) -> None:
    """In whichever direction better lies."""
    assert isinstance(goal, type(at_least(1)))
    assert goal.margin(value) == margin
    assert goal.reached_by(value) == (margin >= 1)


def test_sides_take_turns_and_none_always_comes_first() -> None:
    """So that what else the machine does meets both."""
    seen: list[str] = []

    def run(name: str) -> int:
        seen.append(name)
        return len(seen)

    found = in_turns({"a": lambda: run("a"), "b": lambda: run("b")}, 3, quiet=True)
    assert seen == ["a", "b", "b", "a", "a", "b"]
    assert found == {"a": [1, 4, 5], "b": [2, 3, 6]}


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    """But for digits that no run agrees on."""
    file = tmp_path / "results.json"
    sample().write(file)
    read = Results.read(file)
    assert [each.name for each in read.results] == ORDER
    figure = read.results[1].outcome
    assert isinstance(figure, Figure)
    assert figure.first == Spread(200.1, 260, 300, 3)
    read.write(file)
    assert Results.read(file) == read
    assert Results.read(tmp_path / "none.json") == Results()


def test_a_figure_that_is_measured_again_takes_its_place() -> None:
    """And the others stay; one that the suite does not have any more goes."""
    again = Result(FASTER.measured([1, 1, 1], [1, 1, 1], versions={}), SETTING)
    results = sample().with_figure(again, ORDER)
    assert [each.name for each in results.results] == ORDER
    assert results.results[0] == again
    assert [each.name for each in sample().with_figure(again, ORDER[:1]).results] == ORDER[:1]


def test_the_table_says_what_was_reached_and_what_a_peer_cannot_do() -> None:
    """In words where there is no figure, never as a number."""
    lines = render(sample()).splitlines()
    assert lines[2] == (
        "| `publish_vs_raw` | publishing; 200,000 events | Publisher: 85.0 events/s | by hand: 100 events/s | "
        "**0.85** (0.50, 0.90) | ≥ 0.8 | yes |"
    )
    assert lines[3].endswith("| **260** (200, 300) | ≤ 250 | **no** |")
    assert lines[4] == "| `other` | something \\| else |  |  | not measured: no Java | ≤ 4 |  |"
    assert "| Quix Streams | as of | cannot: its state is the latest one only |" in lines


@pytest.mark.parametrize(
    ("value", "text"), [(12345.6, "12,346"), (12.34, "12.3"), (1.234, "1.23"), (0.01234, "0.0123"), (0, "0")]
)
def test_numbers_have_about_three_digits(value: float, text: str) -> None:
    """More would say that the runs agree on them."""
    assert number(value) == text


def test_the_chart_has_a_bar_for_each_figure() -> None:
    """To the right of the goal where it is reached, to the left where it is missed; none where none was measured."""
    root = ElementTree.fromstring(chart.draw(sample()))
    bars = [each.attrib for each in root.iter("{http://www.w3.org/2000/svg}rect")]
    assert [each["class"] for each in bars] == ["reached", "missed"]
    assert float(bars[0]["x"]) > float(bars[1]["x"])


def test_every_figure_is_promised_once() -> None:
    """Under a name of its own."""
    names = [promise.name for benchmark in load() for promise in benchmark.promises]
    assert len(names) == len(set(names))


def test_the_benchmarks_of_the_figures_named_are_chosen() -> None:
    """All if none is named; a name that none has is told."""
    one, two = (Benchmark((promise,), lambda _: ()) for promise in (FASTER, SMALLER))
    assert chosen([one, two], []) == [one, two]
    assert chosen([one, two], ["rss_worker_mb"]) == [two]
    with pytest.raises(ValueError, match="there is no figure speed; there are publish_vs_raw"):
        chosen([one, two], ["speed"])


def test_what_cannot_be_had_leaves_out_only_the_figures_that_need_it() -> None:
    """Those that were measured before stay, and the reason is told for the others."""

    def measure(rig: Rig) -> Iterator[Outcome]:
        yield FASTER.measured([1, 1, 1], [1, 1, 1], versions={})
        raise Unavailable("no Java")

    with Rig() as rig:
        found = list(outcomes(Benchmark((FASTER, OTHER), measure), rig))
    assert [each.promise for each in found] == [FASTER, OTHER]
    assert found[1] == Missing(OTHER, "no Java")


def test_the_documentation_shows_the_committed_results() -> None:
    """Table and chart are made from them; `python -m benchmarks --render` writes both again."""
    results = Results.read()
    assert page.renewed(page.PAGE.read_text(), results) == page.PAGE.read_text()
    assert page.CHART.read_text() == chart.draw(results)
    shown = re.findall(r"^\| `(\w+)`", page.PAGE.read_text(), flags=re.MULTILINE)
    assert [each.name for each in results.results] == shown[: len(results.results)]


def test_a_page_without_its_place_is_refused() -> None:
    """Rather than written without the figures."""
    with pytest.raises(ValueError, match="lacks"):
        page.renewed("# What it costs", sample())


@pytest.mark.parametrize(
    ("arguments", "prefix", "optimized"),
    [
        ("'--enable-optimizations' '--with-lto'", "/usr/local", True),
        ("'--enable-shared' '--prefix=/usr'", "/usr", True),
        (None, "C:\\Python313", True),
        ("'--prefix=/home/me/.pyenv/versions/3.11.7' '--enable-shared'", "/home/me/.pyenv/versions/3.11.7", False),
        ("", "/usr/local", False),
    ],
    ids=["container image", "distribution", "Windows", "pyenv", "plain configure"],
)
def test_a_slower_build_of_python_is_told_apart(arguments: str | None, prefix: str, optimized: bool) -> None:
    """Figures of one are not those that most users would see."""
    assert optimizes(arguments, prefix) is optimized


def test_the_version_of_python_says_how_it_was_built() -> None:
    """So the page does, too."""
    build = "" if is_optimized() else " (built without optimizations)"
    assert python() == platform.python_version() + build
