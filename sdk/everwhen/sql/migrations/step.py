"""One step from a schema version to the next: SQL with a few words that the two databases write differently."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from everwhen.sql.expressions import POSTGRESQL
from everwhen.sql.tables import SCHEMA

_WORDS: Final = {
    POSTGRESQL: {
        "shared": f"{SCHEMA}.",
        "id": 'TEXT COLLATE "C"',
        "instant": "TIMESTAMP WITH TIME ZONE",
        "json": "JSON",
        "blob": "BYTEA",
        "by_key": "",
    },
    "sqlite": {
        "shared": f"{SCHEMA}_",
        "id": "TEXT",
        "instant": "BIGINT",
        "json": "TEXT",
        "blob": "BLOB",
        "by_key": " WITHOUT ROWID",
    },
}


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one database writes a step.

    :param kind: ``postgresql`` or ``sqlite``.
    """

    kind: str

    def write(self, template: str, own: str = "") -> str:
        """Fill in a statement.

        :param own: what the names of a generation's tables begin with, after ``shared``.
        """
        words = _WORDS[self.kind]
        bare = own if self.kind == POSTGRESQL else words["shared"] + own
        return template.format(**words, own=words["shared"] + own, bare=bare)


@dataclass(frozen=True, slots=True)
class Step:
    """How tables of the version before become those of ``version``.

    The statements are texts, and not made from the tables as they are declared now: these will be other ones when the
    step is taken. In them stand ``{shared}`` before the name of a table that all projections share and ``{own}`` before
    the part of a generation's table, ``{bare}`` before that of an index that is made, the types ``{id}``,
    ``{instant}``, ``{json}`` and ``{blob}``, and ``{by_key}`` behind a table that is clustered by its key on SQLite.
    New columns are declared last, since ``ADD COLUMN`` puts them there.

    No statement may have PostgreSQL write a table anew (as ``ALTER COLUMN ... TYPE`` does): to a reader whose snapshot
    is older that table is empty.

    :ivar version: what it leads to.
    :ivar shared: for the tables that all projections share.
    :ivar own: for the tables of each generation.
    :ivar comments: ``(column, text)`` as ``{shared}checkpoints.prunings``; PostgreSQL keeps them.
    """

    version: int
    shared: tuple[str, ...] = ()
    own: tuple[str, ...] = ()
    comments: tuple[tuple[str, str], ...] = ()

    def statements(self, dialect: Dialect, prefixes: Iterable[str]) -> Iterator[str]:
        """Write all statements, in order.

        :param prefixes: what the names of each generation's tables begin with.
        """
        quoted = ((column, text.replace("'", "''")) for column, text in self.comments)
        comments = [f"COMMENT ON COLUMN {column} IS '{text}'" for column, text in quoted]
        if dialect.kind != POSTGRESQL:
            comments = []
        for template in (*self.shared, *(each for each in comments if "{own}" not in each)):
            yield dialect.write(template)
        for prefix in prefixes:
            for template in (*self.own, *(each for each in comments if "{own}" in each)):
                yield dialect.write(template, prefix)
