"""The log port: an append-only, partitioned sequence of records.

Adapters: :mod:`everwhen.kafka` and :mod:`everwhen.local`. Both pass the suite in
:mod:`everwhen.testing.log_conformance`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, TypeAlias

from everwhen.errors import EverwhenError
from everwhen.instants import Micros
from everwhen.positions import Position

Header: TypeAlias = tuple[str, bytes | None]
Acknowledged: TypeAlias = Callable[[Position | None, EverwhenError | None], None]
"""Called once per sent record: with its position, or with why it was not taken."""


class Record(NamedTuple):
    """One record as it stands in the log."""

    partition: int
    offset: int
    timestamp: Micros
    """The log's own time of the record, in microseconds (Kafka gives milliseconds)."""
    key: bytes | None
    value: bytes | None
    headers: Sequence[Header]
    leader_epoch: int | None = None
    """In which term of the partition's leader it was written; ``None`` where the log has no such thing."""

    def __repr__(self) -> str:
        return f"Record(partition={self.partition}, offset={self.offset})"


class Chunk(NamedTuple):
    """What one poll gave."""

    records: list[Record]
    """In offset order within each partition. Offsets may have holes (transaction markers)."""
    ends: Mapping[int, int]
    """Partitions whose present end was reached, with the offset that comes next there."""


UNKNOWN_ID: Final = "unknown"
"""The id of a topic or a cluster in a log that cannot tell; it matches any."""


@dataclass(frozen=True, slots=True)
class TopicDescription:
    """What identifies a topic: a re-created one has the same name and another ``topic_id``."""

    name: str
    partitions: int
    cluster_id: str
    topic_id: str


class Bounds(NamedTuple):
    """What a partition holds, records of open transactions included."""

    start: int
    """The offset of the first record that is still there."""
    end: int
    """The offset that the next record will get."""


class TopicProblem(NamedTuple):
    """A setting of a topic that endangers the guarantee. As text it is one sentence."""

    topic: str
    setting: str
    value: str
    why: str
    """What it does; the sentence goes on behind the value."""
    remedy: str
    command: str
    """What sets it right, for a shell."""

    def __str__(self) -> str:
        return f"topic {self.topic!r}: {self.setting}={self.value} {self.why}; {self.remedy}"


class Retention(NamedTuple):
    """After what a log deletes the oldest records of a partition; ``None`` where it does not."""

    seconds: float | None
    """Since a record was recorded."""
    size: int | None
    """Bytes of a partition."""

    @property
    def is_finite(self) -> bool:
        """Whether anything is ever deleted."""
        return self.seconds is not None or self.size is not None


class LogWriter(Protocol):
    """Appends records to one topic. Thread-safe. Not usable in a forked child."""

    @property
    def described(self) -> TopicDescription:
        """The topic, as it was when the writer was opened; known after close too."""
        ...

    @property
    def size_limit(self) -> int:
        """The largest record that is sent, in bytes of key, value and headers together."""
        ...

    def send(self, key: bytes, value: bytes | None, headers: Sequence[Header], acknowledged: Acknowledged) -> None:
        """Queue one record; block while the local queue is full.

        ``acknowledged`` is called later, from :meth:`send`, :meth:`poll`, :meth:`flush` or a thread of the writer.

        :raises PublishError: if the record can never be sent.
        """
        ...

    def poll(self, timeout: float) -> None:
        """Wait up to ``timeout`` seconds for acknowledgements and hand them out; 0 only hands out."""
        ...

    def flush(self, timeout: float | None = None) -> int:
        """Wait until all records are acknowledged or refused; return how many still are not after ``timeout``."""
        ...

    def close(self) -> None:
        """Flush and free everything. Idempotent."""
        ...


class AssignmentListener(Protocol):
    """Told when partitions come and go. Called from inside :meth:`LogConsumer.poll`, in its thread."""

    def assigned(self, partitions: Sequence[int]) -> Mapping[int, int] | None:
        """Take these partitions; return for each the offset to start at.

        ``None`` takes none of them yet: they deliver nothing, and the next poll asks again.
        """
        ...

    def revoked(self, partitions: Sequence[int], *, lost: bool) -> None:
        """Give these partitions up; ``lost`` says that another consumer may have them already."""
        ...


