"""Random logs and random faults, all from one number."""

from __future__ import annotations

import random
from dataclasses import dataclass

from everwhen import Event, Topic
from tests.ledger import Noted, Poison, Reset, Skipped, Wiped
from tests.simulation.faults import KINDS, Fault, Plan, Port
from tests.simulation.stage import Place, Setting
from tests.simulation.story import Story

_REACH: dict[Port, int] = {"database": 260, "log": 60}
"""Up to which call a fault may be planned."""


@dataclass(frozen=True)
class History:
    """What a seed stands for."""

    seed: int
    story: Story
    setting: Setting
    faults: tuple[Fault, ...]
    switches: float

    def play(self, place: Place, plan: Plan) -> None:
        """Let it happen.

        :param plan: of its faults; it notes what took place.
        :raises Exception: what was wrong.
        """
        place.stage(self.story, self.setting).play(plan, self.seed, self.switches)


def history(topic: Topic, seed: int) -> History:
    """Draw the history of a seed."""
    draw = random.Random(seed)
    depth = draw.choice((32, 32, 32, 1))
    setting = Setting(
        workers=draw.choice((1, 1, 2)),
        batch_records=draw.randint(1, 6),
        most=draw.randint(1, 6),
        depth=depth,
        exact=depth > 1,
        appends=draw.random() < 0.2,
        options={"idle_seconds": draw.choice((0.3, 5.0)), "clock_allowance_seconds": 5.0},
    )
    return History(seed, _story(topic, draw), setting, tuple(_faults(draw)), draw.choice((0.0, 0.1, 0.5)))


def _faults(draw: random.Random) -> list[Fault]:
    faults: dict[tuple[Port, int], Fault] = {}
    for _ in range(draw.randint(8, 14)):
        port: Port = draw.choice(("database", "database", "log"))
        fault = Fault(port, draw.randrange(_REACH[port]), draw.choice(KINDS[port]))
        faults[port, fault.call] = fault
    return list(faults.values())


def _story(topic: Topic, draw: random.Random) -> Story:
    story = Story(topic, partitions=draw.randint(1, 3), beat=draw.choice((0.01, 0.05)))
    entities = [f"e{number}" for number in range(draw.randint(1, 5))]
    told: dict[str, list[str]] = {entity: [] for entity in entities}
    for number in range(draw.randint(16, 32)):
        _tell(story, draw, draw.choice(entities), number, told)
        if draw.random() < 0.05:
            story.take_away(draw.randrange(story.partitions), draw.choice((0.0, 0.3)), lost=draw.random() < 0.5)
        if draw.random() < 0.03:
            story.now += draw.choice((0.3, 6.0))
    return story


def _tell(story: Story, draw: random.Random, entity: str, number: int, told: dict[str, list[str]]) -> None:
    """Late, tied, deleting, converging, ignored, impossible, repeated, corrected; held back, aborted, after a hole."""
    partition, known = story.partition(entity), told[entity]
    if draw.random() < 0.1:
        draw.choice((story.hole, story.marker))(partition)
    kind = draw.choice((Noted, Noted, Noted, Noted, Wiped, Reset, Skipped, Poison if draw.random() < 0.3 else Noted))
    event: Event = Noted(text=str(number)) if kind is Noted else kind.model_validate({})
    event_id = draw.choice(known) if known and draw.random() < 0.15 else f"{entity}-{number}"
    withdraws = f"{entity}-{draw.randrange(32)}" if draw.random() < 0.15 else None
    if known and draw.random() < 0.1:
        withdraws = draw.choice(known)
    known.append(event_id)
    story.tell(
        entity,
        event,
        draw.randint(0, 9),
        event_id=event_id,
        withdraws=withdraws,
        behind=draw.choice((0.0, 0.0, 0.5)),
        aborted=draw.random() < 0.1,
        settled=story.now + draw.choice((0.2, 0.5)) if draw.random() < 0.1 else None,
    )
