"""The reading process: ``python -m tests.torture.reading`` asks all along, and later once more.

Until its input is closed it asks about entities that were just written and about older ones, and writes every answer
down (:mod:`tests.checker.answers`) with its basis. Then it ends; ``--again`` asks every question that was written down
at its basis, and no answer may be another one. Nothing that it is told may go back behind what it was told before.
It prints what it did as JSON.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

from everwhen import Basis, Reader
from everwhen.errors import ProjectionNotFound, StoreUnavailable
from everwhen.instants import from_micros, to_micros
from everwhen.reader.answer import Answer, Status, Version
from tests.torture import domain
from tests.torture.domain import Items

_SECOND = 1_000_000
_RECENT = 300
_SNAPSHOT_ROWS = 10
_TAIL_BYTES = 60_000
_PAUSE = 0.1
_ENTITY = re.compile(rb'"entity": "e(\d+)"')
_KINDS = ["get"] * 14 + ["history"] * 5 + ["snapshot"]


def _version(version: Version[Items]) -> list[Any]:
    """A version as the checker takes it, and everything else that a reader is told of it."""
    items = None if version.state is None else version.state.items
    told = [to_micros(version.valid_from, "valid_from"), version.position.offset, items]
    valid_to = None if version.valid_to is None else to_micros(version.valid_to, "valid_to")
    # When a version was superseded is news from behind the basis, and so no part of what must stay as it is.
    rest = [valid_to, to_micros(version.recorded_at, "recorded_at"), version.event_id, version.event_type]
    return [told, rest]


class Questions:
    """Asks, and gives what it was told in a form that is written down and compared."""

    def __init__(self, reader: Reader[Items]) -> None:
        self._reader = reader

    def ask(self, kind: str, entity: str, valid_at: int, pin: dict[str, Any]) -> tuple[Basis, dict[str, Any]] | None:
        """Ask one question; ``None`` if the point of knowledge is not projected yet.

        :param pin: ``known_at`` as a datetime, ``basis``, or nothing.
        """
        instant = from_micros(valid_at)
        if kind == "get":
            answer = self._reader.get(entity, valid_at=instant, **pin)
            if answer.status is Status.NOT_YET_PROJECTED:
                return None
            return answer.basis, self._told([(entity, answer.status, _of(answer))])
        if kind == "history":
            history = self._reader.history(entity, **pin)
            if history.status is Status.NOT_YET_PROJECTED:
                return None
            return history.basis, self._told([(entity, history.status, history.versions)])
        with self._reader.snapshot(valid_at=instant, **pin) as snapshot:
            rows = [(each.entity_id, each.status, _of(each)) for each in islice(snapshot, _SNAPSHOT_ROWS)]
            if any(status is Status.NOT_YET_PROJECTED for _, status, _ in rows):
                return None
            return snapshot.basis, self._told(rows)

    def _told(self, rows: Iterable[tuple[str, Status, Iterable[Version[Items]]]]) -> dict[str, Any]:
        told: dict[str, Any] = {"told": {}, "status": [], "rest": []}
        for entity, status, versions in rows:
            both = [_version(each) for each in versions]
            told["told"][entity] = [each[0] for each in both]
            told["status"].append(status.value)
            told["rest"].append([each[1] for each in both])
        return told


def _of(answer: Answer[Items]) -> list[Version[Items]]:
    return [] if answer.version is None else [answer.version]


class Asker:
    """Draws questions, and sees to it that nothing goes back."""

    def __init__(self, reader: Reader[Items], history: Path, seed: int) -> None:
        self.counts: Counter[str] = Counter()
        self.broken: list[str] = []
        self._questions = Questions(reader)
        self._history = history
        self._draw = random.Random(seed)
        self._marks: dict[int, Any] = {}
        self._highest = 0
        self._look_at = 0.0

    def step(self) -> dict[str, Any] | None:
        """Ask one question and return what to write down."""
        draw, now = self._draw, time.time_ns() // 1000
        kind, entity = draw.choice(_KINDS), self._entity()
        valid_at = draw.choice([now, now + 2 * 86_400 * _SECOND, now - draw.randrange(3700 * _SECOND)])
        pin: dict[str, Any] = {}
        if draw.random() < 0.3:
            pin["known_at"] = from_micros(now - draw.choice([0, _SECOND, draw.randrange(300 * _SECOND)]))
        try:
            answer = self._questions.ask(kind, entity, valid_at, pin)
        except ProjectionNotFound:
            time.sleep(_PAUSE)
            return None
        except StoreUnavailable:
            self.counts["questions that met no database"] += 1
            time.sleep(_PAUSE)
            return None
        self.counts["questions asked during the run"] += 1
        if answer is None:
            self.counts["answers that were not projected yet"] += 1
            return None
        basis, told = answer
        self._watch(basis)
        known_at = basis.known_at
        question = {"kind": kind, "entity": entity, "asked_at": valid_at, "token": str(basis)}
        below = {str(partition): mark.next_offset for partition, mark in basis.items()}
        whole = None if kind == "history" else valid_at
        return {**question, "valid_at": whole, "known_at": known_at, "below": below, **told}

    def _watch(self, basis: Basis) -> None:
        """Checkpoints and watermarks only grow."""
        for partition, mark in basis.items():
            before = self._marks.get(partition, mark)
            if mark.next_offset < before.next_offset or mark.watermark < before.watermark:
                self.broken.append(f"partition {partition} went back from {before} to {mark}")
            self._marks[partition] = mark

    def _entity(self) -> str:
        if time.monotonic() > self._look_at:
            self._look_at = time.monotonic() + 0.5
            self._highest = max(self._highest, *map(int, _ENTITY.findall(self._tail())), 1)
        low = max(1, self._highest - _RECENT) if self._draw.random() < 0.7 else 1
        return f"e{self._draw.randint(low, self._highest)}"

    def _tail(self) -> bytes:
        if not self._history.exists():
            return b'"entity": "e1"'
        with self._history.open("rb") as file:
            file.seek(max(0, self._history.stat().st_size - _TAIL_BYTES))
            return file.read() + b'"entity": "e1"'


def ask(reader: Reader[Items], history: Path, answers: Path, seed: int, rate: float) -> dict[str, Any]:
    """Ask until the input is closed."""
    ended = threading.Event()

    def watch() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=watch, daemon=True).start()
    asker = Asker(reader, history, seed)
    with answers.open("w") as file:
        while not ended.is_set():
            begin = time.monotonic()
            if (answer := asker.step()) is not None:
                file.write(json.dumps(answer) + "\n")
            ended.wait(max(0.0, begin + 1 / rate - time.monotonic()))
    return {"counts": asker.counts, "broken": asker.broken[:20]}


def again(reader: Reader[Items], answers: Path) -> dict[str, Any]:
    """Ask every question once more, at the basis of its answer."""
    questions, broken = Questions(reader), []
    counts, spent = Counter[str](), Counter[str]()
    with answers.open() as file:
        for line in file:
            asked = json.loads(line)
            basis = Basis.parse(asked["token"])
            begin = time.monotonic()
            answer = questions.ask(asked["kind"], asked["entity"], asked["asked_at"], {"basis": basis})
            spent[asked["kind"]] += time.monotonic() - begin  # type: ignore[assignment]
            counts["answers re-asked"] += 1
            counts[f"{asked['kind']} re-asked"] += 1
            found = None if answer is None else json.loads(json.dumps(answer[1]))
            if found != {name: asked[name] for name in ("told", "status", "rest")}:
                counts["answers that changed"] += 1
                broken.append(
                    f"{asked['kind']} of {asked['entity']} at {asked['token']}: {line.strip()} became {found}"
                )
    print({kind: round(spent[kind] / counts[f"{kind} re-asked"], 4) for kind in spent}, file=sys.stderr)
    return {"counts": counts, "broken": [each[:2000] for each in broken[:5]]}


def main() -> None:
    """Ask, or ask again."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture.reading")
    parser.add_argument("--store", required=True)
    parser.add_argument("--schemas", required=True, type=Path)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--history", type=Path)
    parser.add_argument("--answers", required=True, type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate", type=float, default=30, help="questions a second (%(default)s)")
    parser.add_argument("--again", action="store_true", help="ask what was answered, once more")
    chosen = parser.parse_args()
    projection = domain.projection(domain.topic(chosen.topic, chosen.schemas))
    with Reader(projection, chosen.store) as reader:
        if chosen.again:
            done = again(reader, chosen.answers)
        else:
            done = ask(reader, chosen.history, chosen.answers, chosen.seed, chosen.rate)
    print(json.dumps(done))


if __name__ == "__main__":
    main()
