"""From URLs and settings to concrete objects: the one place that knows every adapter.

The classes here are those that users construct. Each adds to its namesake only how arguments are resolved; adapters
are imported when a URL asks for them, so a reader loads no Kafka client and a publisher no database driver.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, overload

from pydantic import BaseModel

from everwhen import outbox as _outbox
from everwhen import publisher as _publisher
from everwhen import reader as _reader
from everwhen import worker as _worker
from everwhen.errors import EverwhenError, SettingsError
from everwhen.event import Topic
from everwhen.outbox import RelayObserver, RelaySettings
from everwhen.ports.clock import Clock, SystemClock
from everwhen.ports.log import Log
from everwhen.ports.store import Store
from everwhen.projection import Projection
from everwhen.registry import Registry, RegistryTarget
from everwhen.worker import Observer, Progress, WorkerSettings

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Connection, Engine

    from everwhen.event.codec import Codec
    from everwhen.registry.ids import RegistryIds
    from everwhen.sql.outbox import SqlOutbox

LogTarget: TypeAlias = str | Mapping[str, Any]
"""``kafka://HOST:PORT[,HOST:PORT]``, ``sqlite:///FILE``, or librdkafka's own settings as a mapping."""
StoreTarget: TypeAlias = "str | URL | Engine"
"""A SQLAlchemy URL or engine of SQLite or PostgreSQL."""

S = TypeVar("S")
M = TypeVar("M", bound=BaseModel)

_SQLITE = "sqlite:///"
_LOGS = "kafka://localhost:9092 or sqlite:///log.db"
_TIMEOUTS = ("message.timeout.ms", "delivery.timeout.ms")


def open_log(target: LogTarget | None = None) -> Log:
    """Open a log.

    :param target: where it is; from the environment variable ``EVERWHEN_LOG`` if left out.
    :raises SettingsError: if it is missing, of no kind that we know, or holds a setting that breaks a guarantee.
    """
    target = _or_environment(target, "EVERWHEN_LOG", "log", _LOGS)
    if isinstance(target, str) and target.startswith(_SQLITE):
        from everwhen.local import LocalLog

        return LocalLog(Path(_file(target, "log")))
    if isinstance(target, Mapping) or (isinstance(target, str) and target.startswith("kafka://")):
        from everwhen.kafka import KafkaLog

        return KafkaLog(target)
    raise SettingsError(f"log {_scheme(target)} is not known; give kafka://HOST:PORT or sqlite:///FILE")


def open_store(target: StoreTarget | None = None, *, takeover_seconds: float | None = None) -> Store:
    """Open a store.

    :param target: where it is; from the environment variable ``EVERWHEN_STORE`` if left out.
    :param takeover_seconds: after how long PostgreSQL ends a transaction of ours in which nothing happens; 30 if left
        out.
    :raises SettingsError: if it is missing, or not a URL that we know.
    :raises MissingExtra: if its driver is not installed.
    """
    example = "postgresql+psycopg://HOST/DATABASE or sqlite:///FILE"
    target = _or_environment(target, "EVERWHEN_STORE", "store", example)
    from everwhen.sql import SqlStore
    from everwhen.sql.engine import Timeouts
    from everwhen.sql.tls import warn_of_unverified

    store = SqlStore(target, timeouts=None if takeover_seconds is None else Timeouts.within(takeover_seconds))
    warn_of_unverified(target)
    return store


def open_outbox(target: StoreTarget | None = None, *, notify: bool = True) -> SqlOutbox:
    """Open an outbox, for its tables.

    :param target: the service's database; from the environment variable ``EVERWHEN_OUTBOX`` if left out.
    :param notify: wake relays by NOTIFY, on PostgreSQL.
    :raises SettingsError: if it is missing, or not a URL that we know.
    :raises MissingExtra: if its driver is not installed.
    """
    from everwhen.sql.outbox import SqlOutbox

    return SqlOutbox(_outbox_target(target), notify=notify)


