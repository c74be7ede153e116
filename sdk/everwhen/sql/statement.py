"""A Core statement, compiled once and run on the driver's own cursor.

Running a statement through SQLAlchemy costs 100 to 200 us more than the driver needs, several times what the
seek itself takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.engine import Dialect
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.elements import ClauseElement


class Statement:
    """The text of a statement, and what its parameters must be turned into. Immutable, thread-safe.

    :param clause: the statement; its parameters are named and have types.
    :param dialect: what to compile it for; its parameter style is ``named`` or ``pyformat``.
    """

    def __init__(self, clause: Executable, dialect: Dialect) -> None:
        assert isinstance(clause, ClauseElement)
        compiled = clause.compile(dialect=dialect)
        self.text = str(compiled)
        self._constants: dict[str, Any] = {}
        self._processors: dict[str, Any] = {}
        for bind, name in compiled.bind_names.items():  # type: ignore[attr-defined]
            processor = bind.type.dialect_impl(dialect).bind_processor(dialect)
            if not bind.required:
                self._constants[name] = processor(bind.value) if processor is not None else bind.value
            elif processor is not None:
                self._processors[name] = processor

    def bind(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters as the driver takes them."""
        bound = self._constants | dict(parameters)
        for name, processor in self._processors.items():
            bound[name] = processor(bound[name])
        return bound

    def run(self, cursor: Any, parameters: Mapping[str, Any]) -> Any:
        """Execute on a cursor of the driver; return the cursor."""
        return cursor.execute(self.text, self.bind(parameters))
