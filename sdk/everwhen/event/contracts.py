"""Contracts: the committed schema files of a topic, and whether the event classes agree with them.

``DIRECTORY/TYPE/N.avsc`` holds version N of an event type's Avro schema, N = 1, 2, … The newest file equals what the
class gives, and reads everything that any earlier one wrote (Kafka's ``BACKWARD_TRANSITIVE``), because a replay meets
all of them. A file is never changed once events were published with it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, cast

from fastavro.schema import fingerprint, parse_schema, to_parsing_canonical_form

from everwhen.errors import ContractError
from everwhen.event import compatibility
from everwhen.event.avro import Schema
from everwhen.event.model import Event, event_schema, event_type
from everwhen.event.retraction import Retracted
from everwhen.event.schema import MAX_SCHEMA_BYTES, Node, resolve

_REMEDY = "run `everwhen schema write MODULE:TOPIC`"
_MISSING_ROOT = (
    f"{_REMEDY} to create it. A relative schemas= starts at the working directory; in a package an absolute one is "
    'safer: Path(__file__).parent / "schemas"'
)
VERSION_FILE = re.compile(r"([1-9][0-9]{0,3})\.avsc")


@dataclass(frozen=True, slots=True, eq=False)
class Version:
    """One version of an event type's schema.

    :ivar number: 1, 2, …; 0 for a schema that comes from a registry.
    :ivar schema: the schema as its file has it.
    :ivar node: the same with its names resolved.
    :ivar parsed: the same as fastavro writes by it, without logical types: :mod:`everwhen.event.logical` has those.
    :ivar fingerprint: CRC-64-AVRO of its parsing canonical form, 8 bytes, least significant first, as the
        single-object encoding has it (Avro specification 1.12, section "Single object encoding").
    """

    number: int
    schema: Schema
    node: Node
    parsed: Schema
    fingerprint: bytes

    @classmethod
    def of(cls, number: int, schema: object) -> Version:
        """Check a schema and build its version.

        :raises ContractError: if it is no Avro schema of a record, or one that is not safe to read with.
        """
        node = resolve(schema)
        if not isinstance(schema, dict) or node.kind != "record":
            raise ContractError("it is not an Avro schema of a record")
        bare = _bare(node, set())
        if len(json.dumps(bare)) > MAX_SCHEMA_BYTES:
            raise _too_long()
        try:
            parsed = parse_schema(bare)
            checksum = bytes.fromhex(fingerprint(to_parsing_canonical_form(parsed), "CRC-64-AVRO"))
        except Exception as error:
            # fastavro checks by use: any error means that it is no schema.
            raise ContractError(f"it is not an Avro schema: fastavro refuses it ({type(error).__name__})") from error
        return cls(number, schema, node, cast("Schema", parsed), checksum)


@dataclass(frozen=True, slots=True, eq=False)
class Contract:
    """The versions of one event type, oldest first; the last is what the class gives."""

    event: type[Event]
    versions: tuple[Version, ...]

    @property
    def type(self) -> str:
        """The event type's name."""
        return event_type(self.event)

    @property
    def newest(self) -> Version:
        """The version that is written."""
        return self.versions[-1]


class Match(NamedTuple):
    """Whose schema a fingerprint belongs to."""

    contract: Contract
    version: Version


class Contracts:
    """The contracts of a topic's event classes, checked. Immutable, so threads can share it.

    That of :class:`~everwhen.event.Retracted`, which no topic declares, is found by class, type and fingerprint too;
    iterating gives the topic's own contracts only.
    """

    def __init__(self, contracts: Iterable[Contract]) -> None:
        self._own = tuple(contracts)
        self._by_class = {contract.event: contract for contract in (*self._own, _retraction())}
        self._by_type = {contract.type: contract for contract in self._by_class.values()}
        # Versions that differ in defaults alone have one fingerprint, and write alike; the newest one stands for them.
        self._by_fingerprint = {
            version.fingerprint: Match(contract, version)
            for contract in self._by_class.values()
            for version in contract.versions
        }

    @classmethod
    def load(cls, directory: Path, classes: Iterable[type[Event]]) -> Contracts:
        """Read and check the contract files of event classes.

        :param directory: the topic's directory of schemas.
        :raises ContractError: listing everything that is wrong, with the absolute paths and what to do.
        """
        root = directory.absolute()
        if not root.is_dir():
            raise ContractError(f"there is no directory {root} of contract files; {_MISSING_ROOT}")
        results = [_examine(root, event) for event in classes]
        _raise(problem for result in results for problem in result.problems)
        return cls(Contract(result.event, result.versions) for result in results)

    def __iter__(self) -> Iterator[Contract]:
        return iter(self._own)

    def of_class(self, event: type[Event]) -> Contract | None:
        """Return the contract of an event class; ``None`` if the topic does not hold it."""
        return self._by_class.get(event)

    def of_type(self, name: str) -> Contract | None:
        """Return the contract of an event type by its name; ``None`` if the topic does not hold it."""
        return self._by_type.get(name)

    def match(self, fingerprint: bytes) -> Match | None:
        """Return the contract and version that a fingerprint belongs to; ``None`` for a strange one."""
        return self._by_fingerprint.get(fingerprint)