def find_registry(target: RegistryTarget | None = None) -> Registry | None:
    """Return which schema registry is meant; nothing is connected to.

    :param target: the registry; from the environment variable ``EVERWHEN_REGISTRY`` if left out.
    :return: ``None`` if there is none.
    :raises SettingsError: if it is none that can be meant.
    """
    if target is None:
        target = os.environ.get("EVERWHEN_REGISTRY") or None
    return Registry(target) if isinstance(target, str | Mapping) else target


class Publisher(_publisher.Publisher):
    __doc__ = _publisher.Publisher.__doc__

    def __init__(
        self,
        topic: Topic,
        log: LogTarget | None = None,
        *,
        clock: Clock | None = None,
        registry: RegistryTarget | None = None,
    ) -> None:
        """Open a publisher.

        :param topic: what may be published.
        :param log: ``kafka://HOST:PORT``, ``sqlite:///FILE`` or a mapping of librdkafka settings; from the environment
            variable ``EVERWHEN_LOG`` if left out. A local file that does not have the topic yet gets it.
        :param clock: what ``occurred_at`` is when it is left out; the machine's clock by default.
        :param registry: a schema registry, whose ids the events are written with; from ``EVERWHEN_REGISTRY`` if left
            out, and without that none.
        :raises ContractError: if event classes and contract files do not agree.
        :raises SchemaNotRegistered: if the registry does not have the newest contract of each.
        :raises RegistryError: if the registry cannot be asked, and its answers are not on the disk.
        :raises TopicNotFound: if Kafka has no such topic.
        """
        contracts_first = topic.codec  # a contract error should not leave a connection or a file behind
        named = find_registry(registry)
        self._ids = None if named is None else named.ids(topic.name)
        codec = contracts_first if named is None or self._ids is None else _codec(topic, named, self._ids)
        opened = open_log(log)
        if _is_local(opened):
            opened.create_topic(topic.name, topic.partitions)
        super().__init__(topic, opened, clock or SystemClock(), codec)

    def close(self) -> None:
        try:
            super().close()
        finally:
            if self._ids is not None:
                self._ids.close()

    close.__doc__ = _publisher.Publisher.close.__doc__


class Outbox(_outbox.Outbox):
    __doc__ = _outbox.Outbox.__doc__

    def __init__(
        self,
        topic: Topic,
        database: StoreTarget | None = None,
        *,
        notify: bool = True,
        size_limit: int = _outbox.SIZE_LIMIT,
        clock: Clock | None = None,
        registry: RegistryTarget | None = None,
    ) -> None:
        """Open an outbox; the database is not connected to.

        :param topic: what may be published.
        :param database: the service's own database: its engine, or a SQLAlchemy URL of SQLite or PostgreSQL; the
            ``sync_engine`` of an ``AsyncEngine``. From the environment variable ``EVERWHEN_OUTBOX`` if left out.
        :param notify: on PostgreSQL, have each commit wake the relays. Commits that notify take turns there; without,
            relays look every half second.
        :param size_limit: the largest record that is taken, in bytes of key, value and headers together.
        :param clock: what ``occurred_at`` is when it is left out; the machine's clock by default.
        :param registry: as for :class:`Publisher`, asked once, now. It cannot be one with the id in a header.
        :raises ContractError: if event classes and contract files do not agree.
        :raises SchemaNotRegistered: if the registry does not have the newest contract of each.
        :raises RegistryError: if the registry cannot be asked, and its answers are not on the disk.
        :raises SettingsError: if the database is none that we know, or the registry cannot be used here.
        """
        codec, named = topic.codec, find_registry(registry)
        if named is not None:
            if named.frame == "header":
                raise SettingsError("an outbox has no column for a schema's id: give it Registry(..., frame='prefix')")
            with closing(named.ids(topic.name)) as ids:
                codec = _codec(topic, named, ids)
        self._tables = open_outbox(database, notify=notify)
        super().__init__(topic, self._tables, clock or SystemClock(), size_limit, codec)

    def create_tables(self, connection: Connection | None = None) -> bool:
        """Create the tables of the outbox that are missing; return whether some were.

        :param connection: do it in its transaction, such as ``op.get_bind()`` in a migration of Alembic's; in one of
            its own if left out.
        :raises StoreMismatch: if they are there in another version.
        :raises StoreError: if the database refused, or failed.
        """
        return self._tables.create_tables(connection)


