"""Reads partitions of one topic of Kafka."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from confluent_kafka import (
    TIMESTAMP_NOT_AVAILABLE,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
    libversion,
)

from everwhen.errors import (
    ArgumentError,
    EverwhenError,
    LogError,
    LogUnavailable,
    OffsetOutOfRange,
    SettingsError,
    TopicNotFound,
)
from everwhen.guard import Guard
from everwhen.kafka.errors import (
    END_OF_PARTITION,
    OUT_OF_RANGE,
    WRONG_CREDENTIALS,
    error_of,
    hiding_secrets,
    may_pass,
    translate,
    translate_settings,
)
from everwhen.kafka.logs import ClientLog, logger
from everwhen.ports.log import Chunk, Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from everwhen.kafka.admin import Admin
    from everwhen.kafka.settings import KafkaSettings
    from everwhen.ports.log import AssignmentListener, TopicDescription

_MICROS_PER_MILLI = 1000
_new = tuple.__new__  # what a NamedTuple's own __new__ calls, in half the time
_FIRST_LIBRDKAFKA = 0x020D02FF
"""2.13.2. From 2.2.0 on, the end of a partition moved the position on by one, for pause, resume and seek."""
_LOOK_AGAIN_SECONDS = 10.0
"""How soon an idle consumer learns that its topic was deleted."""
_IDENTITY_SECONDS = 2.0
"""How long one poll waits for it; the next poll asks again."""
_PENDING_SECONDS = 2.0
"""How long the thread that applies records waits to learn whether a partition is idle."""


class KafkaConsumer:
    """A :class:`~everwhen.ports.log.LogConsumer` on librdkafka's consumer.

    If the listener raises, so does the poll it was called from, or the next one if records were fetched before; after
    ``assigned`` has raised, each poll asks it again for the same partitions until it answers.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        admin: Admin,
        topic: TopicDescription,
        listener: AssignmentListener,
        *,
        group: str,
        partitions: Sequence[int] | None,
    ) -> None:
        _refuse_skipping_librdkafka()
        self._guard = Guard(f"the consumer of topic {topic.name!r}")
        self._where = f"topic {topic.name!r} in {settings.address}"
        self._admin = admin
        self._topic = topic.name
        self._topic_id = topic.topic_id
        self._partitions = topic.partitions
        self._listener = listener
        self._in_group = partitions is None
        self._cooperative = self._in_group and settings.cooperative
        self._unplaced: set[int] = set(partitions or ())
        self._placed: set[int] = set()
        self._failures: list[Exception] = []
        self._broken: EverwhenError | None = None
        self._fetched: list[Record] = []
        self._ends: dict[int, int] = {}
        self._look_again_at = 0.0
        self._hint_lock = threading.Lock()
        hooks = {
            "error_cb": hiding_secrets(settings, self._on_error),
            "logger": ClientLog(settings.hide_secrets),
            "on_commit": _log_hint,
        }
        try:
            self._client = Consumer({**settings.consumer(group), **hooks})
        except KafkaException as exception:
            raise translate_settings(error_of(exception), settings) from None
        if self._in_group:
            self._client.subscribe(
                [topic.name], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
            )

    @property
    def partitions(self) -> int:
        """How many partitions the topic had when the brokers were last asked, with each fetch or every ten seconds."""
        return self._partitions

    def poll(self, max_records: int, timeout: float) -> Chunk:
        """Return what is there, waiting up to ``timeout`` seconds for the first record.

        :raises OffsetOutOfRange: if the log does not hold the offset that comes next; once, and the partition then
            delivers nothing until it is assigned again.
        :raises TopicNotFound: if the topic was deleted, also if there is a new one of its name; again at each poll.
        :raises LogError: if the broker refuses us, or the client cannot go on.
        :raises ClosedError: after close, and in a forked child.
        """
        self._guard.check()
        self._admin.drain()
        self._raise_failure()
        if self._unplaced:
            self._place()
        if self._fetched:
            # Not yet proven to be of our topic; the client is polled all the same, so that we stay in the group.
            self._collect(self._fetch(1, 0))
        else:
            self._collect(self._fetch(max_records, timeout))
        if not self._is_same_topic():
            return Chunk([], {})
        chunk = Chunk(self._fetched, self._ends)
        self._fetched, self._ends = [], {}
        if not chunk.records and not chunk.ends:
            self._raise_failure()
        return chunk

    def pause(self, partitions: Iterable[int]) -> None:
        """Stop delivering these partitions; those not assigned are passed over."""
        self._guard.check()
        self._client.pause(self._places(self._placed.intersection(partitions)))

    def resume(self, partitions: Iterable[int]) -> None:
        """Deliver these partitions again, from where they stopped."""
        self._guard.check()
        self._client.resume(self._places(self._placed.intersection(partitions)))

    def ends(self, partitions: Sequence[int], *, pending: bool = False) -> dict[int, int]:
        """Ask for the offset after the last committed record of each partition. Any thread may call it.

        With a transaction open this is the last stable offset, where ``read_committed`` stops. Its records carry the
        time of their writing, not of the commit, so whoever asks for what may still come asks with ``pending``: for
        the high watermark.

        :param pending: count the records of open transactions too; waits for two seconds only, as it is asked often.
        :raises LogUnavailable: if the brokers do not answer.
        """
        self._guard.check()
        if pending:
            return self._admin.pending_ends(self._topic, partitions, _PENDING_SECONDS)
        # Not the consumer's own get_watermark_offsets: it waits behind the fetch that is under way, for half a second.
        return self._admin.ends(self._topic, partitions)

    def hint(self, next_offsets: Mapping[int, int]) -> None:
        """Commit how far we are, for lag dashboards. Any thread may call it; it does not wait and never fails."""
        places = [TopicPartition(self._topic, partition, offset) for partition, offset in next_offsets.items()]
        # close() must not free the client under a commit.
        with self._hint_lock:
            if not places or self._guard.closed or self._guard.forked:
                return
            try:
                self._client.commit(offsets=places, asynchronous=True)
            except (KafkaException, RuntimeError) as error:
                logger.debug("progress.uncommitted %s: %s", self._where, error, extra={"topic": self._topic})

    def close(self) -> None:
        """Tell the listener of the partitions given up, leave the group, free everything.

        Idempotent; does nothing in a forked child. What the listener raises is raised when all is freed.
        """
        with self._hint_lock:
            if not self._guard.close():
                return
        self._failures.clear()
        if not self._in_group:
            self._give_up(self._placed, lost=False)
        try:
            self._client.close()
        except KafkaException as exception:
            raise translate(error_of(exception), self._where) from exception
        self._raise_failure()

    def _on_assign(self, client: Consumer, partitions: list[TopicPartition]) -> None:
        # Unless something is assigned in here, confluent-kafka assigns by itself, at the committed offsets.
        self._assign([])
        self._unplaced.update(place.partition for place in partitions)
        try:
            self._place()
        except Exception as error:  # noqa: BLE001 - what a callback raises would take fetched records with it
            self._failures.append(error)

    def _on_revoke(self, client: Consumer, partitions: list[TopicPartition]) -> None:
        self._give_up([place.partition for place in partitions], lost=False)

    def _on_lost(self, client: Consumer, partitions: list[TopicPartition]) -> None:
        self._give_up([place.partition for place in partitions], lost=True)

    def _place(self) -> None:
        """Ask the listener where to start, and start there, unless it has to be asked again later."""
        partitions = sorted(self._unplaced)
        starts = self._listener.assigned(partitions)
        if starts is None:
            return
        _check_starts(self._where, partitions, starts)
        self._assign([TopicPartition(self._topic, partition, starts[partition]) for partition in partitions])
        self._placed.update(partitions)
        self._unplaced.clear()

    def _assign(self, places: list[TopicPartition]) -> None:
        try:
            if self._cooperative:
                self._client.incremental_assign(places)
            else:
                self._client.assign(places)
        except KafkaException as exception:
            raise translate(error_of(exception), self._where) from exception

    def _give_up(self, partitions: Iterable[int], *, lost: bool) -> None:
        """Tell the listener first: what it still writes is safe only as long as nobody else was given them."""
        gone = set(partitions)
        placed = sorted(gone & self._placed)
        try:
            if placed:
                self._listener.revoked(placed, lost=lost)
        except Exception as error:  # noqa: BLE001 - what a callback raises would take fetched records with it
            self._failures.append(error)
        self._placed -= gone
        self._unplaced -= gone
        self._fetched = [record for record in self._fetched if record.partition not in gone]
        self._ends = {partition: end for partition, end in self._ends.items() if partition not in gone}
        if self._cooperative:
            self._client.incremental_unassign(self._places(placed))
        else:
            self._client.unassign()

    def _fetch(self, max_records: int, timeout: float) -> list[Message]:
        """Return messages and events; what is raised in here takes messages with it, so it is the client's end."""
        if self._broken is not None:
            raise self._broken
        self._broken = LogError(f"{self._where}: a poll was interrupted and lost records; close the consumer")
        try:
            first = self._client.poll(timeout)
            # consume() waits for the whole batch, so it only gets what has been fetched already.
            more = self._client.consume(max_records - 1, 0) if first is not None and max_records > 1 else []
        except KafkaException as exception:
            self._broken = translate(error_of(exception), self._where)
            raise self._broken from exception
        self._broken = None
        return [] if first is None else [first, *more]

    def _collect(self, messages: Sequence[Message]) -> None:
        placed, add = self._placed, self._fetched.append
        for message in messages:
            # Typed as optional, for the sake of messages that a program makes itself.
            partition: Any = message.partition()
            offset: Any = message.offset()
            if (error := message.error()) is not None:
                self._note(error, partition, offset)
            elif partition in placed:
                kind, millis = message.timestamp()
                recorded_at = 0 if kind == TIMESTAMP_NOT_AVAILABLE else millis * _MICROS_PER_MILLI
                key, value, headers = message.key(), message.value(), message.headers() or ()
                add(_new(Record, (partition, offset, recorded_at, key, value, headers, message.leader_epoch())))

    def _is_same_topic(self) -> bool:
        """Whether what was fetched is surely of the topic that was opened; ``False`` if no broker says so just now.

        :raises TopicNotFound: if the topic is another one by now, or gone.
        """
        now = time.monotonic()
        if not self._fetched and now < self._look_again_at:
            return True
        try:
            self._check_identity()
        except LogUnavailable as error:
            logger.warning("topic.unidentified %s; what was fetched waits", error, extra={"topic": self._topic})
            return not self._fetched
        self._look_again_at = now + _LOOK_AGAIN_SECONDS
        return True

    def _check_identity(self) -> None:
        """Ask whether the topic is still the one that was opened.

        A topic that was deleted and made anew keeps its name, and librdkafka goes on in it, at the old offset, without
        a word (2.16). Ids are never used twice, so the old id *after* a fetch proves the fetch.
        """
        try:
            identity: tuple[str | None, int] = self._admin.identity(self._topic, _IDENTITY_SECONDS)
        except TopicNotFound:
            identity = None, 0
        found, partitions = identity
        if found != self._topic_id:
            fate = "deleted" if found is None else f"deleted and made anew (id {self._topic_id}, now {found})"
            self._broken = TopicNotFound(
                f"{self._where}: the topic was {fate} while it was read; if it is made again, its offsets mean other "
                "records: rebuild the projection from it"
            )
            raise self._broken
        self._partitions = max(self._partitions, partitions)

    def _note(self, error: KafkaError, partition: int, offset: int) -> None:
        code = error.code()
        if code == END_OF_PARTITION:
            if partition in self._placed:
                self._ends[partition] = offset
        elif code in OUT_OF_RANGE:
            self._failures.append(self._out_of_range(error, partition, offset))
        elif code == KafkaError.GROUP_AUTHORIZATION_FAILED and not self._in_group:
            logger.debug("progress.refused %s: %s", self._where, error.str(), extra={"topic": self._topic})
        elif may_pass(error):
            facts = {"topic": self._topic, "partition": partition}
            logger.warning("kafka.trouble %s: %s", self._where, error.str(), extra=facts)
        else:
            self._failures.append(translate(error, self._where))

    def _out_of_range(self, error: KafkaError, partition: int, wanted: int | None) -> EverwhenError:
        """Say what is wrong; where the log was cut off, librdkafka names no offset (2.16)."""
        where = f"partition {partition} of {self._where}"
        try:
            self._check_identity()
            start = self._admin.starts(self._topic, [partition])[partition]
            end = self._admin.ends(self._topic, [partition])[partition]
        except TopicNotFound as gone:
            return gone
        except EverwhenError as unknown:
            said = f"{where} does not hold what comes next: {error.str()}; what it holds: {unknown}"
        else:
            if wanted is None:
                said = f"{where} holds {start} to {end}, and was cut off since it was read ({error.str()})"
            elif wanted < start:
                said = (
                    f"{where}: offset {wanted} is gone, it holds {start} to {end}; retention or delete_records removed "
                    "records that were not applied"
                )
            else:
                said = (
                    f"{where}: offset {wanted} comes next for us, and it holds only {start} to {end}; the log was cut "
                    f"off ({error.str()})"
                )
        return OffsetOutOfRange(said, partition=partition)

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal() or error.code() in WRONG_CREDENTIALS:
            self._failures.append(translate(error, self._where))
        else:
            logger.debug("kafka.trouble %s: %s", self._where, error.str(), extra={"topic": self._topic})

    def _raise_failure(self) -> None:
        if self._failures:
            raise self._failures.pop(0)

    def _places(self, partitions: Iterable[int]) -> list[TopicPartition]:
        return [TopicPartition(self._topic, partition) for partition in sorted(partitions)]


def _refuse_skipping_librdkafka() -> None:
    """confluent-kafka can be built against a librdkafka of the system's, so its own version does not tell."""
    name, number = libversion()
    if number < _FIRST_LIBRDKAFKA:
        raise SettingsError(
            f"librdkafka {name} can skip the record after the end of a partition (its issue 4844); install "
            "confluent-kafka 2.13.2 or newer, with a librdkafka of 2.13.2 or newer"
        )


def _check_starts(where: str, partitions: Sequence[int], starts: Mapping[int, int]) -> None:
    for partition in partitions:
        start = starts.get(partition)
        # librdkafka takes some negative numbers for "the end" and "the committed offset".
        if start is None or start < 0:
            raise ArgumentError(f"{where}: the listener gave {start} for partition {partition}, which is no offset")


def _log_hint(error: KafkaError | None, places: Sequence[TopicPartition]) -> None:
    if error is not None:
        logger.debug("progress.uncommitted by the broker: %s", error.str())
