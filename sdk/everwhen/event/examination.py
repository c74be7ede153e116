"""Examining an event class and the contract files beside it: what is wrong, and what the next version is."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from everwhen.errors import ContractError
from everwhen.event import compatibility
from everwhen.event.avro import Schema
from everwhen.event.evolution import Evolution, Upcaster
from everwhen.event.lineage import line_from, steps_in
from everwhen.event.model import Event, event_schema, event_type
from everwhen.event.versions import VERSION_FILE, Version, meaning, read_version

_REMEDY = "run `everwhen schema write MODULE:TOPIC`"
MISSING_ROOT = (
    f"{_REMEDY} to create it. A relative schemas= starts at the working directory; in a package an absolute one is "
    'safer: Path(__file__).parent / "schemas"'
)
_BREAKING = (
    "keep the old field, give the new one a default, bridge the two with an upcaster, or declare another event type"
)


@dataclass(frozen=True, slots=True)
class Examination:
    """What was found about one event class.

    :ivar versions: those of its files.
    :ivar former: those of the files under names that its type had once.
    :ivar obstacles: what stands in the way of writing the next version.
    :ivar drift: what only the next version is needed for.
    """

    event: type[Event]
    directory: Path
    versions: tuple[Version, ...]
    former: tuple[Version, ...]
    obstacles: list[str]
    drift: str | None

    @property
    def problems(self) -> list[str]:
        return self.obstacles + ([self.drift] if self.drift is not None else [])

    @property
    def is_outdated(self) -> bool:
        return self.drift is not None

    @property
    def next_path(self) -> Path:
        return self.directory / f"{len(self.versions) + 1}.avsc"


def examine(root: Path, event: type[Event], evolution: Evolution) -> Examination:
    """Read the files of one class and compare them with it.

    :param root: the topic's directory of schemas.
    """
    directory = root / event_type(event)
    obstacles: list[str] = []
    numbers, versions = _versions(directory, obstacles)
    former = tuple(
        version.named_as(event_type(event))
        for old in evolution.renamed_to(event)
        for version in _former(root / old, event, obstacles)
    )
    # A file that cannot be read may be the newest one: whether the class differs from that is not known then.
    drift = _drift(directory, event, versions) if len(versions) == len(numbers) else None
    today = Version.of(len(numbers) + 1, event_schema(event))
    own = versions if drift is None and len(versions) == len(numbers) else (*versions, today)
    upcasters = evolution.upcasters_of(event)
    obstacles += _idle(root, event, (*former, *own), upcasters)
    obstacles += _twins(root, (*former, *versions), upcasters)
    for version in (*former, *versions):
        obstacles += _breaks(root, event, version, line_from(version, former, own), upcasters)
    return Examination(event, directory, versions, former, obstacles, drift)


def _versions(directory: Path, obstacles: list[str]) -> tuple[list[int], tuple[Version, ...]]:
    numbers = _numbers(directory, obstacles)
    read = [read_version(directory / f"{number}.avsc", number, obstacles) for number in numbers]
    return numbers, tuple(version for version in read if version is not None)


def _former(directory: Path, event: type[Event], obstacles: list[str]) -> tuple[Version, ...]:
    numbers, versions = _versions(directory, obstacles)
    if not numbers:
        obstacles.append(
            f"{directory} holds no contract files of {directory.name}, which is renamed to {event_type(event)}; "
            "restore them: they are what its old events are read with"
        )
    return versions


def _breaks(
    root: Path,
    event: type[Event],
    version: Version,
    line: list[Version],
    upcasters: Mapping[tuple[str, int], Upcaster],
) -> Iterator[str]:
    """Say why data of a version do not reach the class, or the first upcaster on the way to it."""
    steps = steps_in(line, upcasters)
    target = steps[0].source if steps else line[-1]
    reader = f"the upcaster {steps[0].upcaster.name}()" if steps else event.__name__
    for problem in compatibility.compare(version.node, target.node):
        yield f"{reader} cannot read what was written with {_path(root, version)}: {problem}; {_BREAKING}"


def _idle(
    root: Path, event: type[Event], line: tuple[Version, ...], upcasters: Mapping[tuple[str, int], Upcaster]
) -> Iterator[str]:
    """Find upcasters that no version is taken to."""
    sources = {(version.type, version.number) for version in line[:-1]}
    for (name, number), upcaster in upcasters.items():
        if (name, number) not in sources:
            newest = (name, number) == (line[-1].type, line[-1].number)
            why = "that is the newest version" if newest else "there is no such version"
            yield (
                f"the upcaster {upcaster.name}() takes {root / name / str(number)}.avsc to the one after it, and {why}"
                "; name the version that was written before the change"
            )


def _path(root: Path, version: Version) -> Path:
    return root / version.type / f"{version.number}.avsc"


def _numbers(directory: Path, obstacles: list[str]) -> list[int]:
    """Return the versions that there are files for, and note files that are not counted 1, 2, …"""
    numbers = []
    for path in sorted(directory.glob("*.avsc")):
        match = VERSION_FILE.fullmatch(path.name)
        if match is None:
            obstacles.append(f"{path} is not named by a version; name it 1.avsc, 2.avsc, …")
        else:
            numbers.append(int(match[1]))
    numbers.sort()
    missing = sorted(set(range(1, max(numbers, default=0) + 1)) - set(numbers))
    obstacles += [f"{directory / f'{number}.avsc'} is missing below newer versions; restore it" for number in missing]
    return numbers


def _twins(root: Path, versions: tuple[Version, ...], upcasters: Mapping[tuple[str, int], Upcaster]) -> Iterator[str]:
    """Find versions that no reader could tell apart, though their values mean different things."""
    first: dict[bytes, Version] = {}
    for version in versions:
        twin = first.setdefault(version.fingerprint, version)
        between = [number for number in range(twin.number, version.number) if (version.type, number) in upcasters]
        if twin is not version and (between or meaning(twin.node) != meaning(version.node)):
            remedy = "rename the field whose meaning changed" if between else "take the later one back"
            yield (
                f"{_path(root, twin)} and {version.number}.avsc have the same fingerprint, but their values mean "
                f"different things; {remedy}"
            )


def _drift(directory: Path, event: type[Event], versions: tuple[Version, ...]) -> str | None:
    if not versions:
        return f"{event.__name__} has no contract, as there is no {directory / '1.avsc'}; {_REMEDY}"
    newest, schema = versions[-1], event_schema(event)
    if newest.schema == schema:
        return None
    path = directory / f"{newest.number}.avsc"
    return f"{event.__name__} is not what {path} says: {_difference(newest.schema, schema)}; {_REMEDY}"


def _difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Name the first field in which two schemas differ."""
    before, after = ({field["name"]: field for field in schema["fields"]} for schema in (old, new))
    for name in [*after, *before]:
        if name not in before:
            return f"the field {name} is new"
        if name not in after:
            return f"the field {name} is gone"
        if before[name] != after[name]:
            return f"the field {name} was {json.dumps(before[name])} and is {json.dumps(after[name])}"
    return "its name or the order of its fields differs"


def create(path: Path, schema: Schema) -> Path:
    """Write a contract file that is not there yet, whole or not at all.

    :raises ContractError: if it is there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(schema, indent=2) + "\n", encoding="ascii", newline="\n")
    try:
        # A link fails where the name is taken, so that two writers at once cannot replace each other's file.
        path.hardlink_to(draft)
    except FileExistsError:
        raise ContractError(f"{path} was created by someone else just now; run it again") from None
    finally:
        draft.unlink()
    return path
