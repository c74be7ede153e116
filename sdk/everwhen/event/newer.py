"""Contract files that come while a program runs: a publisher was deployed first, and its files after it."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from everwhen.event import compatibility
from everwhen.event.contracts import Contract, Match
from everwhen.event.topic import Topic
from everwhen.event.versions import VERSION_FILE, read_version

_Stamp: TypeAlias = tuple[int, int]


class NewerContracts:
    """Lets a topic's codec read by contract files newer than its classes.

    A class reads what a newer version wrote where the two are compatible, as it does with a registry's schemas: fields
    that it does not have are left out. Which classes there are is settled when a program starts.

    :param topic: whose directory is looked at.
    """

    def __init__(self, topic: Topic) -> None:
        self._root = topic.schemas.absolute()
        self._contracts = topic.contracts
        self._codec = topic.codec
        self._seen: dict[Path, _Stamp] = {}
        self._problems: dict[Path, str] = {}

    @property
    def problems(self) -> list[str]:
        """What is wrong with newer files that are there and cannot be used."""
        return list(self._problems.values())

    def look(self) -> bool:
        """Read the files that are new, or have changed, since the last look; say if the codec learned anything."""
        learned = False
        for contract in self._contracts:
            for path in (self._root / contract.type).glob("*.avsc"):
                named = VERSION_FILE.fullmatch(path.name)
                stamp = _stamp(path)
                if named is None or int(named[1]) <= contract.newest.number or stamp in (None, self._seen.get(path)):
                    continue
                assert stamp is not None
                self._seen[path] = stamp
                learned |= self._read(path, int(named[1]), contract)
        return learned

    def _read(self, path: Path, number: int, contract: Contract) -> bool:
        self._problems.pop(path, None)
        obstacles: list[str] = []
        version = read_version(path, number, obstacles)
        if version is not None:
            obstacles += [
                f"{contract.event.__name__} of this program cannot read what is written with {path}: {problem}"
                for problem in compatibility.compare(version.node, contract.newest.node)
            ]
        if version is None or obstacles:
            self._problems[path] = "; ".join(obstacles)
            return False
        self._codec.learn(Match(contract, version))
        return True


def _stamp(path: Path) -> _Stamp | None:
    try:
        found = path.stat()
    except OSError:
        return None  # it is gone again
    return found.st_mtime_ns, found.st_size
