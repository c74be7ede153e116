"""The rows that a timeline is made of: what the core computes and a store keeps, times in microseconds."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, fields
from typing import Any, Final, NamedTuple, TypeAlias

from everwhen.instants import Micros

_PAYLOADS = {"event", "state", "value", "headers"}


def _without_payload(row: Any) -> str:
    """A row for people to read, in logs and tracebacks too."""
    shown = (f"{name}={value!r}" for name, value in row._asdict().items() if name not in _PAYLOADS)
    return f"{type(row).__name__}({', '.join(shown)})"


class Version(NamedTuple):
    """One event of an entity and the state that follows from it: a row of ``versions``.

    ``(entity_id, valid_from, offset)`` is the key. A version is valid until the next one of its entity begins.
    """

    entity_id: str
    valid_from: Micros
    offset: int
    partition: int
    recorded_at: Micros
    refolded_offset: int | None
    """The offset of the later record that made ``state`` what it is here; ``None``: the event's own."""
    refolded_at: Micros | None
    """The recorded time of that record."""
    event_id: str
    event_type: str
    correlation_id: str | None
    causation_id: str | None
    withdraws: str | None
    """The event id that this event, a correction, withdraws."""
    event: bytes
    """The record's value, self-describing (framed with its schema)."""
    state: str | None
    """The state as JSON; ``None`` when the entity is deleted."""

    @property
    def made_offset(self) -> int:
        """The offset of the record that made this belief."""
        return self.offset if self.refolded_offset is None else self.refolded_offset

    def refolded(self, state: str | None, by: Version) -> Version:
        """Return this event with another state, and the record that made it so.

        By places: ``_replace`` takes three times as long, and history in the wrong order has millions of these.
        """
        return _new(Version, (*self[:5], by.offset, by.recorded_at, *self[7:13], state))

    def __repr__(self) -> str:
        return _without_payload(self)


_new: Final = tuple.__new__

VersionValues: TypeAlias = tuple[Any, ...]
"""What a :class:`Version` holds, in the order of its fields: a store that is given rows looks at their places only, and
making the object takes as long again as the tuple."""


class Superseded(NamedTuple):
    """A belief that a later record replaced or withdrew: held for bases b with ``made_offset < b <= ended_offset``."""

    version: Version
    ended_offset: int
    ended_at: Micros
    withdrawn: bool
    """The event itself was withdrawn, not only folded again."""


class Withdrawal(NamedTuple):
    """A correction or a retraction: the record at ``offset`` withdraws the event ``target_id``."""

    entity_id: str
    target_id: str
    offset: int
    partition: int
    recorded_at: Micros
    event_id: str
    """The id of the correction or the retraction itself."""
    event_type: str
    event: bytes
    """The value of a record that only withdraws; empty for a correction, which has a row of its own."""

    def __repr__(self) -> str:
        return _without_payload(self)


class Conflict(NamedTuple):
    """A record whose event id the entity already has, with another time, type or payload. It changed nothing."""

    entity_id: str
    event_id: str
    offset: int
    partition: int
    recorded_at: Micros
    valid_from: Micros
    event_type: str
    event: bytes

    @classmethod
    def of(cls, row: Version) -> Conflict:
        """Return the conflict of a record whose id is taken."""
        return cls(
            row.entity_id,
            row.event_id,
            row.offset,
            row.partition,
            row.recorded_at,
            row.valid_from,
            row.event_type,
            row.event,
        )

    def __repr__(self) -> str:
        return _without_payload(self)


class Head(NamedTuple):
    """What is known of an entity as a whole: a row of ``entities``."""

    entity_id: str
    partition: int
    state: str | None
    """The state after the latest version, as JSON; ``None`` when deleted."""
    first_valid: Micros | None
    """Where the first version begins; ``None`` while every event is withdrawn."""
    last_valid: Micros | None
    last_offset: int
    """The highest offset of any of its records."""
    versions: int
    lead: Micros
    """The largest ``valid_from - recorded_at`` of its versions, at least 0: how far ahead its events reach."""
    withdrawals: int
    """How many corrections and retractions it has seen."""
    unstored_offset: int | None
    """Beliefs at bases up to this offset about instants from ``unstored_valid`` on are not kept as rows: fold them."""
    unstored_valid: Micros | None
    quarantined_offset: int | None
    """The offset of the event in front of which the entity is parked."""
    unstored_at: Micros | None = None
    """The recorded time of the record at ``unstored_offset``."""
    quarantined_at: Micros | None = None
    """The recorded time of the record at ``quarantined_offset``."""
    pruned_before: Micros | None = None
    """The history before this instant was dropped; ``None``: it is all there."""
    failing_valid: Micros | None = None
    """While parked: the instant of the event at which folding fails, with what waits put in; ``None`` while a record
    cannot be read, so that no other can help."""
    failing_offset: int | None = None
    """The offset of that event."""
    mended_offset: int | None = None
    """Records from ``mended_from`` on were kept aside and count only since this offset, or were discarded then: a basis
    up to it did not hold them."""
    mended_from: int | None = None
    """Where the first of them stands."""
    pruned_offset: int | None = None
    """The highest offset of its records when it was pruned: a basis up to it may have held what was dropped."""
    pruned_at: Micros | None = None
    """The recorded time up to which its partition was projected then."""

    @property
    def parking(self) -> Parking | None:
        """Where the entity is parked."""
        if self.quarantined_offset is None or self.quarantined_at is None:
            return None
        return Parking(self.quarantined_offset, self.quarantined_at, self.failing_valid, self.failing_offset)

    @property
    def unstored(self) -> Unstored:
        """Which beliefs are not kept as rows."""
        return Unstored(self.unstored_offset, self.unstored_at, self.unstored_valid)