class Relay(_outbox.Relay):
    __doc__ = _outbox.Relay.__doc__

    def __init__(
        self,
        topic: Topic,
        database: StoreTarget | None = None,
        log: LogTarget | None = None,
        *,
        settings: RelaySettings | None = None,
        clock: Clock | None = None,
        observer: RelayObserver | None = None,
    ) -> None:
        """Prepare a relay; :meth:`run` starts it.

        :param topic: what is relayed.
        :param database: the service's database, as for :class:`Outbox`; from ``EVERWHEN_OUTBOX`` if left out.
        :param log: as for :class:`Publisher`; from ``EVERWHEN_LOG`` if left out. Kafka is waited for without end,
            unless ``message.timeout.ms`` is given. A local file that does not have the topic yet gets it.
        :param settings: everything else that can be set.
        :param clock: when an event was sent; the machine's clock by default.
        :param observer: is told what the relay does, such as :class:`everwhen.metrics.RelayMetrics`.
        """
        opened = open_log(_without_timeout(_or_environment(log, "EVERWHEN_LOG", "log", _LOGS)))
        if _is_local(opened):
            opened.create_topic(topic.name, topic.partitions)
        from everwhen.sql.relay import SqlRelayStore

        store = SqlRelayStore(_outbox_target(database), topic.name)
        super().__init__(topic, store, opened, settings or RelaySettings(), clock or SystemClock(), observer)


class Worker(_worker.Worker):
    __doc__ = _worker.Worker.__doc__

    def __init__(
        self,
        projection: Projection[Any],
        log: LogTarget | None = None,
        store: StoreTarget | None = None,
        *,
        group: str | None = None,
        partitions: Sequence[int] | None = None,
        generation: int | None = None,
        settings: WorkerSettings | None = None,
        progress: Callable[[Progress], None] | None = None,
        clock: Clock | None = None,
        observer: Observer | None = None,
        registry: RegistryTarget | None = None,
    ) -> None:
        """Prepare a worker; :meth:`run` starts it.

        :param projection: what to fold.
        :param log: as for :class:`Publisher`; from ``EVERWHEN_LOG`` if left out.
        :param store: a SQLAlchemy URL or engine; from ``EVERWHEN_STORE`` if left out.
        :param group: the consumer group; by default one per generation of the projection.
        :param partitions: read exactly these partitions instead of sharing the topic with a group.
        :param generation: the number of the generation to write; by default the one that answers if this code built
            it, else the newest one that this code built.
        :param settings: everything else that can be set, from the environment (``EVERWHEN_BATCH_RECORDS``, …) if left
            out; ``group`` and ``partitions`` here come first.
        :param progress: called after every batch.
        :param clock: what tells how long an idle partition has been quiet; the machine's clock by default.
        :param observer: is told what the worker does, such as :class:`everwhen.metrics.Metrics`.
        :param registry: a schema registry, for records that name a schema of it; from ``EVERWHEN_REGISTRY`` if left
            out, and without that none.
        """
        chosen = settings or WorkerSettings.from_environment(os.environ)
        merged = replace(
            chosen,
            group=group or chosen.group,
            partitions=chosen.partitions if partitions is None else tuple(partitions),
        )
        named = find_registry(registry)
        self._registry_ids = None if named is None else named.ids(projection.topic.name)
        opened = open_store(store, takeover_seconds=merged.takeover_seconds)
        super().__init__(
            projection,
            open_log(log),
            opened,
            merged,
            progress,
            generation=generation,
            clock=clock or SystemClock(),
            observer=observer,
            ids=self._registry_ids,
        )

    def close(self) -> None:
        super().close()
        if self._registry_ids is not None:
            self._registry_ids.close()

    close.__doc__ = _worker.Worker.close.__doc__


