"""The part of ``docs/performance.md`` that is made from the results, and the chart beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from benchmarks.harness import chart, table
from benchmarks.harness.results import Results

DOCS: Final = Path(__file__).parents[2] / "docs"
PAGE: Final = DOCS / "performance.md"
CHART: Final = DOCS / "performance.svg"
_BEGIN, _END = "<!-- figures: written by `make bench` -->", "<!-- end of figures -->"


def section(results: Results) -> str:
    """Return what stands between the two comments of the page."""
    picture = f"![How many times better than its goal each figure is]({CHART.name})"
    return f"{_BEGIN}\n\n{picture}\n\n{table.render(results)}\n{_END}"


def renewed(page: str, results: Results) -> str:
    """Return a page with the section for these results.

    :raises ValueError: if the page does not have both comments.
    """
    before, begin, rest = page.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"the page lacks {_BEGIN} or {_END}")
    return f"{before}{section(results)}{after}"


def write(results: Results) -> None:
    """Renew the page and the chart."""
    PAGE.write_text(renewed(PAGE.read_text(), results))
    CHART.write_text(chart.draw(results))
