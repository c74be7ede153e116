"""How a broker for tests is configured, wherever it runs, and when it counts as ready."""

from __future__ import annotations

from everwhen.testing.parts.process import Server, wait_until

START_SECONDS = 90.0


def small_and_quick(nodes: int) -> dict[str, object]:
    """The configuration of each of ``nodes`` brokers, but for its listeners and directories."""
    return {**_replication(nodes), **_SMALL_AND_QUICK}


def wait_for_broker(address: str, what: str, server: Server, *, nodes: int = 1) -> None:
    """Return once the broker at ``address`` answers and knows of at least ``nodes`` nodes that are up."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    client = AdminClient({"bootstrap.servers": address, "log_level": 0, "reconnect.backoff.max.ms": 100})

    def ready() -> bool:
        try:
            return len(client.list_topics(timeout=1.0).brokers) >= nodes
        except KafkaException:
            return False

    wait_until(ready, what=what, server=server, seconds=START_SECONDS)


def _replication(nodes: int) -> dict[str, object]:
    """With three nodes one may fail and writes with ``acks=all`` go on."""
    enough = max(1, nodes - 1)
    return {
        "default.replication.factor": nodes,
        "min.insync.replicas": enough,
        "offsets.topic.replication.factor": nodes,
        "transaction.state.log.replication.factor": nodes,
        "transaction.state.log.min.isr": enough,
        "share.coordinator.state.topic.replication.factor": nodes,
        "share.coordinator.state.topic.min.isr": enough,
    }


_SMALL_AND_QUICK: dict[str, object] = {
    "auto.create.topics.enable": "false",
    # Internal topics with few partitions, so that the first consumer group and the first transaction begin at once.
    "offsets.topic.num.partitions": 4,
    "transaction.state.log.num.partitions": 4,
    "share.coordinator.state.topic.num.partitions": 4,
    "group.initial.rebalance.delay.ms": 0,
    "group.min.session.timeout.ms": 500,
    "group.consumer.min.session.timeout.ms": 500,
    "group.consumer.min.heartbeat.interval.ms": 100,
    # A lost node is noticed within seconds.
    "broker.heartbeat.interval.ms": 500,
    "broker.session.timeout.ms": 3000,
    "controller.quorum.election.timeout.ms": 500,
    "controller.quorum.fetch.timeout.ms": 1000,
    # Few threads and a small buffer: several brokers share one machine with the tests.
    "num.network.threads": 2,
    "num.io.threads": 4,
    "background.threads": 2,
    "log.cleaner.threads": 1,
    "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
}
