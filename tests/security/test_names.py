"""Names from data are data: no store takes them for SQL, and no statement is made of them."""

from __future__ import annotations

import ast
from datetime import UTC, datetime
from pathlib import Path

import pytest

import everwhen.sql
from everwhen import Projection, Publisher, Reader, Worker
from everwhen.errors import ArgumentError, EverwhenError, UsageError
from tests import ledger
from tests.ledger import Ledger, Noted

T0 = datetime(2026, 3, 1, tzinfo=UTC)
NAMES = [
    "'; drop table everwhen.checkpoints; --",
    '"; drop table everwhen_checkpoints; --',
    "select",
    "%s %(entity_id)s :entity_id {0} $1 ?",
    "a\tb\\n\\N\\.\nc",
    "\\.",
    "\\N",
    "NULL",
    " ",
    "e\u0301 \u00e9 \u202e \U0001f600 \ufeff",
    "\x01\x7f\x1b[31m",
    "n" * 500,
    "\u00fc" * 250,
]
IMPOSSIBLE = ["", "\x00", "a\x00b", "\ud800", "n" * 5000]


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Both databases."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.db"
    return str(request.getfixturevalue("postgres_url"))


def test_names_come_back(store: str, tmp_path: Path) -> None:
    """Entity ids, event ids, correlation and causation ids are stored and found unchanged, or refused before."""
    projection = ledger.projection(ledger.topic(tmp_path / "schemas"))
    log = f"sqlite:///{tmp_path}/log.db"
    with Publisher(projection.topic, log) as publisher:
        for name in NAMES:
            publisher.publish(
                name,
                Noted(text=name),
                occurred_at=T0,
                event_id=name,
                correlation_id=name,
                causation_id=name,
            )
        for name in IMPOSSIBLE:
            with pytest.raises(ArgumentError):
                publisher.publish(name, Noted(text="x"), occurred_at=T0)
    Worker(projection, log, store).run(until="end")
    with Reader(projection, store) as reader:
        for name in NAMES:
            (fact,) = reader.explain(name).events
            assert (fact.event_id, fact.correlation_id, fact.causation_id) == (name, name, name)
            assert reader.get(name).require().notes == [name]
        assert {answer.entity_id for answer in reader.snapshot(valid_at=T0)} == set(NAMES)
        found = reader.join([(name, T0) for name in NAMES])
        assert [answer.entity_id for answer in found] == NAMES


@pytest.mark.parametrize("name", [*NAMES, *IMPOSSIBLE])
def test_projection_names(store: str, tmp_path: Path, name: str) -> None:
    """They become names of tables, so only names that need no quoting are taken; a reader just finds nothing."""
    if name not in ("select", "NULL"):
        with pytest.raises(UsageError):
            Projection(name, version=1, topic=ledger.topic(tmp_path), state=Ledger)
    with pytest.raises(EverwhenError), Reader(name, store) as reader:
        reader.get("e")


def test_keyword_as_a_projection_name(store: str, tmp_path: Path) -> None:
    """It is quoted wherever it stands: tables, views, indexes."""
    projection = ledger.projection(ledger.topic(tmp_path / "schemas"), name="select")
    log = f"sqlite:///{tmp_path}/log.db"
    with Publisher(projection.topic, log) as publisher:
        publisher.publish("e", Noted(text="x"), occurred_at=T0)
    Worker(projection, log, store).run(until="end")
    with Reader(projection, store) as reader:
        assert reader.get("e").require().notes == ["x"]


def test_sql_is_made_of_checked_names() -> None:
    """Each place where text becomes a statement is listed here, with where its parts come from.

    A new one has to be looked at: nothing that stands in a record may be among its parts.
    """
    assert _statements() == STATEMENTS


def _statements() -> dict[str, set[str]]:
    """The formatted or concatenated texts with an SQL verb in them, as the expressions that are put in."""
    found: dict[str, set[str]] = {}
    for path in sorted(Path(everwhen.sql.__path__[0]).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr) and _is_sql(node):
                parts = {ast.unparse(value.value) for value in node.values if isinstance(value, ast.FormattedValue)}
                found.setdefault(path.stem, set()).update(parts)
    return found


VERBS = (
    "SELECT ",
    "INSERT ",
    "UPDATE ",
    "DELETE ",
    "CREATE ",
    "DROP ",
    "COPY ",
    "GRANT ",
    "COMMENT ON",
    "SET LOCAL",
    "PRAGMA ",
    " FROM ",
    " AS ",
)


def _is_sql(node: ast.JoinedStr) -> bool:
    text = "".join(str(value.value) for value in node.values if isinstance(value, ast.Constant))
    return any(verb in text for verb in VERBS)


STATEMENTS: dict[str, set[str]] = {
    "database": {"name", "value"},  # the timeouts of a transaction, constants and numbers
    "expressions": {"compiler.process(element.clauses, **options)", "document", "key"},  # compiled by SQLAlchemy
    "listening": {"_channel(projection)", "payload"},  # a checked name, quoted; numbers
    "outbox": {"SCHEMA", "quoted", "rights", "table"},  # constants; the role, quoted by SQLAlchemy
    "postgres": {"names", "prepare.format_table(table)"},  # of our columns and tables, quoted by SQLAlchemy
    "postgres_rows": {"_AT_ONCE"},  # a number
    "postgres_join": {"name"},  # of settings of the planner, constants
    "relay": {"way"},  # of settings of the planner, constants
    "schema": {"CHANGING", "SCHEMA", "name", "rights"},  # constants; the role, quoted by SQLAlchemy
    "step": {"column", "text"},  # of the migrations, written there
    # Compiled, or quoted by SQLAlchemy; the privilege is one that PostgreSQL's own catalog names.
    "views": {"body", "name", "privilege", "quote(SCHEMA)", "quote(name)", "role"},
}
