"""The Python in the documentation runs as it stands, and its links lead somewhere."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from everwhen.cli.collector import collect_rarely

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(ROOT.glob("examples/*/*.md")),
    *sorted(ROOT.glob("docs/**/*.md")),
]
STORIES = {"outbox.md", "time.md"}
"""Pages whose blocks go on from one another."""


def blocks() -> Iterator[tuple[str, int, str]]:
    """Yield page, number and code of what is to be run."""
    for page in PAGES:
        found = re.findall(r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
        if page.name in STORIES:
            yield page.name, 0, "\n".join(found)
        elif page.name != "README.md":  # its first screen has a test of its own
            yield from ((page.name, number, code) for number, code in enumerate(found))


BLOCKS = list(blocks())


@pytest.mark.parametrize(("page", "number", "code"), BLOCKS, ids=[f"{page}-{number}" for page, number, _ in BLOCKS])
def test_python_in_the_docs_runs(
    page: str, number: int, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every block stands alone, but for the pages that tell a story."""
    monkeypatch.chdir(tmp_path)
    program = compile(code, f"{page}, block {number}", "exec", dont_inherit=True)
    exec(program, {"__name__": f"docs_{number}"})


def test_the_page_about_the_outbox_shows_the_example() -> None:
    """Whoever reads the example and whoever reads the page read the same program."""
    (story,) = (code for page, _, code in BLOCKS if page == "outbox.md")
    program = (ROOT / "examples" / "concerts" / "concerts.py").read_text()
    assert " ".join(story.split()) in " ".join(program.split())


def test_the_page_on_running_gives_the_thresholds_of_the_command() -> None:
    """Who runs a worker in a program of their own would have another pace than the command."""
    before = gc.get_threshold()
    try:
        collect_rarely()
        said = f"gc.set_threshold({', '.join(f'{each:_}' for each in gc.get_threshold())})"
    finally:
        gc.set_threshold(*before)
    assert said in (ROOT / "docs" / "running.md").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    """Every relative link names a file that is there."""
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), target
