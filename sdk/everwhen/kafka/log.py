"""Kafka as a log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from everwhen.errors import TopicNotFound
from everwhen.guard import Guard
from everwhen.kafka.admin import Admin
from everwhen.kafka.consumer import KafkaConsumer
from everwhen.kafka.settings import KafkaSettings
from everwhen.kafka.writer import KafkaWriter
from everwhen.ports.log import Bounds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from everwhen.instants import Micros
    from everwhen.ports.log import AssignmentListener, Retention, TopicDescription, TopicProblem

BOUNDS_SECONDS = 2.0
"""How long each question may take that is asked while records come."""


class KafkaLog:
    """A :class:`~everwhen.ports.log.Log` on Kafka, or on anything that speaks its protocol. Thread-safe.

    Every call that asks the brokers blocks for up to 15 seconds.
    """

    def __init__(self, settings: str | Mapping[str, object]) -> None:
        """Check the settings; no connection is made yet.

        :param settings: see :class:`~everwhen.kafka.settings.KafkaSettings`.
        :raises SettingsError: for settings that are malformed or break a guarantee.
        """
        self._settings = KafkaSettings(settings)
        self._guard = Guard(f"the log {self._settings.address}")
        self._admin = Admin(self._settings)

    @property
    def address(self) -> str:
        """The brokers, as a URL without any other setting."""
        return self._settings.address

    def writer(self, topic: str) -> KafkaWriter:
        """Open a writer.

        :raises TopicNotFound: if there is no such topic.
        :raises LogUnavailable: if the brokers do not answer.
        :raises SettingsError: if librdkafka refuses a setting.
        """
        return KafkaWriter(self._settings, self._admin, self.describe(topic))

    def consumer(
        self, topic: str, listener: AssignmentListener, *, group: str, partitions: Sequence[int] | None = None
    ) -> KafkaConsumer:
        """Open a consumer that shares the topic's partitions with its ``group``, or reads exactly ``partitions``.

        :raises TopicNotFound: if there is no such topic or partition.
        :raises LogUnavailable: if the brokers do not answer.
        :raises SettingsError: if librdkafka refuses a setting.
        """
        found = self.describe(topic)
        for partition in partitions or ():
            if not 0 <= partition < found.partitions:
                raise TopicNotFound(
                    f"topic {topic!r} in {self.address} has no partition {partition}; it has {found.partitions}, "
                    "counted from 0"
                )
        return KafkaConsumer(self._settings, self._admin, found, listener, group=group, partitions=partitions)

    def describe(self, topic: str) -> TopicDescription:
        """Identify the topic.

        :raises TopicNotFound: if there is no such topic.
        :raises LogUnavailable: if the brokers do not answer.
        """
        self._guard.check()
        return self._admin.describe(topic)

    def bounds(self, topic: str, partitions: Sequence[int]) -> dict[int, Bounds]:
        """Ask where partitions begin and end now; waits for two seconds.

        :raises TopicNotFound: if there is no such topic.
        :raises LogUnavailable: if the brokers do not answer.
        """
        self._guard.check()
        starts = self._admin.starts(topic, partitions, BOUNDS_SECONDS)
        # A leader that was elected just now does not answer this before it knows what is replicated (KIP-207).
        ends = self._admin.pending_ends(topic, partitions, BOUNDS_SECONDS)
        return {partition: Bounds(start, ends[partition]) for partition, start in starts.items()}

    def create_topic(self, topic: str, partitions: int, *, replication: int | None = None) -> bool:
        """Create the topic with unlimited retention and the log's own time; ``False`` if it is there already.

        :param replication: replicas of each partition; the brokers' default if not given.
        :raises ArgumentError: if the brokers refuse the name or the numbers.
        :raises LogError: if it may not be created.
        """
        self._guard.check()
        return self._admin.create(topic, partitions, replication)

    def topic_problems(self, topic: str) -> list[TopicProblem]:
        """Name every setting of the topic that endangers the guarantee, each with its remedy; empty if none.

        A single replica in a larger cluster is logged as a warning and not named.

        :raises TopicNotFound: if there is no such topic.
        :raises LogError: if the settings may not be read.
        """
        self._guard.check()
        return self._admin.problems(topic)

    def retention(self, topic: str) -> Retention | None:
        """Ask after what records are deleted now; waits for two seconds.

        :raises TopicNotFound: if there is no such topic.
        :raises LogError: if the settings may not be read, or the brokers do not answer.
        """
        self._guard.check()
        return self._admin.retention(topic, BOUNDS_SECONDS)

    def first_since(self, topic: str, instants: Mapping[int, Micros]) -> dict[int, tuple[int, Micros]]:
        """Find the first record of each partition that was recorded at an instant or later; waits for two seconds.

        :raises TopicNotFound: if there is no such topic.
        :raises LogUnavailable: if the brokers do not answer.
        """
        self._guard.check()
        return self._admin.first_since(topic, instants, BOUNDS_SECONDS)

    def close(self) -> None:
        """Free everything of the log itself; writers and consumers are closed by themselves. Idempotent."""
        if self._guard.close():
            self._admin.close()
