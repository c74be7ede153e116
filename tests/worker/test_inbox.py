"""The records between the two threads of a worker: each is handed over once, and none of a partition that is gone."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from everwhen.errors import LogError
from everwhen.ports.generations import Generation
from everwhen.ports.log import Chunk, Record
from everwhen.ports.store import Claim
from everwhen.positions import Mark
from everwhen.worker.inbox import Inbox
from everwhen.worker.projector import Owned

_GENERATION = Generation("thing", 1, 1, "a" * 16, "things")
_PATIENCE = 20


def claimed(partition: int, next_offset: int = 0) -> Owned:
    """A partition that stands at an offset."""
    return Owned(Claim(_GENERATION, partition, "owner", 1, Mark(next_offset, -1), -1), 1_000)


def fetched(partition: int, offsets: Sequence[int]) -> Chunk:
    """What a poll gave."""
    return Chunk([Record(partition, offset, offset, b"k", b"v", ()) for offset in offsets], {})


def opened(*owned: Owned) -> Inbox:
    """An inbox of these partitions."""
    inbox = Inbox(1_000_000)
    inbox.open(owned)
    return inbox


def taken(inbox: Inbox, at_once: int = 100) -> list[int]:
    """Take everything that is there."""
    offsets: list[int] = []
    while (work := inbox.take(at_once, 0)) is not None:
        offsets += [record.offset for record in work.records]
        work.owned.mark = Mark(work.reached, -1)
        inbox.done()
    return offsets


def test_every_record_is_taken_once() -> None:
    """From the checkpoint on: what lies before it, or is fetched once more, was applied already."""
    inbox = opened(claimed(0, next_offset=3))
    inbox.put(fetched(0, [1, 2, 3, 4]))
    inbox.put(fetched(0, [3, 4, 5]))
    assert taken(inbox) == [3, 4, 5]
    inbox.put(fetched(0, [4, 5, 6]))
    assert taken(inbox) == [6]


def test_the_position_stays_in_front_of_what_waits() -> None:
    """Whoever goes on after a crash finds every record that was not applied."""
    inbox = opened(claimed(0))
    inbox.put(fetched(0, [0, 1, 5, 9]))
    inbox.put(Chunk([], {0: 12}))
    for reached in (1, 5, 9, 12):
        work = inbox.take(1, 0)
        assert work is not None
        assert (len(work.records), work.reached) == (1, reached)
        work.owned.mark = Mark(reached, -1)
        inbox.done()


def test_nothing_is_taken_of_a_partition_that_was_given_up() -> None:
    """What waits of it is dropped, and what is fetched of it later too; the other partition goes on."""
    inbox = opened(claimed(0), claimed(1))
    inbox.put(fetched(0, [0, 1]))
    inbox.close([0], timeout=0)
    inbox.put(fetched(0, [2]))
    inbox.put(fetched(1, [7]))
    assert taken(inbox) == [7]
    assert [owned.partition for owned in inbox.owned()] == [1]


def test_nothing_is_taken_of_a_partition_that_stopped() -> None:
    """A record behind the one that stopped it would be applied too early."""
    inbox = opened(claimed(0))
    inbox.put(fetched(0, [0, 1]))
    inbox.stop(0, LogError("stopped"))
    inbox.put(fetched(0, [2]))
    assert taken(inbox) == []


def test_a_partition_that_is_claimed_again_begins_anew() -> None:
    """Where its new claim says, and nothing of the earlier claim waits."""
    inbox = opened(claimed(0, next_offset=5))
    inbox.put(fetched(0, [5, 6]))
    again = claimed(0, next_offset=2)
    inbox.open([again])
    inbox.put(fetched(0, [2, 3]))
    work = inbox.take(100, 0)
    assert work is not None
    assert work.owned is again
    assert [record.offset for record in work.records] == [2, 3]


def test_a_partition_is_given_up_after_the_batch_that_is_written() -> None:
    """Else its next owner would be in the way of the batch, or the batch of it."""
    inbox = opened(claimed(0))
    inbox.put(fetched(0, [0]))
    assert inbox.take(1, 0) is not None
    closing = threading.Thread(target=inbox.close, args=([0],), kwargs={"timeout": _PATIENCE})
    closing.start()
    closing.join(0.05)
    assert closing.is_alive()
    inbox.done()
    closing.join(_PATIENCE)
    assert not closing.is_alive()


def test_a_full_buffer_is_waited_for_and_then_paused() -> None:
    """Room wakes whoever waits for it, and nothing is paused then; where none comes, the partition is."""
    inbox = Inbox(4_000)
    inbox.open([claimed(0)])
    inbox.put(fetched(0, range(4)))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(inbox.await_room, 30.0)
        assert inbox.take(3, 0) is not None
        waiting.result(20.0)
    assert inbox.paused() == set()
    inbox.put(fetched(0, range(4, 8)))
    inbox.await_room(0.0)
    assert inbox.paused() == {0}


@pytest.mark.parametrize("at_once", [1, 2, 3, 7, 50])
def test_what_was_taken_takes_no_room(at_once: int) -> None:
    """However many are taken at once, and of whatever size they are, also when some are given back."""
    owned = claimed(0)
    inbox = opened(owned)
    inbox.put(Chunk([Record(0, n, n, b"k" * (n % 5), bytes(n * n), ()) for n in range(50)], {}))
    work = inbox.take(at_once, 0)
    assert work is not None
    inbox.done()
    inbox.put_back(owned, work.records)
    assert inbox._size() >= sum(n * n for n in range(50))
    assert taken(inbox, at_once) == list(range(50))
    assert inbox._size() == 0
