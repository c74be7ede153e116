"""The ids of a registry's schemas, as a codec needs them: from memory, from the registry, or from the disk."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from everwhen.errors import (
    EverwhenError,
    RegistryError,
    RegistryRefused,
    SchemaNotRegistered,
    SchemaOutOfReach,
    SchemaWithheld,
    UnknownSchema,
)
from everwhen.event import compatibility
from everwhen.event.contracts import Version
from everwhen.event.schema import resolve
from everwhen.registry.subjects import Subjects, subject_of

if TYPE_CHECKING:
    from uuid import UUID

    from everwhen.event.avro import Schema
    from everwhen.registry.cache import DiskCache
    from everwhen.registry.client import RegistryClient

T = TypeVar("T")

_log = logging.getLogger("everwhen.registry")
PATIENCE: Final = 1.0
"""For how many seconds an answer is waited for, where there is something else to do meanwhile."""


class RegistryIds:
    """Implements :class:`everwhen.event.codec.SchemaIds` with a registry.

    The registry comes first. What it has answered is kept in memory for ever, as an id never changes its schema, and
    on the disk, for when it cannot be asked. Whoever reads never waits longer than a second: questions are asked in
    threads of their own, and an answer that comes late is there when it is asked for again.

    Threads can share it.

    :param client: asks the registry.
    :param topic: which subjects are meant.
    :param register: register a schema that the registry does not have.
    :param cache: the answers on the disk.
    """

    def __init__(
        self,
        client: RegistryClient,
        topic: str,
        subjects: Subjects,
        *,
        register: bool = False,
        cache: DiskCache | None = None,
    ) -> None:
        self._client = client
        self._topic = topic
        self._subjects = subjects
        self._register = register
        self._cache = cache
        self._lock = threading.Lock()
        self._schemas: dict[int | UUID, Schema] = {}
        self._asking: dict[int | UUID, _Question[Schema | None]] = {}
        self._ids: dict[str, int] = {}

    def close(self) -> None:
        """Free the connections. Idempotent."""
        self._client.close()

    def id_for(self, schema: Schema) -> int:
        """Return the id of a schema under its subject. Blocks until the registry answers or is known to be away.

        :raises SchemaNotRegistered: if it is not there, and is not to be registered.
        :raises SchemaRefused: if it is to be registered and the registry does not take it.
        :raises RegistryError: if the registry cannot be asked, and no earlier answer was kept.
        """
        name = resolve(schema).name
        if name not in self._ids:  # a program has one newest schema of each type
            self._ids[name] = self._id_of(subject_of(self._subjects, self._topic, name), schema)
        return self._ids[name]

    def _id_of(self, subject: str, schema: Schema) -> int:
        kept = None if self._cache is None else self._cache.id(subject, schema)
        question = _Question(lambda: self._ask_id(subject, schema))
        if kept is not None and not question.wait(PATIENCE):
            _log.warning("registry.away its id of %s is taken from the disk: it does not answer", subject)
            return kept
        try:
            number = question.answer()
        except SchemaNotRegistered:
            raise
        except RegistryError as error:
            if kept is None:
                raise
            _log.warning(
                "registry.refused its id of %s is taken from the disk: %s"
                if isinstance(error, RegistryRefused)
                else "registry.away its id of %s is taken from the disk: %s",
                subject,
                error,
            )
            return kept
        if self._cache is not None:
            self._cache.keep_id(subject, schema, number)
        return number

    def schema_for(self, ref: int | UUID) -> Schema | None:
        """Return the schema of an id or GUID; ``None`` if the registry does not know it. Blocks for a second at most.

        :raises SchemaOutOfReach: if the registry does not answer, and no earlier answer was kept.
        :raises SchemaWithheld: if it refuses the credentials, and no earlier answer was kept.
        :raises UnknownSchema: if its answer is no Avro schema of a record, or another one than it was before.
        """
        with self._lock:
            known = self._schemas.get(ref)
            if known is not None:
                return known
            question = self._asking.get(ref)
            if question is None:
                question = self._asking[ref] = _Question(lambda: self._client.schema(ref))
        try:
            schema = self._settled(ref, question)
        finally:
            if question.done:  # else its answer is there when the schema is asked for again
                with self._lock:
                    self._asking.pop(ref, None)
        if schema is not None:
            self._schemas[ref] = schema
        return schema

    def _settled(self, ref: int | UUID, question: _Question[Schema | None]) -> Schema | None:
        kept = None if self._cache is None else self._cache.schema(ref)
        try:
            if not question.wait(PATIENCE):
                raise RegistryError(f"it has not answered within {PATIENCE:g} s")
            schema = question.answer()
        except UnknownSchema:
            raise
        except RegistryError as error:
            if kept is None:
                kind = SchemaWithheld if isinstance(error, RegistryRefused) else SchemaOutOfReach
                raise kind(f"the registry cannot be asked for the schema {ref}: {error}") from error
            _log.warning(
                "registry.refused its schema %s is taken from the disk: %s"
                if isinstance(error, RegistryRefused)
                else "registry.away its schema %s is taken from the disk: %s",
                ref,
                error,
            )
            return kept
        if schema is None:
            if kept is not None:
                _log.warning("registry.forgot the schema %s; it is taken from the disk", ref)
            return kept
        if kept is not None and not _is_same(kept, schema):
            raise UnknownSchema(
                f"the registry's schema {ref} is another one than it was: the registry was replaced, and its ids mean "
                "other schemas now. Restore it, or, if the records of this topic are of the new one, remove its cache"
            )
        if self._cache is not None and kept is None:
            self._cache.keep_schema(ref, schema)
        return schema

    def _ask_id(self, subject: str, schema: Schema) -> int:
        found = self._client.look_up(subject, schema)
        if found is None and self._register:
            found = self._client.register(subject, schema)
            _log.info("registry.registered %s, version %d, id %d", subject, found.version, found.id)
        if found is None:
            raise SchemaNotRegistered(
                f"the registry does not have this program's newest schema under the subject {subject}; run "
                "`everwhen schema register MODULE:TOPIC`, or say Registry(..., register=True)"
            )
        return found.id


def _is_same(one: Schema, other: Schema) -> bool:
    """Say whether two schemas give all bytes the same meaning: a registry may write one of them in other words."""
    if one == other:
        return True
    alike = not compatibility.check(one, other) and not compatibility.check(other, one)
    return alike and Version.of(0, one).fingerprint == Version.of(0, other).fingerprint


class _Question(Generic[T]):
    """One call in a thread of its own: a registry can keep silent for longer than others can wait."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._result: T
        self._error: EverwhenError | None = None
        self._call = call
        self._ended = threading.Event()
        # A daemon: nobody waits for the rest of a question when the program ends.
        threading.Thread(target=self._run, name="everwhen-registry", daemon=True).start()

    @property
    def done(self) -> bool:
        """Whether it was answered, or failed."""
        return self._ended.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait for the answer; say whether it is there."""
        return self._ended.wait(seconds)

    def answer(self) -> T:
        """Wait for the answer and return it, or raise what it failed with."""
        self._ended.wait()
        if self._error is not None:
            raise self._error
        return self._result

    def _run(self) -> None:
        try:
            self._result = self._call()
        except EverwhenError as error:
            self._error = error
        except Exception as error:  # noqa: BLE001 - or whoever waits would wait for ever
            self._error = RegistryError(f"asking the registry failed with {type(error).__name__}")
        finally:
            self._ended.set()
