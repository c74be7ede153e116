"""Lineages: the versions of an event type in their order, and which of them an upcaster bridges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from everwhen.event.evolution import Upcaster
from everwhen.event.versions import Version


class Step(NamedTuple):
    """One upcaster between the two versions that it bridges."""

    source: Version
    upcaster: Upcaster
    target: Version


def line_from(version: Version, former: Sequence[Version], own: Sequence[Version]) -> list[Version]:
    """Return a version and all that come after it, the newest last.

    The last version under a former name is followed by version 1 under today's.

    :param former: the versions under all former names.
    :param own: the versions under today's name.
    """
    if version in own:
        return list(own[own.index(version) :])
    later = [each for each in former if each.type == version.type and each.number >= version.number]
    return [*later, *own] if version in later else [version]


def steps_in(line: Sequence[Version], upcasters: Mapping[tuple[str, int], Upcaster]) -> list[Step]:
    """Return the upcasters that data of a line's first version pass on the way to the last."""
    return [
        Step(source, upcasters[source.type, source.number], target)
        for source, target in pairwise(line)
        if (source.type, source.number) in upcasters
    ]
