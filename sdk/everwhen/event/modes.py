"""Modes of compatibility: which versions of a schema have to read which.

The names are those of schema registries. ``BACKWARD``: the newest reads what the one before it wrote. ``FORWARD``: the
one before reads what the newest writes. ``FULL``: both. ``…_TRANSITIVE``: not only the one before, but all of them.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from everwhen.event.compatibility import Incompatibility, compare
from everwhen.event.schema import Node


class Mode(enum.StrEnum):
    """Which versions have to read which."""

    BACKWARD = "backward"
    BACKWARD_TRANSITIVE = "backward_transitive"
    FORWARD = "forward"
    FORWARD_TRANSITIVE = "forward_transitive"
    FULL = "full"
    FULL_TRANSITIVE = "full_transitive"

    @property
    def is_transitive(self) -> bool:
        """All earlier versions are compared with the newest, not only the one before it."""
        return self.endswith("_transitive")

    @property
    def goes_backward(self) -> bool:
        """The newest version has to read the earlier ones."""
        return self.startswith(("backward", "full"))

    @property
    def goes_forward(self) -> bool:
        """The earlier versions have to read the newest one."""
        return self.startswith(("forward", "full"))


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether one version reads what another one wrote.

    :ivar writer: the index of the version that wrote.
    :ivar reader: the index of the version that reads.
    :ivar found: what stands in the way; empty if nothing does.
    """

    writer: int
    reader: int
    found: tuple[Incompatibility, ...]


def judge(versions: Sequence[Node], mode: Mode, *, strict: bool = True) -> list[Verdict]:
    """Compare the newest version of a schema with earlier ones.

    :param versions: resolved schemas, oldest first; the newest is the one that is judged.
    :param strict: as for :func:`~everwhen.event.compatibility.check`.
    :returns: one verdict for each pair that the mode asks about, older versions first; none for a first version.
    """
    newest = len(versions) - 1
    earlier = range(newest) if mode.is_transitive else range(max(newest - 1, 0), newest)
    pairs = [
        pair
        for number in earlier
        for pair in ((number, newest), (newest, number))
        if (mode.goes_backward if pair[1] == newest else mode.goes_forward)
    ]
    return [Verdict(w, r, tuple(compare(versions[w], versions[r], strict=strict))) for w, r in pairs]