class Parking(NamedTuple):
    """Where an entity is parked: in front of a record that cannot be applied."""

    offset: int
    recorded_at: Micros
    failing_valid: Micros | None = None
    failing_offset: int | None = None


class Unstored(NamedTuple):
    """Which beliefs about an entity are not kept as rows; each field as in a :class:`Head`."""

    unstored_offset: int | None = None
    unstored_at: Micros | None = None
    unstored_valid: Micros | None = None

    def extended(self, by: Version, valid: Micros) -> Unstored:
        """Return the same with those about instants from ``valid`` on, at bases up to the record ``by``."""
        earlier = self.unstored_valid
        return Unstored(by.offset, by.recorded_at, valid if earlier is None else min(valid, earlier))


class Quarantined(NamedTuple):
    """A record that is kept aside as it stood in the log: a row of ``quarantine``."""

    partition: int
    offset: int
    entity_id: str | None
    """``None`` where the key cannot be read; then it parks nothing."""
    recorded_at: Micros
    key: bytes | None
    value: bytes | None
    headers: str
    """JSON: a list of ``[name, value]``, each value in base64 or null."""
    error_class: str | None
    """The name of the error's class; ``None`` where nothing was wrong with the record when it was last looked at."""
    error: str | None
    attempts: int
    """How often it was tried as the first of its queue: once when it came, and at each retry."""
    status: str
    """``failed``, ``waiting`` behind a record that failed, or ``discarded``."""
    reason: str | None
    """Why it is to be discarded, or was."""
    request: str | None
    """What the worker is asked to do: ``retry`` or ``discard``."""

    def __repr__(self) -> str:
        return _without_payload(self)


class Known(NamedTuple):
    """An event id that the entity already has."""

    entity_id: str
    event_id: str
    valid_from: Micros
    event_type: str
    event: bytes
    """The record's value."""
    withdraws: str | None
    """The event id that it withdraws."""
    live: bool
    """It has a row in ``versions``, or had one that was pruned; else it was withdrawn, or only withdraws another."""
    digest: bytes | None = None
    """Of an event whose row was pruned: :func:`digest_of` it; ``event_type`` and ``event`` are empty then."""

    def has_content_of(self, row: Version) -> bool:
        """Say whether the event is of the same type, holds the same bytes and withdraws the same."""
        if self.digest is not None:
            return self.digest == digest_of(row.event_type, row.event, row.withdraws)
        return (self.event_type, self.event, self.withdraws) == (row.event_type, row.event, row.withdraws)

    @classmethod
    def of(cls, row: Version, *, live: bool) -> Known:
        """Return what is known of an event from now on."""
        return cls(row.entity_id, row.event_id, row.valid_from, row.event_type, row.event, row.withdraws, live)

    def __repr__(self) -> str:
        return _without_payload(self)


def digest_of(event_type: str, event: bytes, withdraws: str | None) -> bytes:
    """Return 32 bytes by which an event is recognised when its own are gone."""
    # Neither text can hold the separator, as PostgreSQL takes no such text.
    return hashlib.sha256(f"{event_type}\0{withdraws or ''}\0".encode() + event).digest()


@dataclass(slots=True)
class Changes:
    """Everything that one batch writes, for all its entities. A store executes it and decides nothing."""

    inserted: list[Version] = field(default_factory=list)
    updated: list[Version] = field(default_factory=list)
    """Rows whose key exists: state, ``refolded_offset`` and ``refolded_at`` are new."""
    removed: list[Version] = field(default_factory=list)
    superseded: list[Superseded] = field(default_factory=list)
    withdrawals: list[Withdrawal] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    heads: list[Head] = field(default_factory=list)
    """One per touched entity: insert or replace."""
    kept: list[Quarantined] = field(default_factory=list)
    """Records to keep aside: insert or replace."""
    released: list[Quarantined] = field(default_factory=list)
    """Records that are kept aside no more."""

    def add(self, other: Changes) -> None:
        """Add the changes of ``other``."""
        for each in fields(self):
            getattr(self, each.name).extend(getattr(other, each.name))

    def marks(self) -> tuple[int, int, int]:
        """Return what :meth:`rewind` needs while one entity's records are applied."""
        return len(self.superseded), len(self.withdrawals), len(self.conflicts)

    def rewind(self, marks: tuple[int, int, int]) -> None:
        """Take out what was added since, by an entity that was not finished."""
        superseded, withdrawals, conflicts = marks
        del self.superseded[superseded:], self.withdrawals[withdrawals:], self.conflicts[conflicts:]

    def copy(self) -> Changes:
        """Return changes that can be added to without touching these."""
        return Changes(**{each.name: list(getattr(self, each.name)) for each in fields(self)})
