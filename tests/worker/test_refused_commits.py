"""A commit fails on a file: it did not take effect, or it did and nobody heard of it."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine

from tests.worker.disturbed import Scene

_OF, _REFUSED = 7, {3, 4}
"""Which of how many commits are refused: two in a row, so that asking what became of one is refused too."""


class Refusing(sqlite3.Connection):
    """A connection on which two commits in seven end in an error."""

    takes_effect = False
    commits = refused = 0

    def execute(self, text: str, *parameters: Any) -> sqlite3.Cursor:
        """Refuse a commit, before it takes effect or after."""
        kind = type(self)
        if text != "COMMIT":
            return super().execute(text, *parameters)
        kind.commits += 1
        if kind.commits % _OF not in _REFUSED:
            return super().execute(text, *parameters)
        kind.refused += 1
        if kind.takes_effect:
            super().execute(text, *parameters)
        error = sqlite3.OperationalError("the disk does not answer")
        error.sqlite_errorcode, error.sqlite_errorname = sqlite3.SQLITE_IOERR, "SQLITE_IOERR"
        raise error


@pytest.mark.parametrize("takes_effect", [False, True])
def test_a_commit_that_fails(tmp_path: Path, takes_effect: bool) -> None:
    """Nothing of it is believed before the store was asked: every record is applied once."""

    class Kind(Refusing):
        pass

    Kind.takes_effect = takes_effect
    url = f"sqlite:///{tmp_path}/store.db"
    engine = create_engine(url, connect_args={"factory": Kind})
    scene = Scene(tmp_path, engine)
    scene.publish(200)
    with scene.worker() as worker:
        worker.run(until="end")
    engine.dispose()
    assert Kind.refused >= 3
    scene.check(url, f"sqlite:///{tmp_path}/undisturbed.db")
