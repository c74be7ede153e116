"""Tables: aligned on a terminal, and never more of them in memory than needed."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from everwhen.cli import output

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_rows_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """A snapshot of millions must not be gathered first: a row is written before the next few are asked for."""
    for stream, ahead in ((io.StringIO(), 1), (_Terminal(), 201)):
        monkeypatch.setattr("sys.stdout", stream)
        behind = 0

        def rows(stream: io.StringIO = stream) -> Iterator[tuple[str, str]]:
            nonlocal behind
            for number in range(1000):
                behind = max(behind, number + 1 - stream.getvalue().count("\n"))
                yield str(number), "x"

        output.write_rows(("NUMBER", "STATE"), rows())
        assert stream.getvalue().count("\n") >= 1000
        assert behind <= ahead


def test_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last column is cut to the terminal's width, and keeps something however narrow that is."""
    monkeypatch.setattr("sys.stdout", stream := _Terminal())
    monkeypatch.setenv("COLUMNS", "30")
    output.write_rows(("ID", "STATE"), [("a", "y" * 40), ("long-entity", "z")])
    assert stream.getvalue().splitlines() == [
        "ID           STATE",
        f"a            {'y' * 19}…",
        "long-entity  z",
    ]


def test_empty_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Titles on a terminal say that the question was understood; nothing at all goes into a pipe."""
    monkeypatch.setattr("sys.stdout", terminal := _Terminal())
    output.write_rows(("ID", "STATE"), [])
    monkeypatch.setattr("sys.stdout", pipe := io.StringIO())
    output.write_rows(("ID", "STATE"), [])
    assert (terminal.getvalue(), pipe.getvalue()) == ("ID  STATE\n", "")
