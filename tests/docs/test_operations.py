"""The pages of ``docs/operations``: complete, and what they tell somebody to type at night is there."""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import yaml
from examples.bank.bank import Opened, account, accounts
from sqlalchemy import make_url

from everwhen import Publisher, Reader, Worker, errors
from everwhen.cli.exits import Exit, exit_of
from everwhen.errors import StoreError
from everwhen.testing.parts import PartsError
from tests.cli.commands import LINE, parse

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PAGES = {page.stem: page.read_text() for page in sorted((ROOT / "docs" / "operations").glob("*.md"))}
BY_PAGE = pytest.mark.parametrize("page", PAGES)
ROLES = ("everwhen_worker", "everwhen_reader")


def blocks(page: str, language: str) -> list[str]:
    """The blocks of code of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGES[page], re.DOTALL | re.MULTILINE)


def tree(root: type[errors.EverwhenError]) -> Iterator[type[errors.EverwhenError]]:
    """A class and all below it that the package has."""
    if root.__module__.partition(".")[0] == "everwhen":
        yield root
        for child in root.__subclasses__():
            yield from tree(child)


def test_every_error_has_a_section_with_its_exit_code() -> None:
    """Whoever looks up an error would find nothing, or what to do about another code."""
    found = re.findall(r"^### (\w+)\n\nExit code (\d+)\. \S", PAGES["when-it-stops"], re.MULTILINE)
    told = {name: int(code) for name, code in found}
    assert len(told) == len(found) == PAGES["when-it-stops"].count("\n### ")
    assert issubclass(PartsError, errors.EverwhenError)  # imported, so that it is in the tree
    assert told == {error.__name__: exit_of(error("")) for error in tree(errors.EverwhenError)}


@BY_PAGE
def test_every_command_line_is_one_of_the_program(page: str) -> None:
    """A command that was renamed would fail at the worst moment."""
    for block in blocks(page, "sh"):
        for line in LINE.findall(block):
            parse(line)
    assert any(LINE.findall(block) for block in blocks(page, "sh"))


@BY_PAGE
def test_links_lead_to_headings(page: str) -> None:
    """A link to a section that was renamed leads to the top of a long page."""
    for target, anchor in re.findall(r"\]\(([^)#:]*)#([^)]*)\)", PAGES[page]):
        text = (ROOT / "docs" / "operations" / target).read_text() if target else PAGES[page]
        assert anchor in {_slug(heading) for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}, (target, anchor)


def test_the_index_leads_to_every_page() -> None:
    """A page that nothing leads to is not read."""
    assert {f"({page}.md)" for page in PAGES if page != "index"} <= set(re.findall(r"\([\w-]+\.md\)", PAGES["index"]))


def test_what_is_to_be_watched_is_there() -> None:
    """An alert on a metric that does not exist never fires, nor does one on a line that nobody writes."""
    exposed = (ROOT / "docs" / "metrics.md").read_text()  # compared with the program by its own test
    told = set(re.findall(r"everwhen_\w+", PAGES["monitoring"] + PAGES["when-it-stops"])) - set(ROLES)
    assert told
    assert all(f"`{name}`" in exposed for name in told), told
    sources = "".join(path.read_text() for path in (ROOT / "sdk" / "everwhen").rglob("*.py"))
    lines = re.findall(r"`([a-z]+\.[a-z]+)`", PAGES["monitoring"].partition("## Lines in the log")[2])
    assert len(lines) >= 8
    assert all(f"{line} " in sources for line in lines)


def test_the_manifest_for_kubernetes_is_whole() -> None:
    """Probes on the port that is served, no root, nothing to write to, and more grace than a statement is given."""
    (block,) = blocks("deployment", "yaml")
    pod: dict[str, Any] = yaml.safe_load(block)["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    parse("everwhen " + " ".join(container["args"]))
    served = int(container["args"][container["args"].index("--http") + 1].rpartition(":")[2])
    assert {port["name"]: port["containerPort"] for port in container["ports"]} == {"metrics": served}
    probes = {name: container[name]["httpGet"] for name in ("livenessProbe", "readinessProbe")}
    assert [(each["path"], each["port"]) for each in probes.values()] == [("/livez", "metrics"), ("/readyz", "metrics")]
    assert pod["terminationGracePeriodSeconds"] > 60
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert {"requests", "limits"} == container["resources"].keys()


def test_the_exit_codes_that_systemd_leaves_down_are_those_of_the_unit() -> None:
    """The page and the unit would tell two things."""
    unit = (ROOT / "deploy" / "systemd" / "everwhen-worker@.service").read_text()
    codes = re.search(r"^RestartPreventExitStatus=(.*)$", unit, re.MULTILINE)
    told = re.search(r"exit codes ([\d, and]+)\.", PAGES["deployment"])
    assert codes is not None
    assert told is not None
    assert re.findall(r"\d+", told[1]) == codes[1].split()
    assert set(map(int, codes[1].split())) <= set(Exit)


def test_the_rights_in_the_database_are_enough_and_not_more(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what the page says a worker makes its tables, and a reader asks and cannot write."""
    monkeypatch.chdir(ROOT)  # where the contract files are
    (sql,) = blocks("deployment", "sql")
    suffix = secrets.token_hex(4)
    for role in ROLES:
        sql = sql.replace(role, f"{role}_{suffix}")
    url = make_url(postgres_url)
    worker, reader = (_as(postgres_url, f"{role}_{suffix}") for role in ROLES)
    log = f"sqlite:///{tmp_path / 'log.db'}"
    with psycopg.connect(url.set(drivername="postgresql").render_as_string(hide_password=False)) as administrator:
        administrator.autocommit = True
        administrator.execute(sql)
        try:
            with Publisher(accounts, log) as publisher:
                publisher.publish("acc-1", Opened(owner="ada"), occurred_at=datetime(2026, 3, 1, tzinfo=UTC))
            with Worker(account, log, worker) as running:
                assert running.run(until="end").tally.applied == 1
            with Reader(account, reader) as asking:
                assert asking.get("acc-1").require().owner == "ada"
            with Worker(account, log, reader) as refused, pytest.raises(StoreError, match="InsufficientPrivilege"):
                refused.run(until="end")
        finally:
            for role in ROLES:
                administrator.execute(f"DROP OWNED BY {role}_{suffix} CASCADE; DROP ROLE {role}_{suffix}")


def _as(url: str, role: str) -> str:
    return make_url(url).set(username=role, password="change-me").render_as_string(hide_password=False)


def _slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
