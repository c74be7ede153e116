"""The metrics of a worker and of a relay, by name: the table that both the code and its documentation follow."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias

Kind: TypeAlias = Literal["counter", "gauge", "histogram"]

WORKER: Final = ("projection", "topic")
PARTITION: Final = (*WORKER, "partition")


class Metric(NamedTuple):
    """One metric."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    meaning: str


TALLIED: Final = {
    "applied": "everwhen_events_applied_total",
    "duplicates": "everwhen_events_duplicate_total",
    "conflicts": "everwhen_events_conflicting_total",
    "ignored": "everwhen_events_ignored_total",
    "late": "everwhen_events_late_total",
    "refolded": "everwhen_versions_refolded_total",
    "parked": "everwhen_records_parked_total",
    "healed": "everwhen_records_healed_total",
}
"""By field of a tally, what counts it."""


def _counter(name: str, meaning: str, *more: str, labels: tuple[str, ...] = PARTITION) -> Metric:
    return Metric(name, "counter", (*labels, *more), meaning)


def _gauge(name: str, meaning: str, *more: str, labels: tuple[str, ...] = PARTITION) -> Metric:
    return Metric(name, "gauge", (*labels, *more), meaning)


COUNTERS: Final = (
    _counter("everwhen_records_read_total", "records whose batch was committed"),
    _counter("everwhen_batches_total", "batches that were committed"),
    _counter(TALLIED["applied"], "events that were folded"),
    _counter(TALLIED["duplicates"], "events that were applied before, under the same id"),
    _counter(TALLIED["conflicts"], "events with an id that another event has; only the first one counts"),
    _counter(TALLIED["ignored"], "events of types that the projection ignores"),
    _counter(TALLIED["late"], "events from before the latest one of their entity"),
    _counter(TALLIED["refolded"], "versions that were folded again; by late events, the depth of a re-fold"),
    _counter(TALLIED["parked"], "records that were kept aside, those that only wait included"),
    _counter(TALLIED["healed"], "records that were kept aside and applied after all"),
    _counter("everwhen_partition_claims_total", "claims of the partition by this worker"),
    _counter("everwhen_partition_fenced_total", "times another worker had claimed it in the middle"),
    _counter("everwhen_partition_stops_total", "times it stopped, fenced ones included", "error"),
    _counter("everwhen_rebalances_total", "times partitions were assigned, revoked or lost", "kind", labels=WORKER),
    _counter("everwhen_store_errors_total", "questions that the database failed to answer", "error", labels=WORKER),
    _counter("everwhen_log_errors_total", "questions in between that the log failed to answer", "error", labels=WORKER),
)
GAUGES: Final = (
    _gauge("everwhen_partition_next_offset", "the offset that comes next: the checkpoint"),
    _gauge("everwhen_partition_end_offset", "where the log ended when it was last asked"),
    _gauge("everwhen_partition_gap_records", "offsets from the checkpoint to that end"),
    _gauge("everwhen_partition_lag_seconds", "0 without a gap; else how long ago it was projected up to then"),
    _gauge("everwhen_checkpoint_age_seconds", "since this worker last committed or claimed it"),
    _gauge("everwhen_partition_retention_seconds", "until the next unread record may be deleted; whole without one"),
    _gauge("everwhen_partition_retention_records", "records that would be deleted before the next unread one"),
    _gauge("everwhen_partition_retention_close", "1 if unread records may be deleted soon"),
    _gauge("everwhen_partition_stopped", "1 if it does not go on"),
    _gauge("everwhen_partitions_claimed", "partitions that this worker has", labels=WORKER),
    _gauge("everwhen_partitions_unclaimed", "partitions assigned and not yet claimed", labels=WORKER),
    _gauge("everwhen_store_away", "1 while a batch or a claim waits for the database", labels=WORKER),
    _gauge("everwhen_heart_age_seconds", "since the thread took a turn: loop or fetch", "thread", labels=WORKER),
)
HISTOGRAMS: Final = (
    Metric("everwhen_batch_records", "histogram", WORKER, "records of a batch"),
    Metric("everwhen_batch_refolded_versions", "histogram", WORKER, "versions a batch folded again, if it did any"),
    Metric(
        "everwhen_batch_seconds",
        "histogram",
        (*WORKER, "phase"),
        "seconds of a batch by phase: decode, load, fold, write, commit",
    ),
)
RELAY: Final = ("topic",)
RELAY_COUNTERS: Final = (
    _counter(
        "everwhen_relay_events_sent_total", "events that the log has acknowledged, and that are noted", labels=RELAY
    ),
    _counter("everwhen_relay_batches_total", "batches of them", labels=RELAY),
    _counter(
        "everwhen_relay_rows_removed_total",
        "rows of the outbox that were emptied, long after they were sent",
        labels=RELAY,
    ),
    _counter("everwhen_relay_fenced_total", "times another relay had taken a shard in the middle", labels=RELAY),
    _counter("everwhen_relay_refused_total", "times the log did not take an event", "error", labels=RELAY),
    _counter(
        "everwhen_relay_store_errors_total", "questions that the database failed to answer", "error", labels=RELAY
    ),
)
RELAY_GAUGES: Final = (
    _gauge(
        "everwhen_relay_waiting_events",
        "events of the topic that wait in the outbox, for whichever relay",
        labels=RELAY,
    ),
    _gauge("everwhen_relay_lag_seconds", "since the first of them was published; 0 if none waits", labels=RELAY),
    _gauge("everwhen_relay_shards", "parts of the key space that this relay has, of 32", labels=RELAY),
    _gauge("everwhen_relay_store_away", "1 while it waits for the database", labels=RELAY),
    _gauge("everwhen_relay_log_away", "1 while events wait for an answer of the log for over 5 seconds", labels=RELAY),
    _gauge("everwhen_relay_heart_age_seconds", "since the relay took a turn", labels=RELAY),
)
RELAY_HISTOGRAMS: Final = (
    Metric("everwhen_relay_batch_seconds", "histogram", RELAY, "seconds of a batch, from reading to noting"),
)
RELAY_METRICS: Final = (*RELAY_COUNTERS, *RELAY_GAUGES, *RELAY_HISTOGRAMS)
METRICS: Final = (*COUNTERS, *GAUGES, *HISTOGRAMS)
