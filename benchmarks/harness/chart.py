"""Results as one picture: how many times better or worse than its goal each figure is, on a scale of doublings.

A file of its own, drawn by hand: a plotting library would weigh more than the suite, and the picture has to read well
on light and on dark pages.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from benchmarks.harness.figure import Figure
from benchmarks.harness.results import Results
from benchmarks.harness.table import goal, number

_DOUBLINGS: Final = 3
"""How far the scale goes to either side; longer bars end in an arrow."""
_ROW, _BAR, _TOP = 26, 14, 44
_NAMES, _SCALE, _VALUES = 190, 420, 150
"""Widths of the three columns."""
_STYLE: Final = """
    text { font: 12px system-ui, sans-serif; fill: #1f2328; }
    .faint { fill: #59636e; }
    .line { stroke: #d1d9e0; }
    .goal { stroke: #59636e; stroke-width: 1.5; }
    .reached { fill: #2f7d4f; }
    .missed { fill: #b35900; }
    @media (prefers-color-scheme: dark) {
      text { fill: #f0f6fc; }
      .faint { fill: #9198a1; }
      .line { stroke: #3d444d; }
      .goal { stroke: #9198a1; }
      .reached { fill: #4fae77; }
      .missed { fill: #e08a3c; }
    }
"""


def draw(results: Results) -> str:
    """Return the picture as SVG."""
    figures = [each.outcome for each in results.results if isinstance(each.outcome, Figure)]
    height = _TOP + _ROW * len(figures) + 12
    width = _NAMES + _SCALE + _VALUES
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'role="img" aria-labelledby="title">',
        '  <title id="title">How many times better than its goal each figure is</title>',
        f"  <style>{_STYLE}  </style>",
        *_scale(height),
    ]
    for index, figure in enumerate(figures):
        lines += _bar(figure, _TOP + _ROW * index)
    return "\n".join([*lines, "</svg>", ""])


def _scale(height: int) -> Iterator[str]:
    yield f'  <text class="faint" x="{_NAMES + _SCALE / 2 - 10}" y="14" text-anchor="end">misses its goal</text>'
    yield f'  <text class="faint" x="{_NAMES + _SCALE / 2 + 10}" y="14">better than its goal</text>'
    for doubling in range(-_DOUBLINGS, _DOUBLINGS + 1):
        at = _at(2.0**doubling)
        label = f"{2**doubling} x" if doubling >= 0 else f"1/{2**-doubling}"
        kind = "line" if doubling else "goal"
        yield f'  <line class="{kind}" x1="{at:.1f}" y1="36" x2="{at:.1f}" y2="{height - 8}"/>'
        yield f'  <text class="faint" x="{at:.1f}" y="30" text-anchor="middle">{label if doubling else "goal"}</text>'


def _bar(figure: Figure, top: float) -> Sequence[str]:
    middle, margin = _at(1.0), figure.promise.goal.margin(figure.value)
    end = _at(margin)
    left, width = min(middle, end), max(1.5, abs(end - middle))
    text = top + _BAR - 2.5
    kind = "reached" if figure.reached else "missed"
    unit = "" if figure.ratio is not None else f" {figure.promise.unit}"
    value = f"{number(figure.value)}{unit} (goal {goal(figure.promise.goal)})"
    arrow = "> " if margin > 2**_DOUBLINGS else ""
    return [
        f'  <text x="{_NAMES - 10}" y="{text}" text-anchor="end">{escape(figure.promise.name)}</text>',
        f'  <rect class="{kind}" x="{left:.1f}" y="{top}" width="{width:.1f}" height="{_BAR}" rx="2"/>',
        f'  <text x="{_NAMES + _SCALE + 10}" y="{text}">{escape(arrow + value)}</text>',
    ]


def _at(times: float) -> float:
    """Return where a multiple of the goal lies on the scale."""
    doublings = max(-_DOUBLINGS, min(_DOUBLINGS, math.log2(times))) if times > 0 else -_DOUBLINGS
    return _NAMES + 10 + (_SCALE - 20) * (doublings + _DOUBLINGS) / (2 * _DOUBLINGS)
