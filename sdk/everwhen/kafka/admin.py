"""The little administration that we need: identify, create and check a topic."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicCollection, TopicPartition

# The package's documented names, which it does not mark as exported for type checkers.
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, OffsetSpec, ResourceType  # type: ignore[attr-defined]

from everwhen.errors import ArgumentError, LogError, LogUnavailable, TopicNotFound
from everwhen.instants import Micros
from everwhen.kafka.errors import (
    ALL_BROKERS_DOWN,
    CREATE_REMEDY,
    INVALID_ARGUMENT,
    NO_LEADERS,
    SILENCE,
    TIMED_OUT,
    WRONG_CREDENTIALS,
    error_of,
    hiding_secrets,
    may_pass,
    said_by,
    tls_remedy,
    translate,
    translate_settings,
)
from everwhen.kafka.logs import ClientLog, logger
from everwhen.kafka.settings import KafkaSettings
from everwhen.kafka.topics import TOPIC_SETTINGS, Place, TopicSettings, problems, retention
from everwhen.ports.log import UNKNOWN_ID, Retention, TopicDescription, TopicProblem

_T = TypeVar("_T")
_OFFSET_SPEC: Any = OffsetSpec

ANSWER_SECONDS = 15.0
"""How long one question to the brokers may take."""
_LOOK_AGAIN_SECONDS = 0.05
_NEWS_SECONDS = 2.0
"""How long the brokers of a cluster are given to hear of a topic."""
_FIRST_ANSWER_SECONDS = 0.5
_TLS_SECONDS = 3.0
"""How long a refusal by TLS is borne until a first broker has answered: another one may be in order."""
_BROKERS_DEFAULT = -1
_MILLISECOND = 1_000
_REFUSED_ARGUMENTS = frozenset(
    {
        KafkaError.INVALID_PARTITIONS,
        KafkaError.INVALID_REPLICATION_FACTOR,
        KafkaError.TOPIC_EXCEPTION,
        KafkaError.POLICY_VIOLATION,
        INVALID_ARGUMENT,
    }
)
_MOCK = "mockCluster"


class Admin:
    """Questions to the brokers. Thread-safe; each call blocks for :data:`ANSWER_SECONDS` at most.

    In a cluster it takes :data:`_NEWS_SECONDS` more to be sure that there is no topic of a name.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._client: AdminClient | None = None
        self._trouble: KafkaError | None = None
        self._mock: bool | None = None

    def describe(self, topic: str) -> TopicDescription:
        """Identify the topic.

        :raises TopicNotFound: if there is no such topic.
        :raises LogUnavailable: if no broker answers.
        """
        where = self._where(topic)
        if self._is_mock(where):
            return self._describe_in_mock(topic)
        found = self._find(topic)
        cluster_id = self._ask(where, _cluster).cluster_id or ""
        return TopicDescription(topic, len(found.partitions), cluster_id, _id_of(found))

    def identity(self, topic: str, within: float) -> tuple[str, int]:
        """Ask for the topic's present id and partitions; up to ``within`` seconds if a broker has answered before.

        :raises TopicNotFound: if there is no such topic any more.
        :raises LogUnavailable: if no broker answers.
        """
        where = self._where(topic)
        if self._is_mock(where):
            return UNKNOWN_ID, 0
        found = self._find(topic, within)
        return _id_of(found), len(found.partitions)

    def create(self, topic: str, partitions: int, replication: int | None) -> bool:
        """Create the topic with :data:`~everwhen.kafka.topics.TOPIC_SETTINGS`; ``False`` if it is there already.

        Returns when the leaders of all its partitions know it.

        :raises ArgumentError: if the broker refuses the name or the numbers.
        :raises LogError: if it may not be created, or the brokers do not answer.
        """
        where = f"{self._where(topic)}: it cannot be created"
        if partitions < 1:
            raise ArgumentError(f"{where}: it needs at least one partition, not {partitions}")
        replicas = _BROKERS_DEFAULT if replication is None else replication
        new = NewTopic(topic, partitions, replicas, config=dict(TOPIC_SETTINGS))
        try:
            self._ask(where, lambda client: client.create_topics([new], request_timeout=ANSWER_SECONDS)[topic].result())
        except LogError as error:
            if not isinstance(error.__cause__, KafkaException):
                raise
            code = error_of(error.__cause__).code()
            if code == KafkaError.TOPIC_ALREADY_EXISTS:
                return False
            if code in _REFUSED_ARGUMENTS:
                raise ArgumentError(str(error)) from error.__cause__
            raise
        self._wait_until_known(topic)
        return True

    def problems(self, topic: str) -> list[TopicProblem]:
        """Name what endangers the guarantee, each with its remedy; log what is only unwise.

        :raises TopicNotFound: if there is no such topic.
        :raises LogError: if the settings may not be read.
        """
        where = self._where(topic)
        if self._is_mock(where):
            self.describe(topic)
            logger.warning("topic.unchecked %s: a mock cluster has no settings to check", where, extra={"topic": topic})
            return []
        described = self._ask(where, _topic(topic))
        replication = min((len(partition.replicas) for partition in described.partitions), default=0)
        found = TopicSettings(self._ask(where, _settings_of(topic)), replication)
        if replication == 1 and len(self._ask(where, _metadata).brokers) > 1:
            text = "topic.unreplicated %s: it has one replica; a lost disk loses its history for ever"
            logger.warning(text, where, extra={"topic": topic})
        return problems(Place(topic, self._settings.brokers), found, self._settings.message_max_bytes)

    def retention(self, topic: str, within: float) -> Retention | None:
        """Ask after what records are deleted; ``None`` of a mock cluster, which has no settings."""
        where = self._where(topic)
        if self._is_mock(where):
            return None
        return retention(self._ask(where, _settings_of(topic, within), within))

    def ends(self, topic: str, partitions: Sequence[int]) -> dict[int, int]:
        """Return the offset after the last record that a ``read_committed`` consumer can see."""
        return self._ask(self._where(topic), _offsets(topic, partitions, _OFFSET_SPEC.latest()))

    def pending_ends(self, topic: str, partitions: Sequence[int], within: float) -> dict[int, int]:
        """Return the offset after the last record that is replicated, be its transaction open or not.

        :param within: seconds after which a broker that is silent is given up.
        """
        question = _offsets(topic, partitions, _OFFSET_SPEC.latest(), IsolationLevel.READ_UNCOMMITTED, within)
        return self._ask(self._where(topic), question, within)

    def starts(self, topic: str, partitions: Sequence[int], within: float | None = None) -> dict[int, int]:
        """Return the first offset that the log still holds.

        :param within: seconds after which a broker that is silent is given up.
        """
        question = _offsets(topic, partitions, _OFFSET_SPEC.earliest(), within=within)
        return self._ask(self._where(topic), question, within)

    def first_since(self, topic: str, instants: Mapping[int, Micros], within: float) -> dict[int, tuple[int, Micros]]:
        """Find the first record of each partition whose time is an instant or later; open transactions count.

        Kafka counts milliseconds.
        """
        return self._ask(self._where(topic), _first_since(topic, instants, within), within)

    def drain(self) -> None:
        """Hand librdkafka's log lines on; they pile up otherwise, twenty a second while no broker answers."""
        client = self._client
        if client is not None:
            client.poll(0)

    def close(self) -> None:
        """Drop the connection. Idempotent."""
        with self._lock:
            self._client = None

    def _describe_in_mock(self, topic: str) -> TopicDescription:
        """librdkafka's mock cluster answers metadata requests only."""
        where = self._where(topic)
        cluster = self._ask(where, _metadata)
        found = cluster.topics.get(topic)
        if found is None:
            raise TopicNotFound(f"{where}: there is no such topic; {CREATE_REMEDY}")
        return TopicDescription(topic, len(found.partitions), cluster.cluster_id, UNKNOWN_ID)

    def _is_mock(self, where: str) -> bool:
        self._reach(self._open(), where)
        return self._mock is True

    def _find(self, topic: str, within: float = ANSWER_SECONDS) -> Any:
        """Ask for the topic. In a cluster, ask for a while: right after it was made, some brokers say there is none."""
        where = self._where(topic)
        deadline: float | None = None
        while True:
            try:
                return self._ask(where, _topic(topic, within))
            except TopicNotFound:
                if deadline is None:
                    is_alone = len(self._ask(where, _cluster).nodes) == 1
                    deadline = time.monotonic() + (0 if is_alone else _NEWS_SECONDS)
                if time.monotonic() >= deadline:
                    raise
            time.sleep(_LOOK_AGAIN_SECONDS)

    def _wait_until_known(self, topic: str) -> None:
        """Wait until the leader of each partition has heard of it; one that has not says that there is none."""
        deadline = time.monotonic() + ANSWER_SECONDS
        while True:
            try:
                described = self.describe(topic)
                if not self._is_mock(self._where(topic)):
                    self.starts(topic, range(described.partitions))
                return
            except TopicNotFound:
                if time.monotonic() > deadline:
                    raise LogUnavailable(f"{self._where(topic)}: created, but the brokers do not know it yet") from None
                time.sleep(_LOOK_AGAIN_SECONDS)

    def _ask(self, where: str, question: Callable[[AdminClient], _T], within: float | None = None) -> _T:
        client = self._open()
        self._reach(client, where)
        deadline = time.monotonic() + (ANSWER_SECONDS if within is None else within)
        while True:
            try:
                return question(client)
            except KafkaException as exception:
                client.poll(0)
                error = self._cause(error_of(exception))
                # The leader of a new topic is not known at once, and librdkafka does not ask again by itself.
                if error.code() in SILENCE or not may_pass(error) or time.monotonic() > deadline:
                    raise translate(error, where) from exception
            time.sleep(_LOOK_AGAIN_SECONDS)

    def _reach(self, client: AdminClient, where: str) -> None:
        """Wait until a broker has answered once; later it costs nothing.

        A refused password is told to ``error_cb`` only, and whatever is asked meanwhile just waits for its time-out.
        """
        begin = time.monotonic()
        client.poll(0)
        if self._mock is not None:
            self._trouble = None
        while self._mock is None:
            self._mock = _meet(client)
            client.poll(0)
            if self._mock is not None:
                return
            error = self._cause(KafkaError(TIMED_OUT, "no broker has answered, or security.protocol is another there"))
            waited = time.monotonic() - begin
            if (remedy := tls_remedy(error)) and waited > min(_TLS_SECONDS, ANSWER_SECONDS):
                raise LogError(f"{where}: {remedy}: {said_by(error)}")
            if error.code() in WRONG_CREDENTIALS or waited > ANSWER_SECONDS:
                raise translate(error, where)

    def _cause(self, error: KafkaError) -> KafkaError:
        return self._trouble if self._trouble is not None and error.code() in SILENCE else error

    def _note(self, error: KafkaError) -> None:
        if error.code() != ALL_BROKERS_DOWN:
            self._trouble = error

    def _open(self) -> AdminClient:
        with self._lock:
            if self._client is None:
                hooks: dict[str, Any] = {
                    "error_cb": hiding_secrets(self._settings, self._note),
                    "logger": ClientLog(self._settings.hide_secrets),
                }
                try:
                    self._client = AdminClient({**self._settings.admin(), **hooks})
                except KafkaException as exception:
                    raise translate_settings(error_of(exception), self._settings) from None
            return self._client

    def _where(self, topic: str) -> str:
        return f"topic {topic!r} in {self._settings.address}"


