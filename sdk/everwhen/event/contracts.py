"""Contracts: the committed schema files of a topic, and whether the event classes agree with them.

``DIRECTORY/TYPE/N.avsc`` holds version N of an event type's Avro schema, N = 1, 2, … The newest file equals what the
class gives, and reads everything that any earlier one wrote (Kafka's ``BACKWARD_TRANSITIVE``), because a replay meets
all of them; where it cannot, an upcaster has to bridge the two. A file is never changed once events were published with
it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple

from everwhen.errors import ContractError
from everwhen.event.evolution import Evolution, Upcaster
from everwhen.event.examination import MISSING_ROOT, create, examine
from everwhen.event.lineage import Step, line_from, steps_in
from everwhen.event.model import Event, event_schema, event_type
from everwhen.event.retraction import Retracted
from everwhen.event.versions import Version

__all__ = ["Contract", "Contracts", "Match", "Version", "check", "write"]

_NO_PAST = Evolution()


@dataclass(frozen=True, slots=True, eq=False)
class Contract:
    """The versions of one event type.

    :ivar versions: oldest first; the last is what the class gives.
    :ivar former: the versions under names that the type had once.
    :ivar upcasters: those between any two of these, by event type and version.
    :ivar is_retired: events of the type are read, and published no more.
    """

    event: type[Event]
    versions: tuple[Version, ...]
    former: tuple[Version, ...] = ()
    upcasters: Mapping[tuple[str, int], Upcaster] = field(default_factory=dict)
    is_retired: bool = False

    @property
    def type(self) -> str:
        """The event type's name."""
        return event_type(self.event)

    @property
    def newest(self) -> Version:
        """The version that is written."""
        return self.versions[-1]

    def steps(self, version: Version) -> list[Step]:
        """Return the upcasters that data of a version pass on the way to the newest."""
        return steps_in(line_from(version, self.former, self.versions), self.upcasters) if self.upcasters else []


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
        self._by_type |= {version.type: contract for contract in self._own for version in contract.former}
        # Versions that differ in defaults alone have one fingerprint, and write alike; the newest one stands for them.
        self._by_fingerprint = {
            version.fingerprint: Match(contract, version)
            for contract in self._by_class.values()
            for version in (*contract.former, *contract.versions)
        }

    @classmethod
    def load(cls, directory: Path, classes: Iterable[type[Event]], evolution: Evolution = _NO_PAST) -> Contracts:
        """Read and check the contract files of event classes.

        :param directory: the topic's directory of schemas.
        :param evolution: what the topic says about its past.
        :raises ContractError: listing everything that is wrong, with the absolute paths and what to do.
        """
        root = directory.absolute()
        if not root.is_dir():
            raise ContractError(f"there is no directory {root} of contract files; {MISSING_ROOT}")
        results = [examine(root, event, evolution) for event in classes]
        _raise(problem for result in results for problem in result.problems)
        return cls(
            Contract(
                result.event,
                result.versions,
                result.former,
                evolution.upcasters_of(result.event),
                result.event in evolution.retired,
            )
            for result in results
        )

    def __iter__(self) -> Iterator[Contract]:
        return iter(self._own)

    def of_class(self, event: type[Event]) -> Contract | None:
        """Return the contract of an event class; ``None`` if the topic does not hold it."""
        return self._by_class.get(event)

    def of_type(self, name: str) -> Contract | None:
        """Return the contract of an event type by its name, or one it had; ``None`` if the topic does not hold it."""
        return self._by_type.get(name)

    def match(self, fingerprint: bytes) -> Match | None:
        """Return the contract and version that a fingerprint belongs to; ``None`` for a strange one."""
        return self._by_fingerprint.get(fingerprint)


@cache
def _retraction() -> Contract:
    return Contract(Retracted, (Version.of(1, event_schema(Retracted)),))


def check(directory: Path, classes: Iterable[type[Event]], evolution: Evolution = _NO_PAST) -> None:
    """Check event classes against their contract files.

    :raises ContractError: listing everything that is wrong.
    """
    Contracts.load(directory, classes, evolution)


def write(directory: Path, classes: Iterable[type[Event]], evolution: Evolution = _NO_PAST) -> list[Path]:
    """Write the next version of each event class that has changed since its newest contract file.

    A file is created whole or not at all, and never replaced.

    :param directory: the topic's directory of schemas; it is created where it does not exist.
    :returns: the paths of the new files, in the order of the classes.
    :raises ContractError: listing everything that is wrong; then nothing was written. A change that cannot read old
        events is wrong: give it a default, an upcaster, or a new event type.
    """
    results = [examine(directory.absolute(), event, evolution) for event in classes]
    _raise(problem for result in results for problem in result.obstacles)
    return [create(result.next_path, event_schema(result.event)) for result in results if result.is_outdated]


def _raise(problems: Iterable[str]) -> None:
    found = list(problems)
    if found:
        raise ContractError("\n".join(found))
