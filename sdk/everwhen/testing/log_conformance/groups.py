"""How consumers of a group must share a topic."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from everwhen.ports.log import Chunk, Log, Record
from everwhen.testing.log_conformance.kit import PARTITIONS, Suite
from everwhen.testing.log_conformance.tools import (
    Follower,
    count_is,
    extend,
    ignore,
    numbered,
    poll_until,
    publish,
)


class Groups(Suite):
    """How consumers of a group must share a topic."""

    def test_group_shares(self, log: Log, topic: str) -> None:
        """Two share all partitions, a third gets its part, and who leaves hands its part over."""
        followers = [Follower() for _ in range(3)]
        consumers = [log.consumer(topic, follower, group=topic) for follower in followers[:2]]
        poll_until(consumers, lambda: _shared_by(followers[:2]), ignore)
        consumers.append(log.consumer(topic, followers[2], group=topic))
        poll_until(consumers, lambda: _shared_by(followers), ignore)
        consumers[0].close()
        assert followers[0].held == set()
        assert followers[0].given_up
        poll_until(consumers[1:], lambda: _shared_by(followers[1:]), ignore)
        for consumer in consumers[1:]:
            consumer.close()
        assert all(not lost for follower in followers for _, lost in follower.given_up)

    def test_group_applies_each_record_once(self, log: Log, topic: str) -> None:
        """With the position kept by the listener, members that come and go lose and double nothing."""
        publish(log, topic, ((b"k%d" % (n % 50), b"%d" % n, []) for n in range(2000)))
        applied: dict[int, int] = defaultdict(int)

        class Keeper(Follower):
            def assigned(self, partitions: Sequence[int]) -> Mapping[int, int]:
                super().assigned(partitions)
                return {partition: applied[partition] for partition in partitions}

        keepers = [Keeper(), Keeper()]
        consumers = [log.consumer(topic, keepers[0], group=topic)]

        def apply(chunk: Chunk) -> None:
            for record in chunk.records:
                assert record.offset == applied[record.partition]
                applied[record.partition] += 1

        def turn(done: Callable[[], bool]) -> None:
            poll_until(consumers, done, apply, at_once=30)

        turn(lambda: sum(applied.values()) >= 300)
        consumers.append(log.consumer(topic, keepers[1], group=topic))
        turn(lambda: bool(keepers[1].held))
        publish(log, topic, ((b"k%d" % (n % 50), b"%d" % n, []) for n in range(1000)))
        turn(lambda: sum(applied.values()) >= 2500)
        consumers.pop(0).close()
        turn(lambda: sum(applied.values()) == 3000)
        consumers.pop().close()

    def test_groups_know_nothing_of_each_other(self, log: Log, topic: str) -> None:
        """Each gets everything."""
        publish(log, topic, numbered(b"k", 10))
        consumers = [log.consumer(topic, Follower(), group=f"{topic}-{number}") for number in (1, 2)]
        for consumer in consumers:
            seen: list[Record] = []
            poll_until([consumer], partial(count_is, seen, 10), partial(extend, seen))
            consumer.close()

    def test_hint_never_fails(self, log: Log, topic: str) -> None:
        """Not for a partition that we do not have, not after close."""
        consumer = log.consumer(topic, Follower(), group="hints", partitions=[0])
        consumer.poll(1, 0)
        consumer.hint({0: 5, 99: 3})
        consumer.hint({})
        consumer.close()
        consumer.hint({0: 6})


def _shared_by(followers: Sequence[Follower]) -> bool:
    """Whether each holds something, and together they hold each partition once."""
    held = [partition for follower in followers for partition in follower.held]
    return sorted(held) == list(range(PARTITIONS)) and all(follower.held for follower in followers)
