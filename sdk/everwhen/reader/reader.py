"""The reader: the state of any entity at any instant, from the store alone."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from types import TracebackType
from typing import Any, Final, Generic, Literal, Self, TypeVar, overload

from everwhen.errors import ArgumentError, NotYetProjected
from everwhen.instants import to_micros
from everwhen.ports.answers import AsOf, Changed, Found, StoreReader, VersionRow
from everwhen.ports.clock import Clock
from everwhen.ports.generations import Generation
from everwhen.ports.store import Store
from everwhen.positions import Basis
from everwhen.reader.answer import Answer, History, Status
from everwhen.reader.answering import Answering
from everwhen.reader.audit import Audit, belief
from everwhen.reader.changes import Changes
from everwhen.reader.chronicle import Chronicle, pruned_before
from everwhen.reader.current import Current
from everwhen.reader.diff import Diff, field_changes
from everwhen.reader.explanation import Explaining, Explanation
from everwhen.reader.incomplete import incomplete_of
from everwhen.reader.join import Join
from everwhen.reader.point import At, Point, as_of, at, read_basis
from everwhen.reader.snapshot import Snapshot
from everwhen.reader.states import States
from everwhen.reader.waiting import Waiting
from everwhen.tokens import Written, token_of

S = TypeVar("S")

_PATIENCE: Final = 5.0
"""Seconds to wait for what comes with a question: a token may come from anyone, who must not hold a thread for ever."""


class Reader(Generic[S]):
    """Asks a projection's store. It needs no Kafka, no registry and no contract files.

    :param name: the projection's name.
    :param states: how states are shown.
    :param store: where they are.
    :param clock: what ``now`` is.
    :param generation: the number of the generation to ask; left out, the one that answers, which a switch is noticed
        of within about a second.

    Thread-safe; every method blocks for one or two round trips to the database.
    """

    def __init__(
        self, name: str, states: States[S], store: Store, clock: Clock, *, generation: int | None = None
    ) -> None:
        self._name = name
        self._states = states
        self._store = store
        self._clock = clock
        self._current = Current(store, name, generation)

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
        at_least: Written | None = None,
        timeout: float | None = _PATIENCE,
    ) -> Answer[S]:
        """Return the state of one entity.

        :param entity_id: which one.
        :param valid_at: at which instant (aware); now if left out. An event counts from its own instant on.
        :param known_at: as known at which instant (aware): only what the log had recorded by then counts.
        :param basis: as known at which basis: the answer is the one it was then, for ever.
        :param at_least: wait first until this is projected, as :meth:`wait_for` does: a token, a receipt or a position.
            When the time is up, the answer is ``NOT_YET_PROJECTED``, and ``behind`` says how far the projection is.
        :param timeout: how many seconds that may take; ``None``: any time.
        :raises InstantError: for a naive datetime or one that is finer than a microsecond.
        :raises ArgumentError: if two of ``known_at``, ``basis`` and ``at_least`` contradict each other, or the basis or
            the token is of another topic or log.
        :raises ProjectionNotFound: if nothing was projected under this name.
        :raises NotStored: if an earlier belief must be folded and this reader has no projection code.
        :raises StoreUnavailable: if the database cannot be reached.
        """
        if at_least is None:
            reader = self._reader(basis)
            return self._ask(reader, entity_id, self._as_of(reader, valid_at, known_at, basis))
        if basis is not None:
            raise ArgumentError("give at_least or basis, not both: what was known at a basis does not change")
        waiting = self.waiting(at_least, timeout)
        reached = waiting.wait()
        reader = self._reader() if reached is None else reached
        answer = self._ask(reader, entity_id, self._as_of(reader, valid_at, known_at, None))
        return answer if reached is not None else answer.not_yet(waiting.behind)

    def as_believed(self, entity_id: str, instant: datetime) -> Answer[S]:
        """Return what was believed at an instant to be true at that instant: valid and known at the same time.

        Errors are those of :meth:`get`.
        """
        return self.get(entity_id, valid_at=instant, known_at=instant)

    @overload
    def history(
        self,
        entity_id: str,
        *,
        known_at: datetime | None = None,
        basis: Basis | str | None = None,
        audit: Literal[False] = False,
    ) -> History[S]: ...

    @overload
    def history(self, entity_id: str, *, audit: Literal[True]) -> Audit[S]: ...

    def history(
        self,
        entity_id: str,
        *,
        known_at: datetime | None = None,
        basis: Basis | str | None = None,
        audit: bool = False,
    ) -> History[S] | Audit[S]:
        """Return all versions of one entity, in the order of valid time, future ones included.

        :param audit: return every belief that was ever held instead, each with the interval of knowledge in which it
            was; then neither ``known_at`` nor ``basis`` may be given.

        Other parameters and errors are those of :meth:`get`.
        """
        if audit:
            if known_at is not None or basis is not None:
                raise ArgumentError("an audit is about every point of knowledge; leave known_at and basis out")
            return self._audit(_check_id(entity_id))
        reader = self._reader(basis)
        asked = self._as_of(reader, None, known_at, basis)
        found, rows = reader.history(_check_id(entity_id), asked)
        return Answering(reader, self._states, asked).history(entity_id, found, rows)

    def explain(
        self,
        entity_id: str,
        *,
        valid_at: datetime | None = None,
        known_at: datetime | None = None,
        basis: Basis | str | None = None,
    ) -> Explanation[S]:
        """Return the answer of :meth:`get` with the events that were folded into it, and those that were not.

        Reads all rows of the entity. Parameters and errors are those of :meth:`get`; :class:`RecordError` too, if a
        stored event cannot be read by today's classes.
        """
        reader = self._reader(basis)
        answer = self._ask(reader, entity_id, self._as_of(reader, valid_at, known_at, basis))
        # Read after the answer, so that they hold everything that its basis does.
        explaining, point = self._explaining(reader, entity_id), _point_of(answer)
        return Explanation(
            answer=answer,
            events=() if answer.status is Status.TRUNCATED else explaining.events(point, folded=answer.folded),
            withdrawn=explaining.withdrawn(point),
            conflicts=explaining.conflicts(point),
            discarded=explaining.discarded(point),
            decisions=explaining.decisions(reader.decisions()),
            pruned_before=explaining.pruned_before,
        )

    def diff(self, entity_id: str, a: Point, b: Point) -> Diff[S]:
        """Return what differs between two points, and the events that make the difference.

        :param a: an instant of valid time (aware), as known now; an :class:`At` on both axes; or an earlier answer.
        :param b: as ``a``. Points that do not say what was known share one basis.

        Reads all rows of the entity. Errors are those of :meth:`explain`.
        """
        points = at(a), at(b)
        readers = [self._reader(point.basis) for point in points]
        marks = self._reader().marks()
        before, after = (
            self._ask(reader, entity_id, self._shared(reader, point, marks))
            for reader, point in zip(readers, points, strict=True)
        )
        if Status.TRUNCATED in (before.status, after.status):
            return Diff(before=before, after=after, changes=(), added=(), removed=())
        folded = [
            {
                fact.position: fact
                for fact in self._explaining(reader, entity_id).events(_point_of(each), folded=each.folded)
            }
            for reader, each in zip(readers, (before, after), strict=True)
        ]
        return Diff(
            before=before,
            after=after,
            changes=tuple(field_changes(self._document(before), self._document(after))),
            added=tuple(fact for position, fact in folded[1].items() if position not in folded[0]),
            removed=tuple(fact for position, fact in folded[0].items() if position not in folded[1]),
        )

    def changes(self, since: Basis | str | None = None, *, valid_at: datetime | None = None) -> Changes[S]:
        """Return every entity of which other events count now than at a basis, ordered by entity id.

        ::

            with reader.changes(since=token) as changes:
                for change in changes:
                    ...
                token = str(changes.basis)   # keep it when everything above is done

        It is about what became known. A future-dated event is reported when it is recorded, not when its instant
        comes; an event that came and was withdrawn in between is not reported.

        :param since: the basis of an answer, or of the changes before; ``None`` for everything from the beginning.
        :param valid_at: at which instant to say what is believed of each now (aware); now if left out.
        :raises NotYetProjected: if the store is not as far as ``since``, as a replica or a rebuild may be.

        Other errors are those of :meth:`get`. Streams in constant memory, as a snapshot does; it looks at the row of
        every entity, and at all rows of those that had a record since.
        """
        reader = self._reader()
        instant = self._clock.now() if valid_at is None else to_micros(valid_at, "valid_at")
        basis = Basis.of(reader.generation.topic, {}) if since is None else read_basis(since, reader.generation)
        answering = Answering(reader, self._states, AsOf(instant))

        def answer(changed: Changed) -> Answer[S]:
            assert changed.found.head is not None
            return answering.answer(changed.found.head.entity_id, instant, changed.found)

        changes = Changes(reader.changes(basis, instant), answer)
        if any(mark.next_offset > changes.basis.next_offset(partition) for partition, mark in basis.items()):
            changes.close()
            raise NotYetProjected(
                f"projection {self._name} in this store has not reached the basis that changes are asked since; wait "
                "for its worker, or ask the store that the basis came from"
            )
        return changes

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
        reader = self._reader(basis)
        asked = self._as_of(reader, valid_at, known_at, basis)
        answering = Answering(reader, self._states, asked)

        def answer(found: Found) -> Answer[S]:
            assert found.head is not None
            return answering.answer(found.head.entity_id, asked.valid_at, found)

        return Snapshot(reader.snapshot(asked), answer, answering.pin, deleted=deleted)

    def join(
        self,
        rows: Iterable[tuple[str, datetime]],
        *,
        known_at: datetime | None = None,
        basis: Basis | str | None = None,
    ) -> Join[S]:
        """Return for each entity and instant what :meth:`get` would, in the order of the rows, all at one basis.

        Streams: reads the rows a few thousand at a time, so they may come from a generator or a file of any length.
        As many again are read before the first ones are answered, so that the database is never kept waiting.
        Iterate once, or use it in a ``with`` block if you may stop early. It waits for the rows with a snapshot of the
        database open, so do not let it wait for long.

        :param rows: pairs of an entity's id and an aware datetime.
        :raises ArgumentError: also, when its turn comes, for a row that is not such a pair; it names the row's number,
            counted from 0.
        :raises InstantError: also for a row, as above.

        Other parameters and errors are those of :meth:`get`.
        """
        reader = self._reader(basis)
        asked = self._as_of(reader, None, known_at, basis)
        return Join(reader.join(asked), rows, lambda store: Answering(store, self._states, asked))

    def wait_for(self, written: Written, *, timeout: float | None = None) -> Basis:
        """Wait until an event is projected: read your own writes.

        Waits for the database to tell of it where it can (PostgreSQL), and asks it again and again anyway. If another
        generation comes to answer meanwhile, it is that one's turn to reach the event.

        :param written: what ``publish`` returned, its ``token``, or a position.
        :param timeout: seconds; ``None`` waits for ever. Waiting for the log to acknowledge a receipt does not count.
        :return: a basis that holds the event.
        :raises NotYetProjected: when the time is up, saying how far the projection is.
        :raises ArgumentError: if the token is none, or of another topic or log than the projection's.
        :raises PublishError: of a receipt, if the log did not take the event.
        :raises StoreUnavailable: if the database cannot be reached.
        """
        waiting = self.waiting(written, timeout)
        reader = waiting.wait()
        if reader is None:
            raise waiting.late()
        return reader.marks()

    def waiting(self, written: Written, timeout: float | None) -> Waiting:
        """Return the wait of :meth:`wait_for` in steps, for a program that has another way to pass the time."""
        return Waiting(self._store, self._name, self._current, token_of(written), timeout)

    # -- from the store's words to ours ----------------------------------------------------------------------------

    def _reader(self, basis: Basis | str | None = None) -> StoreReader:
        return self._current.reader(Basis.parse(basis) if isinstance(basis, str) else basis)

    def _as_of(
        self,
        reader: StoreReader,
        valid_at: datetime | None,
        known_at: datetime | None,
        basis: Basis | str | None,
    ) -> AsOf:
        if known_at is None and basis is None and valid_at is not None:
            return AsOf(to_micros(valid_at, "valid_at"))
        point = At(valid_at=valid_at, known_at=known_at, basis=basis)
        return as_of(point, self._clock.now(), reader.generation)

    def _ask(self, reader: StoreReader, entity_id: str, asked: AsOf) -> Answer[S]:
        found = reader.find(_check_id(entity_id), asked)
        return Answering(reader, self._states, asked).answer(entity_id, asked.valid_at, found)

    def _shared(self, reader: StoreReader, point: At, marks: Basis) -> AsOf:
        """Return a point; one that does not say what was known is as known at ``marks``."""
        asked = as_of(point, self._clock.now(), reader.generation)
        return AsOf(asked.valid_at, marks) if asked.is_now else asked

    def _audit(self, entity_id: str) -> Audit[S]:
        reader = self._reader()
        chronicle = Chronicle(reader.rows(entity_id))
        marks, head = chronicle.rows.marks, chronicle.rows.head
        answering = Answering(reader, self._states, AsOf(0))
        if head is not None and head.unstored_offset is not None:
            chronicle = chronicle.replayed(self._states.folding(entity_id, reader.generation))
        return Audit(
            entity_id=entity_id,
            status=answering.history_status(head, exists=bool(chronicle.rows.versions)),
            beliefs=tuple(
                belief(answering.version(VersionRow.of(held.row, held.valid_to, held.ended_at)), held)
                for held in chronicle.beliefs()
            ),
            basis=marks,
            incomplete=incomplete_of(marks, head),
            pruned_before=pruned_before(head),
        )

    def _document(self, answer: Answer[S]) -> Any:
        return None if answer.state is None else self._states.document(answer.state)

    def _explaining(self, reader: StoreReader, entity_id: str) -> Explaining:
        return Explaining(Chronicle(reader.rows(entity_id)), self._states, reader.generation)


def _check_id(entity_id: Any) -> str:
    if not isinstance(entity_id, str) or not entity_id:
        raise ArgumentError("entity_id must be a non-empty str")
    return entity_id


def _point_of(answer: Answer[Any]) -> AsOf:
    """The point at which the same answer is given for ever."""
    return AsOf(to_micros(answer.valid_at, "valid_at"), answer.basis, answer.basis.known_at)
