"""The reader: the state of any entity at any instant, from the store alone."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

from everwhen.errors import ArgumentError, NotYetProjected, ProjectionNotFound
from everwhen.instants import Micros, from_micros, to_micros
from everwhen.ports.clock import Clock
from everwhen.ports.store import AsOf, Found, Generation, Store, StoreReader, VersionRow
from everwhen.positions import Basis, Position
from everwhen.projection.rows import Version as Row
from everwhen.reader.answer import Answer, History, Status, Version
from everwhen.reader.snapshot import Snapshot
from everwhen.reader.states import States

S = TypeVar("S")

_FIRST_WAIT, _LONGEST_WAIT = 0.002, 0.1
"""Seconds between two looks at the checkpoints while waiting for a position: doubled up to the longest."""


class HasPosition(Protocol):
    """A receipt: anything that knows where its event stands, once the log has acknowledged it."""

    @property
    def position(self) -> Position:
        """The position; blocks until it is known."""
        ...


class Reader(Generic[S]):
    """Asks a projection's store. It needs no Kafka, no registry and no contract files.

    :param name: the projection's name.
    :param states: how states are shown.
    :param store: where they are.
    :param clock: what ``now`` is.

    Thread-safe; every method blocks for one or two round trips to the database.
    """

    def __init__(self, name: str, states: States[S], store: Store, clock: Clock) -> None:
        self._name = name
        self._states = states
        self._store = store
        self._clock = clock
        self._opened: StoreReader | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the connections to the store. Idempotent."""
        self._store.close()

    @property
    def generation(self) -> Generation:
        """The build of the projection that answers.

        :raises ProjectionNotFound: if nothing was projected under this name.
        """
        return self._reader().generation

    def get(
        self,
        entity_id: str,
        *,
        valid_at: datetime | None = None,
        known_at: datetime | None = None,
        basis: Basis | str | None = None,
    ) -> Answer[S]:
        """Return the state of one entity.

        :param entity_id: which one.
        :param valid_at: at which instant (aware); now if left out. An event counts from its own instant on.
        :param known_at: as known at which instant (aware): only what the log had recorded by then counts.
        :param basis: as known at which basis: the answer is the one it was then, for ever.
        :raises InstantError: for a naive datetime or one that is finer than a microsecond.
        :raises ArgumentError: if both ``known_at`` and ``basis`` are given, or the basis is of another topic.
        :raises ProjectionNotFound: if nothing was projected under this name.
        :raises NotStored: if an earlier belief must be folded and this reader has no projection code.
        :raises StoreUnavailable: if the database cannot be reached.
        """
        reader = self._reader()
        as_of = self._as_of(reader, valid_at, known_at, basis)
        return self._answer(reader, _check_id(entity_id), as_of, reader.find(entity_id, as_of))

    def history(
        self, entity_id: str, *, known_at: datetime | None = None, basis: Basis | str | None = None
    ) -> History[S]:
        """Return all versions of one entity, in the order of valid time, future ones included.

        Parameters and errors are those of :meth:`get`.
        """
        reader = self._reader()
        as_of = self._as_of(reader, None, known_at, basis)
        found, rows = reader.history(_check_id(entity_id), as_of)
        pinned = _pin(as_of, found.marks)
        if _is_ahead(as_of, found):
            return History(entity_id=entity_id, status=Status.NOT_YET_PROJECTED, versions=(), basis=pinned)
        if found.unstored:
            rows = self._fold(reader, entity_id, as_of)
        versions = tuple(self._version(reader.generation, row) for row in _visible(rows))
        status = Status.FOUND if versions else Status.NEVER_EXISTED
        if found.head is not None and found.head.quarantined_offset is not None:
            status = Status.QUARANTINED
        return History(entity_id=entity_id, status=status, versions=versions, basis=pinned)

    def snapshot(
        self,
        *,
        valid_at: datetime | None = None,
        known_at: datetime | None = None,
        basis: Basis | str | None = None,
        deleted: bool = False,
    ) -> Snapshot[S]:
        """Return every entity that has a state at the instant, ordered by entity id, all at one basis.

        Streams in constant memory: iterate once, or use it in a ``with`` block if you may stop early.

        :param deleted: also give the entities that are deleted at the instant.

        Other parameters and errors are those of :meth:`get`.
        """
        reader = self._reader()
        as_of = self._as_of(reader, valid_at, known_at, basis)

        def answer(found: Found) -> Answer[S]:
            assert found.head is not None
            return self._answer(reader, found.head.entity_id, as_of, found)

        return Snapshot(reader.snapshot(as_of), answer, lambda marks: _pin(as_of, marks), deleted=deleted)

    def wait_for(self, receipt: HasPosition | Position, *, timeout: float | None = None) -> Basis:
        """Wait until the event of a receipt is projected: read your own writes.

        :param receipt: what ``publish`` returned, or a position.
        :param timeout: seconds; ``None`` waits for ever.
        :return: a basis that holds the event.
        :raises NotYetProjected: when the time is up, saying how far the projection is.
        :raises ArgumentError: if the position is in another topic than the projection's.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        position = receipt if isinstance(receipt, Position) else receipt.position
        pause = _FIRST_WAIT
        while True:
            marks = self._marks_if_any()
            if marks is not None and _same_topic(marks, position.topic).covers(position):
                return marks
            left = pause if deadline is None else min(pause, deadline - time.monotonic())
            if left <= 0:
                reached = "nothing" if marks is None else f"offset {marks.next_offset(position.partition)}"
                raise NotYetProjected(
                    f"projection {self._name} has not reached {position} within {timeout} s; it is at {reached} of "
                    "that partition. Is its worker running?"
                )
            time.sleep(left)
            pause = min(2 * pause, _LONGEST_WAIT)

    # -- from the store's words to ours ----------------------------------------------------------------------------

    def _reader(self) -> StoreReader:
        if self._opened is None:
            self._opened = self._store.reader(self._name)
        return self._opened

    def _marks_if_any(self) -> Basis | None:
        try:
            return self._reader().marks()
        except ProjectionNotFound:
            return None

    def _as_of(
        self, reader: StoreReader, valid_at: datetime | None, known_at: datetime | None, basis: Basis | str | None
    ) -> AsOf:
        instant = self._clock.now() if valid_at is None else to_micros(valid_at, "valid_at")
        known = None if known_at is None else to_micros(known_at, "known_at")
        if basis is None:
            return AsOf(instant, None, known)
        if known is not None:
            raise ArgumentError("give known_at or basis, not both: each says what was known")
        basis = Basis.parse(basis) if isinstance(basis, str) else basis
        if basis.topic != reader.generation.topic:
            raise ArgumentError(
                f"the basis is of topic {basis.topic}; projection {self._name} reads {reader.generation.topic}"
            )
        return AsOf(instant, basis, basis.known_at)

    def _answer(self, reader: StoreReader, entity_id: str, as_of: AsOf, found: Found) -> Answer[S]:
        row, folded = found.row, False
        if _is_ahead(as_of, found):
            status, row = Status.NOT_YET_PROJECTED, None
        else:
            if found.unstored:
                row, folded = _valid_at(self._fold(reader, entity_id, as_of), as_of.valid_at), True
            status = self._status(reader, entity_id, as_of, found, row)
        pinned = _pin(as_of, found.marks)
        watermark = _watermark(pinned, found)
        return Answer(
            entity_id=entity_id,
            valid_at=from_micros(as_of.valid_at),
            status=status,
            version=None if row is None else self._version(reader.generation, row),
            basis=pinned,
            watermark=None if watermark is None else from_micros(watermark),
            folded=folded,
        )

    def _status(self, reader: StoreReader, entity_id: str, as_of: AsOf, found: Found, row: VersionRow | None) -> Status:
        if found.head is None:
            return Status.NEVER_EXISTED
        if found.head.quarantined_offset is not None:
            return Status.QUARANTINED
        if row is not None:
            return Status.FOUND if row.version.state is not None else Status.DELETED
        if as_of.basis is None and as_of.known_at is None:
            exists = found.head.first_valid is not None
        else:
            exists = bool(reader.events(entity_id, as_of))
        return Status.BEFORE_FIRST if exists else Status.NEVER_EXISTED

    def _fold(self, reader: StoreReader, entity_id: str, as_of: AsOf) -> list[VersionRow]:
        """Fold the events of the basis, for beliefs that are not kept as rows."""
        events = reader.events(entity_id, as_of)
        rows = [
            row._replace(state=state) for row, state in zip(events, self._states.fold(events, entity_id), strict=True)
        ]
        return [VersionRow(row, _next_after(rows, index), None) for index, row in enumerate(rows)]

    def _version(self, generation: Generation, row: VersionRow) -> Version[S]:
        version, valid_to, superseded_at = row
        return Version(
            state=None if version.state is None else self._states.read(version.state, generation),
            valid_from=from_micros(version.valid_from),
            valid_to=None if valid_to is None else from_micros(valid_to),
            recorded_at=from_micros(version.recorded_at),
            superseded_at=None if superseded_at is None else from_micros(superseded_at),
            event_id=version.event_id,
            event_type=version.event_type,
            position=Position(generation.topic, version.partition, version.offset),
        )


def _check_id(entity_id: Any) -> str:
    if not isinstance(entity_id, str) or not entity_id:
        raise ArgumentError("entity_id must be a non-empty str")
    return entity_id


def _same_topic(marks: Basis, topic: str) -> Basis:
    if marks.topic != topic:
        raise ArgumentError(f"the position is in topic {topic}; the projection reads {marks.topic}")
    return marks


def _pin(as_of: AsOf, marks: Basis) -> Basis:
    """The basis under which the same question gives the same answer."""
    return as_of.basis if as_of.basis is not None else Basis(marks.topic, marks.marks, as_of.known_at)


def _is_ahead(as_of: AsOf, found: Found) -> bool:
    """Whether more is asked for than is projected, in the entity's partition or, while that is unknown, in any."""
    partitions = list(found.marks) if found.head is None else [found.head.partition]
    if as_of.basis is not None:
        return any(as_of.basis.next_offset(p) > found.marks.next_offset(p) for p in partitions)
    if as_of.known_at is None:
        return False
    reached = [found.marks[p].watermark for p in partitions if p in found.marks]
    return not reached or min(reached) < as_of.known_at


def _watermark(basis: Basis, found: Found) -> Micros | None:
    if found.head is None:
        return basis.watermark
    mark = basis.get(found.head.partition)
    return mark.watermark if mark is not None and mark.watermark >= 0 else None


def _visible(rows: Iterable[VersionRow]) -> list[VersionRow]:
    """Keep the last of several versions that begin at one instant."""
    shown: list[VersionRow] = []
    for row in rows:
        if shown and shown[-1].version.valid_from == row.version.valid_from:
            shown.pop()
        shown.append(row)
    return shown


def _valid_at(rows: list[VersionRow], instant: Micros) -> VersionRow | None:
    return next((row for row in reversed(rows) if row.version.valid_from <= instant), None)


def _next_after(rows: list[Row], index: int) -> Micros | None:
    begin = rows[index].valid_from
    return next((row.valid_from for row in rows[index + 1 :] if row.valid_from > begin), None)
