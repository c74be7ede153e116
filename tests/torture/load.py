"""The load generator, a process of its own: ``python -m tests.torture.load``; it ends when its input is closed.

It writes down what it is going to send, sends it, and writes down where the log has it (:mod:`tests.checker.sent`).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from everwhen import Event, Publisher, Receipt
from everwhen.errors import PublishError
from everwhen.event import event_type
from everwhen.instants import from_micros
from tests.torture import domain
from tests.torture.domain import Deleted, Ignored, Replaced

_SECOND = 1_000_000
_LIFETIME = 40
_ACTIVE = 30
_ACTIVE_SECONDS = 6
"""How long an entity's events go on at any rate: longer than a worker lives."""
_SYNC_SECONDS = 0.5
_RETRACTED = "everwhen.retracted"
_CLASSES: dict[str, type[Event]] = {event_type(each): each for each in domain.EVENTS}


class Life:
    """One entity: draws what happens to it next."""

    def __init__(self, name: str, draw: random.Random, start: int) -> None:
        self.name = name
        self.sends: list[dict[str, Any]] = []
        self._draw = draw
        self._start = self._now = start
        self._ids = 0
        self._moves: list[tuple[int, Callable[[], dict[str, Any]]]] = [
            (60, lambda: self._add(self._next())),
            (10, lambda: self._add(self._draw.randrange(self._start - _SECOND, self._now + 1))),
            (5, lambda: self._add(self._past()["valid_at"] or self._now)),
            (5, lambda: self._add(self._now + 86_400 * _SECOND)),
            (4, lambda: self._plain(Replaced, item=True)),
            (5, lambda: self._plain(Deleted)),
            (2, lambda: self._plain(Ignored)),
            (6, self._correct),
            (4, self._retract),
            (6, lambda: dict(self._past())),
            (2, self._contradict),
        ]

    def draw(self) -> dict[str, Any]:
        """Draw the next thing to send."""
        move = self._draw.choices([move for _, move in self._moves], [weight for weight, _ in self._moves])[0]
        send = move() if self.sends else self._add(self._next())
        self.sends.append(send)
        return send

    def _id(self) -> str:
        self._ids += 1
        return f"{self.name}-{self._ids}"

    def _next(self) -> int:
        self._now += self._draw.choice([0, 1, _SECOND, 60 * _SECOND])
        return self._now

    def _past(self) -> dict[str, Any]:
        return self._draw.choice(self.sends)

    def _send(self, kind: str, valid_at: int | None, payload: dict[str, Any], withdraws: str | None) -> dict[str, Any]:
        return {
            "entity": self.name,
            "id": self._id(),
            "type": kind,
            "valid_at": valid_at,
            "payload": payload,
            "withdraws": withdraws,
        }

    def _add(self, valid_at: int, withdraws: str | None = None) -> dict[str, Any]:
        payload = {"item": f"{self.name}-{self._ids + 1}", "weight": self._draw.choice([None, self._draw.random()])}
        return self._send("torture.added", valid_at, payload, withdraws)

    def _plain(self, event: type[Event], *, item: bool = False) -> dict[str, Any]:
        payload = {"item": f"{self.name}-{self._ids + 1}"} if item else {}
        return self._send(event_type(event), self._next(), payload, None)

    def _target(self) -> str:
        """Mostly an event of the past; at times one that will only come, or never comes."""
        return f"{self.name}-{self._ids + 2}" if self._draw.random() < 0.2 else str(self._past()["id"])

    def _correct(self) -> dict[str, Any]:
        return self._add(self._draw.randrange(self._start, self._now + 1), self._target())

    def _retract(self) -> dict[str, Any]:
        return self._send(_RETRACTED, None, {"reason": self._draw.choice([None, "wrong"])}, self._target())

    def _contradict(self) -> dict[str, Any]:
        return self._add(self._next()) | {"id": self._past()["id"]}


class Load:
    """Sends at about a given rate, and writes the history."""

    def __init__(self, publisher: Publisher, history: IO[str], seed: int, prefix: str, active: int = _ACTIVE) -> None:
        self._publisher = publisher
        self._history = history
        self._draw = random.Random(seed)
        self._prefix = prefix
        self._open: deque[tuple[int, Receipt]] = deque()
        self._sent = self._begun = 0
        self._sync_at = time.monotonic() + _SYNC_SECONDS
        self._active = [self._new() for _ in range(active)]
        self._retired: deque[Life] = deque(maxlen=4 * active)

    def step(self) -> None:
        """Send one event."""
        index = self._draw.randrange(len(self._active))
        life = self._active[index]
        if self._retired and self._draw.random() < 0.03:
            life = self._draw.choice(self._retired)
        elif len(life.sends) >= _LIFETIME:
            self._retired.append(life)
            life = self._active[index] = self._new()
        send = life.draw()
        self._write({"n": self._sent, "send": send})
        self._open.append((self._sent, self._publish(send)))
        self._sent += 1
        self.settle(wait=False)
        if time.monotonic() > self._sync_at:
            self._history.flush()
            os.fsync(self._history.fileno())
            self._sync_at = time.monotonic() + _SYNC_SECONDS

    def settle(self, *, wait: bool) -> None:
        """Write down the answers that are there, or wait for all of them."""
        while self._open and (wait or self._open[0][1].done):
            number, receipt = self._open.popleft()
            try:
                position = receipt.position
            except PublishError as error:
                self._write({"n": number, "error": str(error)})
            else:
                self._write({"n": number, "at": [position.partition, position.offset]})

    def _new(self) -> Life:
        self._begun += 1
        now = time.time_ns() // 1000
        return Life(f"{self._prefix}{self._begun}", self._draw, now - 3600 * _SECOND)

    def _publish(self, send: dict[str, Any]) -> Receipt:
        entity, event_id, withdraws = send["entity"], send["id"], send["withdraws"]
        if send["type"] == _RETRACTED:
            return self._publisher.retract(
                withdraws, entity_id=entity, reason=send["payload"]["reason"], retraction_id=event_id
            )
        event, instant = _CLASSES[send["type"]](**send["payload"]), from_micros(send["valid_at"])
        if withdraws is None:
            return self._publisher.publish(entity, event, occurred_at=instant, event_id=event_id)
        return self._publisher.correct(withdraws, event, entity_id=entity, occurred_at=instant, correction_id=event_id)

    def _write(self, entry: dict[str, Any]) -> None:
        self._history.write(json.dumps(entry) + "\n")


def main() -> None:
    """Send until the input is closed, and until the number of events is reached."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture.load")
    parser.add_argument("--log", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--schemas", required=True, type=Path)
    parser.add_argument("--history", required=True, type=Path)
    parser.add_argument("--seed", required=True, type=int)
    parser.add_argument("--events", required=True, type=int, help="go on to this number when the input is closed")
    parser.add_argument("--rate", required=True, type=float, help="events a second")
    chosen = parser.parse_args()
    ended = threading.Event()

    def watch() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=watch, daemon=True).start()
    source = domain.topic(chosen.topic, chosen.schemas)
    with chosen.history.open("w") as history, Publisher(source, chosen.log) as publisher:
        load = Load(publisher, history, chosen.seed, "e", max(_ACTIVE, int(chosen.rate * _ACTIVE_SECONDS / _LIFETIME)))
        begin = time.monotonic()
        number = 0
        while not ended.is_set() or number < chosen.events:
            load.step()
            number += 1
            ended.wait(max(0.0, begin + number / chosen.rate - time.monotonic()))
        load.settle(wait=True)


if __name__ == "__main__":
    main()
