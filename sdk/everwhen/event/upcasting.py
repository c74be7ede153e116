"""Upcasting: the way of an old event's data, from what was read to what today's class validates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from everwhen.errors import MalformedRecord
from everwhen.event.evolution import Upcaster
from everwhen.event.logical import Convert
from everwhen.event.model import event_shape
from everwhen.event.opening import opening, resolving
from everwhen.event.values import fitting
from everwhen.event.versions import Version

if TYPE_CHECKING:
    from everwhen.event.contracts import Contract


def upcasting(contract: Contract, version: Version) -> Convert | None:
    """Return the function from a datum of a version to what the class's validation takes.

    :returns: ``None`` if no upcaster is on the way from this version to the newest: it is then read directly.
    """
    steps = contract.steps(version)
    if not steps:
        return None
    here, stages = version, [_opening(version)]
    for step in steps:
        if step.source is not here:
            stages.append(resolving(here.node, step.source.node))
        stages.append(_calling(step.upcaster))
        here = step.target
    if here is not contract.newest:
        stages.append(resolving(here.node, contract.newest.node))
    stages.append(fitting(event_shape(contract.event)))

    def convert(data: Any) -> Any:
        for stage in stages:
            data = stage(data)
        return data

    return convert


def _opening(version: Version) -> Convert:
    convert = opening(version.node)

    def open_(data: Any) -> Any:
        try:
            return convert(data)
        except (ValueError, ArithmeticError):
            raise MalformedRecord(
                f"a field does not follow its logical type ({version.type} version {version.number})"
            ) from None

    return open_


def _calling(upcaster: Upcaster) -> Convert:
    function = upcaster.function
    where = f"the upcaster {upcaster.name}() of {upcaster.type} version {upcaster.version}"

    def call(data: dict[str, Any]) -> dict[str, Any]:
        try:
            given = function(data)
        except Exception as error:
            # The record is not lost: it is parked, and can be retried when the upcaster was mended.
            raise MalformedRecord(f"{where} raised {type(error).__name__}; mend it and retry the record") from error
        if not isinstance(given, Mapping):
            raise MalformedRecord(f"{where} returned {type(given).__name__}; it must return the fields as a dict")
        return dict(given)

    return call
