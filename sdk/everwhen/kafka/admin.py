"""The little administration that we need: identify, create and check a topic."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, OffsetSpec, ResourceType

from everwhen.errors import ArgumentError, LogError, LogUnavailable, TopicNotFound
from everwhen.kafka.errors import CREATE_REMEDY, error_of, translate, translate_settings
from everwhen.kafka.logs import logger
from everwhen.kafka.settings import KafkaSettings
from everwhen.kafka.topics import TOPIC_SETTINGS, TopicSettings, problems
from everwhen.ports.log import TopicDescription

_T = TypeVar("_T")

ANSWER_SECONDS = 15.0
"""How long one question to the brokers may take."""
_APPEAR_SECONDS = 15.0
_LOOK_AGAIN_SECONDS = 0.05
_UNKNOWN_ID = "unknown"
_MOCK = "mockCluster"


class Admin:
    """Questions to the brokers. Thread-safe; each call blocks for :data:`ANSWER_SECONDS` at most."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._client: AdminClient | None = None
        self._trouble: KafkaError | None = None

    def describe(self, topic: str) -> TopicDescription:
        """Identify the topic.

        :raises TopicNotFound: if there is no such topic.
        :raises LogUnavailable: if no broker answers.
        """
        where = self._where(topic)
        cluster_id = self._cluster_id(where)
        if cluster_id.startswith(_MOCK):
            return self._describe_in_mock(topic, cluster_id)
        answer = self._wait(where, lambda client: client.describe_topics(
            TopicCollection([topic]), request_timeout=ANSWER_SECONDS
        )[topic])
        topic_id = _UNKNOWN_ID if answer.topic_id is None else str(answer.topic_id)
        return TopicDescription(topic, len(answer.partitions), cluster_id, topic_id)

    def create(self, topic: str, partitions: int, replication: int | None) -> bool:
        """Create the topic with :data:`~everwhen.kafka.topics.TOPIC_SETTINGS`; ``False`` if it is there already.

        Returns when the brokers know it.

        :raises ArgumentError: if the broker refuses the name or the numbers.
        """
        where = self._where(topic)
        if partitions < 1:
            raise ArgumentError(f"{where}: it needs at least one partition, not {partitions}")
        new = NewTopic(topic, partitions, -1 if replication is None else replication, config=dict(TOPIC_SETTINGS))
        try:
            self._future(lambda client: client.create_topics([new], request_timeout=ANSWER_SECONDS)[topic])
        except KafkaException as exception:
            error = error_of(exception)
            if error.code() == KafkaError.TOPIC_ALREADY_EXISTS:
                return False
            if error.code() in _REFUSED_NUMBERS:
                raise ArgumentError(f"{where}: cannot be created: {error.str()}") from exception
            raise translate(self._reason(error), f"{where}: cannot be created") from exception
        self._wait_until_known(topic)
        return True

    def problems(self, topic: str) -> list[str]:
        """Name what endangers the guarantee, each with its remedy; log what is only unwise.

        :raises TopicNotFound: if there is no such topic.
        :raises LogError: if the settings may not be read.
        """
        where = self._where(topic)
        if self._cluster_id(where).startswith(_MOCK):
            self.describe(topic)
            logger.warning("%s: a mock cluster has no settings to check", where)
            return []
        resource = ConfigResource(ResourceType.TOPIC, topic)
        entries = self._wait(where, lambda client: client.describe_configs(
            [resource], request_timeout=ANSWER_SECONDS
        )[resource])
        answer = self._wait(where, lambda client: client.describe_topics(
            TopicCollection([topic]), request_timeout=ANSWER_SECONDS
        )[topic])
        replication = min((len(partition.replicas) for partition in answer.partitions), default=0)
        found = TopicSettings({name: entry.value or "" for name, entry in entries.items()}, replication)
        if replication == 1 and len(self._metadata(where).brokers) > 1:
            logger.warning("%s: it has one replica; a lost disk loses its history for ever", where)
        return problems(topic, found, self._settings.message_max_bytes)

    def ends(self, topic: str, partitions: Sequence[int]) -> dict[int, int]:
        """Return the offset after the last record that a ``read_committed`` consumer can see."""
        return self._offsets(topic, partitions, OffsetSpec.latest())

    def starts(self, topic: str, partitions: Sequence[int]) -> dict[int, int]:
        """Return the first offset that the log still holds."""
        return self._offsets(topic, partitions, OffsetSpec.earliest())

    def drain(self) -> None:
        """Hand librdkafka's log lines on; they pile up otherwise, twenty a second while no broker answers."""
        if self._client is not None:
            self._client.poll(0)

    def close(self) -> None:
        """Drop the connection. Idempotent."""
        with self._lock:
            self._client = None

    def _offsets(self, topic: str, partitions: Sequence[int], spec: OffsetSpec) -> dict[int, int]:
        asked = {TopicPartition(topic, partition): spec for partition in partitions}
        if not asked:
            return {}
        where = self._where(topic)
        try:
            answers = self._open().list_offsets(
                asked, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=ANSWER_SECONDS
            )
            return {place.partition: answer.result().offset for place, answer in answers.items()}
        except KafkaException as exception:
            raise translate(self._reason(error_of(exception)), where) from exception

    def _describe_in_mock(self, topic: str, cluster_id: str) -> TopicDescription:
        """librdkafka's mock cluster answers metadata requests only."""
        where = self._where(topic)
        # All topics are asked for, since asking for one by its name would create it.
        found = self._metadata(where).topics.get(topic)
        if found is None:
            raise TopicNotFound(f"{where}: there is no such topic; {CREATE_REMEDY}")
        return TopicDescription(topic, len(found.partitions), cluster_id, _UNKNOWN_ID)

    def _metadata(self, where: str) -> Any:
        try:
            return self._open().list_topics(timeout=ANSWER_SECONDS)
        except KafkaException as exception:
            raise translate(self._reason(error_of(exception)), where) from exception

    def _cluster_id(self, where: str) -> str:
        try:
            cluster_id = self._open().cluster_id(timeout=ANSWER_SECONDS)
        except KafkaException as exception:
            raise translate(self._reason(error_of(exception)), where) from exception
        if not cluster_id:
            raise translate(self._reason(KafkaError(KafkaError._TIMED_OUT)), where)
        return cluster_id

    def _wait_until_known(self, topic: str) -> None:
        deadline = time.monotonic() + _APPEAR_SECONDS
        while True:
            try:
                self.describe(topic)
                return
            except TopicNotFound:
                if time.monotonic() > deadline:
                    raise LogUnavailable(f"{self._where(topic)}: created, but the brokers do not know it yet") from None
                time.sleep(_LOOK_AGAIN_SECONDS)

    def _wait(self, where: str, ask: Callable[[AdminClient], Future[_T]]) -> _T:
        try:
            return self._future(ask)
        except KafkaException as exception:
            raise translate(self._reason(error_of(exception)), where) from exception

    def _future(self, ask: Callable[[AdminClient], Future[_T]]) -> _T:
        return ask(self._open()).result()

    def _reason(self, error: KafkaError) -> KafkaError:
        """Return why it timed out, if the connection has said so: a wrong password looks like silence otherwise."""
        self.drain()
        return self._trouble if self._trouble is not None and error.code() in _SILENCE else error

    def _note(self, error: KafkaError) -> None:
        if error.code() != KafkaError._ALL_BROKERS_DOWN:
            self._trouble = error

    def _open(self) -> AdminClient:
        with self._lock:
            if self._client is None:
                config = {**self._settings.admin(), "error_cb": self._note, "logger": logger}
                try:
                    self._client = AdminClient(config)
                except KafkaException as exception:
                    raise translate_settings(error_of(exception), self._settings) from None
            return self._client

    def _where(self, topic: str) -> str:
        return f"topic {topic!r} in {self._settings.address}"