class Reader(_reader.Reader[S]):
    __doc__ = _reader.Reader.__doc__

    @overload
    def __init__(
        self: Reader[M],
        projection: Projection[M],
        store: StoreTarget | None = None,
        *,
        generation: int | None = None,
        clock: Clock | None = None,
    ) -> None: ...

    @overload
    def __init__(
        self: Reader[dict[str, Any]],
        projection: str,
        store: StoreTarget | None = None,
        *,
        generation: int | None = None,
        clock: Clock | None = None,
    ) -> None: ...

    def __init__(
        self,
        projection: Projection[Any] | str,
        store: StoreTarget | None = None,
        *,
        generation: int | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Open a reader.

        :param projection: the projection, for states of its model; or only its name, for plain dicts.
        :param store: a SQLAlchemy URL or engine; from the environment variable ``EVERWHEN_STORE`` if left out.
        :param generation: the number of the generation to ask: what was *said* before a projection was rebuilt. Left
            out, the one that answers; a switch to another one is noticed within about a second.
        :param clock: what ``now`` is; the machine's clock by default.
        """
        name = projection if isinstance(projection, str) else projection.name
        states: Any = _reader.DictStates() if isinstance(projection, str) else _reader.ModelStates(projection)
        super().__init__(name, states, open_store(store), clock or SystemClock(), generation=generation)


def _codec(topic: Topic, registry: Registry, ids: RegistryIds) -> Codec:
    """Return what writes a topic's events with a registry's ids, which are all asked for at once."""
    from everwhen.event.codec import Codec  # not at the top, as Topic has it

    try:
        for contract in topic.contracts:
            if not contract.is_retired:
                ids.id_for(contract.newest.schema)
    except EverwhenError:
        ids.close()
        raise
    return Codec(topic.contracts, ids, in_header=registry.frame == "header")


def _or_environment(target: Any, variable: str, argument: str, example: str) -> Any:
    if target is None:
        target = os.environ.get(variable)
    if target is None or target == "":
        raise SettingsError(f"no {argument} was given; pass one or set {variable}, for example {example}")
    return target


def _outbox_target(target: StoreTarget | None) -> Any:
    example = "postgresql+psycopg://HOST/DATABASE or sqlite:///FILE"
    return _or_environment(target, "EVERWHEN_OUTBOX", "outbox", example)


def _without_timeout(target: LogTarget) -> LogTarget:
    """Have Kafka's client try for ever.

    A record that it gives up could be followed by one that it sends after all, of the same entity.
    """
    if isinstance(target, str):
        if not target.startswith("kafka://"):
            return target
        mark = "&" if "?" in target else "?"
        named = any(f"{name}=" in target for name in _TIMEOUTS)
        return target if named else f"{target}{mark}{_TIMEOUTS[0]}=0"
    return target if any(name in target for name in _TIMEOUTS) else {**target, _TIMEOUTS[0]: 0}


def _file(url: str, argument: str) -> str:
    path = url.removeprefix(_SQLITE)
    if not path or path.startswith(":memory:"):
        raise SettingsError(f"{argument} {_SQLITE} needs a file: an in-memory database is seen by one connection only")
    return path


def _scheme(url: object) -> str:
    """The part of a URL that can be shown: it may hold a password further on."""
    if not isinstance(url, str):
        return f"of type {type(url).__name__}"
    return repr(url.partition("://")[0] + "://…") if "://" in url else "without '://'"


def _is_local(log: Log) -> bool:
    return type(log).__module__.startswith("everwhen.local")