def _topic(topic: str, within: float = ANSWER_SECONDS) -> Callable[[AdminClient], Any]:
    # Unlike a metadata request for one topic, this does not create it where brokers create topics by themselves.
    asked = TopicCollection([topic])
    return lambda client: client.describe_topics(asked, request_timeout=within)[topic].result()


def _id_of(found: Any) -> str:
    return UNKNOWN_ID if found.topic_id is None else str(found.topic_id)


def _settings_of(topic: str, within: float = ANSWER_SECONDS) -> Callable[[AdminClient], dict[str, str]]:
    resource = ConfigResource(ResourceType.TOPIC, topic)

    def ask(client: AdminClient) -> dict[str, str]:
        entries = client.describe_configs([resource], request_timeout=within)[resource].result()
        return {name: entry.value or "" for name, entry in entries.items()}

    return ask


def _offsets(
    topic: str,
    partitions: Sequence[int],
    spec: Any,
    isolation: IsolationLevel = IsolationLevel.READ_COMMITTED,
    within: float | None = None,
) -> Callable[[AdminClient], dict[int, int]]:
    places = {TopicPartition(topic, partition): spec for partition in partitions}

    def ask(client: AdminClient) -> dict[int, int]:
        timeout = ANSWER_SECONDS if within is None else within
        answers = client.list_offsets(places, isolation_level=isolation, request_timeout=timeout)
        try:
            offsets = {place.partition: answer.result().offset for place, answer in answers.items()}
        except KafkaException as failure:
            if error_of(failure).code() != NO_LEADERS:
                raise
            offsets = {}
        # Of a leader that died just now librdkafka tells no error, but an offset that is none.
        if unknown := [partition for partition in sorted(partitions) if offsets.get(partition, -1) < 0]:
            reason = f"the leader of partitions {unknown} did not say where they begin and end"
            raise KafkaException(KafkaError(KafkaError.LEADER_NOT_AVAILABLE, reason, retriable=True))
        return offsets

    return ask if places else lambda _: {}


