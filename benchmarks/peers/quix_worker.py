"""The fold of the flights in Quix Streams: a stateful ``apply`` with exactly once. Runs in an environment of its own.

Usage: ``python quix_worker.py BOOTSTRAP TOPIC SCHEMAS STATE_DIRECTORY GROUP EVENTS``; prints the seconds from the first
event to the last commit, as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
from fastavro.schema import fingerprint, to_parsing_canonical_form
from quixstreams import Application
from quixstreams.models import Deserializer
from quixstreams.processing import ProcessingContext

_NEW = {
    "airport": None,
    "carrier": None,
    "departures": 0,
    "landings": 0,
    "cancellations": 0,
    "miles": 0,
    "airborne_minutes": 0,
}


class SingleObject(Deserializer):  # type: ignore[misc]
    """Reads Avro's single-object encoding; its own deserializer wants a schema registry."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._schemas = {}
        for file in directory.glob("*/1.avsc"):
            schema = json.loads(file.read_text())
            digest = fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO")
            self._schemas[b"\xc3\x01" + bytes.fromhex(digest)] = file.parent.name, fastavro.parse_schema(schema)

    def __call__(self, value: bytes, ctx: Any) -> Any:
        """Read one value, and note its type."""
        name, schema = self._schemas[value[:10]]
        event: Any = fastavro.schemaless_reader(BytesIO(value[10:]), schema, None)
        event["type"] = name
        return event


def fold(state: dict[str, Any] | None, event: dict[str, Any]) -> dict[str, Any]:
    """Do what the projection's handlers do, on a dict."""
    state = dict(_NEW) if state is None else state
    state["carrier"] = event["carrier"]
    if event["type"] == "flight.departed":
        state["airport"] = None
        state["departures"] += 1
    elif event["type"] == "flight.landed":
        state["airport"] = event["dest"]
        state["landings"] += 1
        state["miles"] += event["distance"]
        state["airborne_minutes"] += event["air_time"]
    else:
        state["cancellations"] += 1
    return state


def main(bootstrap: str, topic: str, schemas: str, directory: str, group: str, events: str) -> None:
    """Fold so many events, and print the seconds."""
    app = Application(
        broker_address=bootstrap,
        consumer_group=group,
        auto_offset_reset="earliest",
        state_dir=directory,
        loglevel="ERROR",
        processing_guarantee="exactly-once",
        use_changelog_topics=True,
    )
    source = app.topic(topic, value_deserializer=SingleObject(Path(schemas)), key_deserializer="str")
    total, done, began, ended = int(events), 0, 0.0, 0.0
    commit_as_ever = ProcessingContext.commit_checkpoint

    def step(event: dict[str, Any], state: Any) -> dict[str, Any]:
        nonlocal done, began, ended
        began = began or time.perf_counter()
        folded = fold(state.get("state"), event)
        state.set("state", folded)
        done += 1
        if done == total:
            app.stop()
        return folded

    def commit(context: ProcessingContext, force: bool = False, **options: Any) -> None:
        nonlocal ended
        commit_as_ever(context, force=force, **options)
        # Stopping begins with a commit, which may be of half the work: one comes every 5 s.
        if done == total and force:
            ended = ended or time.perf_counter()

    ProcessingContext.commit_checkpoint = commit
    app.dataframe(source).apply(step, stateful=True)
    app.run()
    print(json.dumps(ended - began))


if __name__ == "__main__":
    main(*sys.argv[1:])