class LogConsumer(Protocol):
    """Reads some partitions of one topic. Used by one thread, except where a method says otherwise."""

    def poll(self, max_records: int, timeout: float) -> Chunk:
        """Return what is there, waiting up to ``timeout`` seconds for the first record.

        Must be called again and again to stay a member of the group, also while everything is paused.

        :raises OffsetOutOfRange: if the log does not hold the offset that comes next.
        :raises LogUnavailable: if the log cannot be reached any more and the client will not recover by itself.
        """
        ...

    def pause(self, partitions: Iterable[int]) -> None:
        """Stop delivering these partitions until :meth:`resume`; those not assigned are passed over."""
        ...

    def resume(self, partitions: Iterable[int]) -> None:
        """Deliver these partitions again, from where they stopped."""
        ...

    def ends(self, partitions: Sequence[int], *, pending: bool = False) -> dict[int, int]:
        """Ask the log for the offset after the last record of each partition. Any thread may call it.

        :param pending: count records of transactions that are still open too: where the end is at the same offset,
            nothing that was written before the question will ever be delivered from there on.
        :raises LogUnavailable: if the log does not answer.
        """
        ...

    def hint(self, next_offsets: Mapping[int, int]) -> None:
        """Tell the log how far we are, for its dashboards only; never fails. Any thread may call it."""
        ...

    @property
    def partitions(self) -> int:
        """How many partitions the topic had when the log was last asked. Any thread may read it."""
        ...

    def close(self) -> None:
        """Leave the group and free everything; the listener is told of the partitions given up. Idempotent."""
        ...


class Log(Protocol):
    """A log: writers, consumers and the little administration that we need."""

    @property
    def address(self) -> str:
        """Where it is, without secrets, for messages."""
        ...

    def writer(self, topic: str) -> LogWriter:
        """Open a writer.

        :raises TopicNotFound: if there is no such topic.
        """
        ...

    def consumer(
        self, topic: str, listener: AssignmentListener, *, group: str, partitions: Sequence[int] | None = None
    ) -> LogConsumer:
        """Open a consumer that shares the topic's partitions with its ``group``, or reads exactly ``partitions``.

        With explicit partitions the listener's ``assigned`` is called during the first poll.

        :raises TopicNotFound: if there is no such topic or partition.
        """
        ...

    def describe(self, topic: str) -> TopicDescription:
        """Identify the topic.

        :raises TopicNotFound: if there is no such topic.
        :raises LogUnavailable: if the log does not answer.
        """
        ...

    def bounds(self, topic: str, partitions: Sequence[int]) -> dict[int, Bounds]:
        """Ask where partitions begin and end now. Waits for a few seconds only, as it is asked while records come.

        :raises TopicNotFound: if there is no such topic.
        :raises LogUnavailable: if the log does not answer.
        """
        ...

    def create_topic(self, topic: str, partitions: int, *, replication: int | None = None) -> bool:
        """Create the topic with the settings that the guarantee needs; return False if it is there already."""
        ...

    def topic_problems(self, topic: str) -> list[TopicProblem]:
        """Name every setting of the topic that endangers the guarantee, each with its remedy; empty if none."""
        ...

    def retention(self, topic: str) -> Retention | None:
        """Ask after what records are deleted now; ``None``: this log has no such setting and keeps everything.

        :raises TopicNotFound: if there is no such topic.
        :raises LogError: if the log does not answer, or may not be asked.
        """
        ...

    def first_since(self, topic: str, instants: Mapping[int, Micros]) -> dict[int, tuple[int, Micros]]:
        """Find for each partition the first record that was recorded at an instant or later: its offset and time.

        Partitions without one are left out. Instants are rounded up to what the log's times are counted in.

        :raises TopicNotFound: if there is no such topic.
        :raises LogUnavailable: if the log does not answer.
        """
        ...

    def close(self) -> None:
        """Free everything. Idempotent."""
        ...
