"""What the command's exit code says: one table for the program, its help and its reference."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from everwhen.errors import (
    BeforeFirstEvent,
    ContinuityError,
    ContractError,
    EntityDeleted,
    EntityQuarantined,
    EverwhenError,
    Fenced,
    HistoryTruncated,
    LogUnavailable,
    NeverExisted,
    NotStored,
    NotYetProjected,
    ProjectionNotFound,
    RecordError,
    RegistryUnavailable,
    SchemaNotRegistered,
    SchemaRefused,
    SchemaWithheld,
    StoreUnavailable,
    TopicNotFound,
    TopicSettingsError,
    UsageError,
)
from everwhen.reader import Status


class Exit(IntEnum):
    """The exit codes. Scripts rely on them: a number never changes its meaning."""

    DONE = 0
    FAULT = 1
    USAGE = 2
    PROBLEMS = 3
    LOG_UNAVAILABLE = 4
    STORE_UNAVAILABLE = 5
    NOT_FOUND = 6
    REFUSED = 7
    RECORD = 8
    FENCED = 9
    BEFORE_FIRST = 10
    DELETED = 11
    NEVER_EXISTED = 12
    TRUNCATED = 13
    NOT_YET_PROJECTED = 14
    QUARANTINED = 15
    NOT_STORED = 16
    CONTINUITY = 17
    DIFFERENT = 18
    PROCESS_DIED = 19
    REGISTRY_UNAVAILABLE = 20
    INTERRUPTED = 130
    PIPE_CLOSED = 141


class Outcome(NamedTuple):
    """One line of the table."""

    code: Exit
    meaning: str
    errors: tuple[type[EverwhenError], ...] = ()
    """What is reported so, with all that derives from it and has no line of its own."""
    status: Status | None = None
    """The answer that is reported so."""


OUTCOMES = (
    Outcome(Exit.DONE, "done; an answer has a state", status=Status.FOUND),
    Outcome(Exit.FAULT, "a fault of this program: please report the traceback"),
    Outcome(Exit.USAGE, "the command line, a setting, an instant or a declaration is wrong", (UsageError,)),
    Outcome(
        Exit.PROBLEMS,
        "contract files, their registration or a topic's settings are not as they must be",
        (ContractError, SchemaNotRegistered, SchemaRefused, TopicSettingsError),
    ),
    Outcome(Exit.LOG_UNAVAILABLE, "the log cannot be reached; trying again may help", (LogUnavailable,)),
    Outcome(Exit.STORE_UNAVAILABLE, "the store cannot be reached; trying again may help", (StoreUnavailable,)),
    Outcome(Exit.NOT_FOUND, "no such topic, or no such projection in the store", (TopicNotFound, ProjectionNotFound)),
    Outcome(
        Exit.REFUSED,
        "the log, the store or the registry refused; trying again does not help",
        (EverwhenError, SchemaWithheld),
    ),
    Outcome(Exit.RECORD, "records cannot be applied; their partition stands in front of them", (RecordError,)),
    Outcome(Exit.FENCED, "another worker has claimed the partition", (Fenced,)),
    Outcome(
        Exit.BEFORE_FIRST, "the instant lies before the entity's first event", (BeforeFirstEvent,), Status.BEFORE_FIRST
    ),
    Outcome(Exit.DELETED, "the entity is deleted at the instant", (EntityDeleted,), Status.DELETED),
    Outcome(Exit.NEVER_EXISTED, "no event of the entity is known", (NeverExisted,), Status.NEVER_EXISTED),
    Outcome(Exit.TRUNCATED, "the history before the instant was pruned", (HistoryTruncated,), Status.TRUNCATED),
    Outcome(
        Exit.NOT_YET_PROJECTED,
        "the log is not projected as far as was asked for",
        (NotYetProjected,),
        Status.NOT_YET_PROJECTED,
    ),
    Outcome(Exit.QUARANTINED, "an event of the entity cannot be applied", (EntityQuarantined,), Status.QUARANTINED),
    Outcome(Exit.NOT_STORED, "an earlier belief that only MODULE:PROJECTION can fold", (NotStored,)),
    Outcome(Exit.CONTINUITY, "the log does not go on where the store stands", (ContinuityError,)),
    Outcome(Exit.DIFFERENT, "two generations of a projection say different things, or contract files and registry"),
    Outcome(Exit.PROCESS_DIED, "a signal ended one of the processes of everwhen worker --processes"),
    Outcome(
        Exit.REGISTRY_UNAVAILABLE,
        "the schema registry cannot be reached; trying again may help",
        (RegistryUnavailable,),
    ),
    Outcome(Exit.INTERRUPTED, "interrupted from the keyboard"),
    Outcome(Exit.PIPE_CLOSED, "whoever read the output went away"),
)

_BY_ERROR = {error: outcome.code for outcome in OUTCOMES for error in outcome.errors}
_BY_STATUS = {outcome.status: outcome for outcome in OUTCOMES if outcome.status is not None}


def exit_of(error: EverwhenError) -> Exit:
    """Return the exit code of an error: that of the nearest class in its ancestry which has one."""
    return next(_BY_ERROR[kind] for kind in type(error).__mro__ if kind in _BY_ERROR)


def outcome_of(status: Status) -> Outcome:
    """Return the line of the table that belongs to an answer's status."""
    return _BY_STATUS[status]
