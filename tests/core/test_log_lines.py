"""Log lines can be searched for: each begins with the name of an event, and says where as ``extra``."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import everwhen

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(everwhen.__file__).parent
LEVELS = {"debug": 0, "info": 0, "warning": 0, "error": 0, "exception": 0, "critical": 0, "log": 1}
"""Methods of a logger, and which argument is the message."""
EVENT = re.compile(r"[a-z]+(\.[a-z_]+)+(?= |$)")
WITHOUT_PLACE = {
    "store.": "the database is away for all partitions",
    "tls.": "a setting",
    "kafka.client": "librdkafka's own line",
    "kafka.trouble": "where no topic is known yet",
    "progress.uncommitted": "where the broker answers for a whole group",
    "quarantine.unknown": "a question about all partitions",
    "callback.failed": "the position is what was being told",
}
"""Events, or what they begin with, that can be logged without a place, each with the reason."""


class Line(NamedTuple):
    """One call that logs."""

    where: str
    texts: list[str]
    has_extra: bool


def test_every_line_begins_with_an_event() -> None:
    """A name that stands in the source as it stands in the log, or nobody finds the one from the other."""
    lines = [line for path in _sources() for line in _lines(path.read_text(), path.name)]
    assert len(lines) > 50
    for line in lines:
        assert line.texts, f"{line.where}: the message is no text that can be found"
        for text in line.texts:
            assert EVENT.match(text), f"{line.where}: {text!r} begins with no event"
    (wrong,) = _lines("_log.info('%s happened', what)", "x.py")
    assert not EVENT.match(wrong.texts[0])


def test_every_line_about_a_place_says_where() -> None:
    """Topic, partition, offset and entity are no business of a regular expression over the message."""
    for path in _sources():
        if path.parent.name in ("worker", "kafka", "local", "sql"):
            for line in _lines(path.read_text(), path.name):
                excused = all(text.startswith(tuple(WITHOUT_PLACE)) for text in line.texts)
                assert line.has_extra or excused, f"{line.where}: {line.texts} has no extra"
    (bare,) = _lines("_log.info('partition.claimed %s', p)", "x.py")
    assert not bare.has_extra


def _sources() -> Iterator[Path]:
    return (path for path in PACKAGE.rglob("*.py") if "testing" not in path.relative_to(PACKAGE).parts)


def _lines(source: str, name: str) -> Iterator[Line]:
    tree = ast.parse(source)
    named: dict[str, list[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            named.setdefault(node.targets[0].id, []).extend(_texts(node.value, {}))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS:
            logger = ast.unparse(node.func.value).rpartition(".")[2].lstrip("_")
            arguments = node.args[LEVELS[node.func.attr] :]
            if logger in ("log", "logger", "traces") and arguments and not _is_of_a_log(node):
                has_extra = any(each.arg == "extra" for each in node.keywords)
                yield Line(f"{name}:{node.lineno}", _texts(arguments[0], named), has_extra)


def _is_of_a_log(node: ast.Call) -> bool:
    """Whether it is Kafka's or the local log that is called, and no logger."""
    return ast.unparse(node.func).startswith("self._log.")


def _texts(node: ast.expr, named: dict[str, list[str]]) -> list[str]:
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) else []
    if isinstance(node, ast.IfExp):
        return _texts(node.body, named) + _texts(node.orelse, named)
    return named.get(node.id, []) if isinstance(node, ast.Name) else []