@cache
def _retraction() -> Contract:
    return Contract(Retracted, (Version.of(1, event_schema(Retracted)),))


def check(directory: Path, classes: Iterable[type[Event]]) -> None:
    """Check event classes against their contract files.

    :raises ContractError: listing everything that is wrong.
    """
    Contracts.load(directory, classes)


def write(directory: Path, classes: Iterable[type[Event]]) -> list[Path]:
    """Write the next version of each event class that has changed since its newest contract file.

    A file is created whole or not at all, and never replaced.

    :param directory: the topic's directory of schemas; it is created where it does not exist.
    :returns: the paths of the new files, in the order of the classes.
    :raises ContractError: listing everything that is wrong; then nothing was written. A change that cannot read old
        events is wrong: give it a new event type, or a default.
    """
    results = [_examine(directory.absolute(), event) for event in classes]
    _raise(problem for result in results for problem in result.obstacles)
    return [_create(result.next_path, event_schema(result.event)) for result in results if result.is_outdated]


@dataclass(frozen=True, slots=True)
class _Examination:
    """What was found about one event class.

    :ivar obstacles: what stands in the way of writing the next version.
    :ivar drift: what only the next version is needed for.
    """

    event: type[Event]
    directory: Path
    versions: tuple[Version, ...]
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


def _examine(root: Path, event: type[Event]) -> _Examination:
    directory = root / event_type(event)
    obstacles: list[str] = []
    numbers = _numbers(directory, obstacles)
    read = [read_version(directory / f"{number}.avsc", number, event, obstacles) for number in numbers]
    versions = tuple(version for version in read if version is not None)
    obstacles += _twins(directory, versions)
    node = resolve(event_schema(event))
    for version in versions:
        path = directory / f"{version.number}.avsc"
        obstacles += [
            f"{event.__name__} cannot read what was written with {path}: {problem}; "
            "keep the old field, give the new one a default, or declare another event type"
            for problem in compatibility.compare(version.node, node)
        ]
    # A file that cannot be read may be the newest one: whether the class differs from that is not known then.
    drift = _drift(directory, event, versions) if len(versions) == len(numbers) else None
    return _Examination(event, directory, versions, obstacles, drift)


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


def read_version(path: Path, number: int, event: type[Event], obstacles: list[str]) -> Version | None:
    """Read one contract file; note what is wrong with it among ``obstacles``, and return ``None`` then."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_SCHEMA_BYTES + 1)
        if len(text) > MAX_SCHEMA_BYTES:
            raise _too_long()
        version = Version.of(number, json.loads(text))
    except (OSError, ValueError, RecursionError) as error:
        obstacles.append(f"{path} cannot be read as JSON ({type(error).__name__}); restore it")
    except ContractError as error:
        obstacles.append(f"{path}: {error}; restore it")
    else:
        return version
    return None


def _twins(directory: Path, versions: tuple[Version, ...]) -> Iterator[str]:
    """Find versions that no reader could tell apart, though their values mean different things."""
    first: dict[bytes, Version] = {}
    for version in versions:
        twin = first.setdefault(version.fingerprint, version)
        if twin is not version and _meaning(twin.node) != _meaning(version.node):
            yield (
                f"{directory / f'{twin.number}.avsc'} and {version.number}.avsc have the same fingerprint, but their "
                "values mean different things; take the later one back"
            )


def _too_long() -> ContractError:
    return ContractError(f"it is longer than {MAX_SCHEMA_BYTES:,} bytes")


def _bare(node: Node, written: set[str]) -> Any:
    """Return what decides how values are written, from what was bounded: nothing walks the rest of a schema."""
    if node.name in written:
        return node.name
    named = {"type": node.kind, "name": node.name}
    if node.name:
        written.add(node.name)
    match node.kind:
        case "record":
            fields = [{"name": name, "type": _bare(child, written)} for name, child in node.children.items()]
            return {**named, "fields": fields}
        case "enum":
            return {**named, "symbols": list(node.symbols)}
        case "fixed":
            return {**named, "size": node.size}
        case "array" | "map":
            (item,) = node.children.values()
            return {"type": node.kind, "items" if node.kind == "array" else "values": _bare(item, written)}
        case "union":
            return [_bare(branch, written) for branch in node.children.values()]
        case primitive:
            return primitive


def _meaning(node: Node) -> tuple[object, ...]:
    """Return all of a schema that decides what its bytes mean: everything but the defaults."""
    children = tuple((step, _meaning(child)) for step, child in node.children.items())
    return (node.kind, node.name, node.logical, node.symbols, node.size, children)


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


def _create(path: Path, schema: Schema) -> Path:
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


def _raise(problems: Iterable[str]) -> None:
    found = list(problems)
    if found:
        raise ContractError("\n".join(found))
