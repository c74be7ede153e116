"""The table of exit codes: complete, unambiguous, and shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from click.testing import CliRunner

from everwhen import errors
from everwhen.cli.app import app
from everwhen.cli.exits import OUTCOMES, Exit, exit_of, outcome_of
from everwhen.reader import Status

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_every_status_has_a_code_of_its_own() -> None:
    """Two reasons with one code could not be told apart by a script."""
    codes = [outcome_of(status).code for status in Status]
    assert len(set(codes)) == len(codes)
    assert sorted(codes) == [Exit.DONE, *range(Exit.BEFORE_FIRST, Exit.NOT_STORED)]


def test_every_error_has_a_code() -> None:
    """An error without a code would leave a traceback; a nearer class decides before a farther one."""
    assert all(exit_of(error("")) not in (Exit.DONE, Exit.FAULT) for error in _tree(errors.EverwhenError))
    assert exit_of(errors.ContractError("")) == Exit.PROBLEMS
    assert exit_of(errors.MissingExtra("")) == Exit.USAGE
    assert exit_of(errors.Fenced("")) == Exit.FENCED
    assert exit_of(errors.HandlerError("")) == Exit.RECORD
    assert exit_of(errors.StoreMismatch("")) == Exit.REFUSED
    assert exit_of(errors.LogGap("")) == Exit.CONTINUITY


def test_an_error_has_the_code_of_the_answer_that_it_stands_for() -> None:
    """``changes`` raises what ``get`` answers; a script that waits for one code would miss the other."""
    assert exit_of(errors.NotYetProjected("")) == outcome_of(Status.NOT_YET_PROJECTED).code
    assert exit_of(errors.NeverExisted("")) == outcome_of(Status.NEVER_EXISTED).code
    codes = [exit_of(error("")) for error in errors.AnswerError.__subclasses__()]
    assert sorted(codes) == [*range(Exit.BEFORE_FIRST, Exit.CONTINUITY)]


def test_the_table_is_in_the_help() -> None:
    """The codes can be looked up where the command is."""
    shown = CliRunner().invoke(app, ["--help"]).output
    assert [outcome.code for outcome in OUTCOMES] == sorted(Exit)
    assert all(f"{outcome.code:>5}  {outcome.meaning}\n" in shown for outcome in OUTCOMES)


def _tree(root: type[errors.EverwhenError]) -> Iterator[type[errors.EverwhenError]]:
    yield root
    for child in root.__subclasses__():
        yield from _tree(child)
