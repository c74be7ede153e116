"""Small logs, each with one thing in it that could go wrong, and how they are projected."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from everwhen import Topic
from tests.ledger import Noted, Poison, Reset, Skipped, Wiped
from tests.simulation.stage import Setting
from tests.simulation.story import Story

Scenario: TypeAlias = Callable[[Topic], tuple[Story, Setting]]
ALL: dict[str, Scenario] = {}


def scenario(make: Scenario) -> Scenario:
    """List a scenario under its name."""
    ALL[make.__name__] = make
    return make


@scenario
def in_order_into_an_empty_file(topic: Topic) -> tuple[Story, Setting]:
    """Two entities, each event later than the one before; the tables are made first."""
    story = Story(topic)
    for number in range(4):
        story.tell("ab"[number % 2], Noted(text=str(number)), number)
    return story, Setting(fresh=True)


@scenario
def late(topic: Topic) -> tuple[Story, Setting]:
    """Before the first event, in the middle, and late again after that."""
    story = Story(topic)
    for number, minute in enumerate((5, 9, 1, 7, 8, 2)):
        story.tell("a", Noted(text=str(number)), minute)
    return story, Setting(batch_records=2)


@scenario
def one_instant(topic: Topic) -> tuple[Story, Setting]:
    """Events at one instant, in one batch and over two, and a late one among them."""
    story = Story(topic)
    for number, minute in enumerate((1, 2, 2, 2, 1, 2)):
        story.tell("a", Noted(text=str(number)), minute)
    return story, Setting(batch_records=2)


@scenario
def withdrawn(topic: Topic) -> tuple[Story, Setting]:
    """Corrected, moved in time, the correction corrected; retracted, also before it comes."""
    story = Story(topic)
    first = story.tell("a", Noted(text="first"), 1)
    story.tell("a", Noted(text="second"), 2)
    moved = story.tell("a", Noted(text="moved"), 3, withdraws=first)
    story.tell("a", Skipped(), 3, withdraws="to-come")
    story.tell("a", Noted(text="last"), 1.5, withdraws=moved)
    story.tell("a", Noted(text="never"), 4, event_id="to-come")
    only = story.tell("b", Noted(text="only"), 1)
    story.tell("b", Skipped(), 2, withdraws=only)
    return story, Setting(batch_records=2)


@scenario
def repeated(topic: Topic) -> tuple[Story, Setting]:
    """The same event again, in its batch and later; its id with other contents; an ignored event."""
    story = Story(topic)
    same = story.tell("a", Noted(text="same"), 1)
    story.tell("a", Noted(text="same"), 1, event_id=same)
    story.tell("a", Skipped(), 2)
    story.tell("a", Noted(text="another"), 2, event_id=same)
    story.tell("a", Noted(text="next"), 3)
    story.tell("a", Noted(text="same"), 1, event_id=same)
    story.tell("a", Noted(text="same"), 4, event_id=same)
    return story, Setting(batch_records=2)


@scenario
def put_off(topic: Topic) -> tuple[Story, Setting]:
    """More beliefs end in one batch than it may store, so that they are folded when asked for."""
    story = Story(topic)
    for number, minute in enumerate((5, 6, 7, 1, 8, 2)):
        story.tell("a", Noted(text=str(number)), minute)
    return story, Setting(depth=1, exact=False)


@scenario
def appended(topic: Topic) -> tuple[Story, Setting]:
    """Late events count from the latest one on."""
    story = Story(topic)
    for number, minute in enumerate((5, 2, 7, 1)):
        story.tell("a", Noted(text=str(number)), minute)
    story.tell("a", Skipped(), 7, withdraws="0-2")
    story.tell("a", Noted(text="after"), 3)
    return story, Setting(batch_records=2, appends=True)


@scenario
def two_lives(topic: Topic) -> tuple[Story, Setting]:
    """Deleted, born again, and a late event between the two lives, and one that ends the first earlier."""
    story = Story(topic)
    story.tell("a", Noted(text="one"), 1)
    story.tell("a", Wiped(), 4)
    story.tell("a", Noted(text="two"), 6)
    story.tell("a", Noted(text="between"), 5)
    story.tell("a", Wiped(), 3)
    story.tell("a", Reset(), 7)
    return story, Setting(batch_records=2)


@scenario
def three_partitions(topic: Topic) -> tuple[Story, Setting]:
    """Many entities over three partitions."""
    story = Story(topic, partitions=3)
    for number in range(9):
        story.tell(f"e{number % 5}", Noted(text=str(number)), (number * 5) % 7)
    return story, Setting(batch_records=8, most=8)


@scenario
def holes(topic: Topic) -> tuple[Story, Setting]:
    """Offsets that are not there: at the beginning, between two records, and markers at the end."""
    story = Story(topic)
    story.hole()
    story.tell("a", Noted(text="one"), 1)
    story.marker()
    story.hole()
    story.tell("a", Noted(text="two"), 2)
    story.tell("b", Noted(text="three"), 2)
    story.marker()
    story.marker()
    return story, Setting(batch_records=2)


@scenario
def transactions(topic: Topic) -> tuple[Story, Setting]:
    """Aborted ones, and one that holds back what comes after it for a while."""
    story = Story(topic)
    story.tell("a", Noted(text="one"), 1)
    story.tell("a", Noted(text="aborted"), 2, aborted=True)
    story.marker()
    story.tell("a", Noted(text="held back"), 3, settled=0.5)
    story.tell("b", Noted(text="behind it"), 3)
    story.tell("a", Noted(text="aborted late"), 3, aborted=True, settled=0.6)
    story.tell("a", Noted(text="last"), 0)
    story.marker()
    return story, Setting(batch_records=2)


@scenario
def taken_away(topic: Topic) -> tuple[Story, Setting]:
    """The group takes partitions away in the middle, once with and once without asking, and gives them back."""
    story = Story(topic, partitions=2, beat=0.1)
    for number in range(6):
        story.tell(f"e{number % 4}", Noted(text=str(number)), number % 5)
        if number == 1:
            story.take_away(0, 0.15, lost=False)
        if number == 3:
            story.take_away(1, 0.15, lost=True)
    return story, Setting(batch_records=2)


@scenario
def quiet(topic: Topic) -> tuple[Story, Setting]:
    """One partition stays empty, and the other is idle for so long that this is noted, before it goes on."""
    story = Story(topic, partitions=2)
    entities = [e for e in "abcdef" if story.partition(e) == 0]
    story.tell(entities[0], Noted(text="one"), 1)
    story.tell(entities[1], Noted(text="two"), 2)
    story.now += 1.6
    story.tell(entities[0], Noted(text="three"), 0)
    story.tell(entities[1], Noted(text="four"), 3, settled=story.now + 0.3)
    return story, Setting(options={"idle_seconds": 1.0, "clock_allowance_seconds": 0.4})


@scenario
def two_workers(topic: Topic) -> tuple[Story, Setting]:
    """Two share the partitions; the group takes one away from either."""
    story = Story(topic, partitions=2, beat=0.1)
    for number in range(6):
        story.tell(f"e{number % 4}", Noted(text=str(number)), (number * 3) % 5)
        if number == 2:
            story.take_away(0, 0.1, lost=True)
    return story, Setting(workers=2, batch_records=2)


@scenario
def without_a_group(topic: Topic) -> tuple[Story, Setting]:
    """The worker was told which partition to read: when it is fenced it ends."""
    story = Story(topic)
    for number in range(5):
        story.tell("ab"[number % 2], Noted(text=str(number)), (number * 3) % 5)
    return story, Setting(batch_records=2, explicit=True)


@scenario
def parked(topic: Topic) -> tuple[Story, Setting]:
    """Records that cannot be applied park their entity; one of two is put right by a retraction."""
    story = Story(topic)
    story.tell("a", Noted(text="one"), 1)
    story.tell("a", Poison(), 2, event_id="bad")
    story.tell("b", Noted(text="goes on"), 1)
    story.tell("a", Noted(text="waits"), 3)
    story.tell("a", Skipped(), 4, withdraws="bad")
    story.tell("a", Noted(text="after"), 0)
    story.tell("b", Poison(), 2)
    story.tell("b", Noted(text="waits for ever"), 3)
    return story, Setting(batch_records=2)