def _first_since(
    topic: str, instants: Mapping[int, Micros], within: float
) -> Callable[[AdminClient], dict[int, tuple[int, Micros]]]:
    places = {
        TopicPartition(topic, partition): _OFFSET_SPEC.for_timestamp(-(-max(0, since) // _MILLISECOND))
        for partition, since in instants.items()
    }

    def ask(client: AdminClient) -> dict[int, tuple[int, Micros]]:
        answers = client.list_offsets(places, isolation_level=IsolationLevel.READ_UNCOMMITTED, request_timeout=within)
        found = {place.partition: answer.result() for place, answer in answers.items()}
        return {
            partition: (each.offset, each.timestamp * _MILLISECOND)
            for partition, each in found.items()
            if each.offset >= 0 and each.timestamp >= 0
        }

    return ask if places else lambda _: {}


def _metadata(client: AdminClient) -> Any:
    # Of all topics: asking for one by its name would create it.
    return client.list_topics(timeout=ANSWER_SECONDS)


def _cluster(client: AdminClient) -> Any:
    return client.describe_cluster(request_timeout=ANSWER_SECONDS).result()


def _meet(client: AdminClient) -> bool | None:
    """Say whether it is librdkafka's mock cluster; ``None`` if nobody answers."""
    with suppress(KafkaException):
        client.describe_cluster(request_timeout=_FIRST_ANSWER_SECONDS).result()
        return False
    with suppress(KafkaException):
        return str(client.list_topics(timeout=_FIRST_ANSWER_SECONDS).cluster_id).startswith(_MOCK)
    return None
