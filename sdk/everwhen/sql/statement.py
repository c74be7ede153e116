"""A Core statement, compiled once and run on the driver's own cursor.

Running a statement through SQLAlchemy costs 100 to 200 us more than the driver needs, several times what the seek
itself takes; compiling it costs milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, NamedTuple

from sqlalchemy.engine import Dialect
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.elements import ClauseElement


class _Compiled(NamedTuple):
    text: str
    constants: dict[str, Any]
    """Parameters that the statement brings along."""
    processors: dict[str, Callable[[Any], Any]]
    """What turns a parameter into what the driver takes."""


class Statement:
    """The text of a statement, compiled when it is first needed. Thread-safe.

    :param write: gives the statement; its parameters are named and have types.
    :param dialect: what to compile it for; its parameter style is ``named`` or ``pyformat``.
    """

    def __init__(self, write: Callable[[], Executable], dialect: Dialect) -> None:
        self._write = write
        self._dialect = dialect

    @property
    def text(self) -> str:
        """The statement in SQL."""
        return self._compiled.text

    def bind(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters as the driver takes them."""
        _, constants, processors = self._compiled
        bound = constants | dict(parameters)
        for name, processor in processors.items():
            bound[name] = processor(bound[name])
        return bound

    def run(self, cursor: Any, parameters: Mapping[str, Any]) -> Any:
        """Execute on a cursor of the driver; return the cursor."""
        return cursor.execute(self._compiled.text, self.bind(parameters))

    @cached_property
    def _compiled(self) -> _Compiled:
        clause = self._write()
        assert isinstance(clause, ClauseElement)
        compiled = clause.compile(dialect=self._dialect)
        constants: dict[str, Any] = {}
        processors: dict[str, Callable[[Any], Any]] = {}
        for bind, name in compiled.bind_names.items():  # type: ignore[attr-defined]
            processor = bind.type.dialect_impl(self._dialect).bind_processor(self._dialect)
            if not bind.required:
                constants[name] = processor(bind.value) if processor is not None else bind.value
            elif processor is not None:
                processors[name] = processor
        return _Compiled(str(compiled), constants, processors)
