"""The places a part may come from, asked in order, and why each one that was passed over did not serve."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Self, TypeVar

from everwhen.testing.parts.errors import PartsError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType


class Running:
    """A part that was started. It runs until `stop`, the end of its context, or the end of this object."""

    def __init__(self, end: Callable[[], None]) -> None:
        self._end = end

    def stop(self) -> None:
        """End the part and remove its data. A part that was only found, not started, is left alone."""
        self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


P = TypeVar("P", bound=Running)


@dataclass(frozen=True)
class Source(Generic[P]):
    """One way to get a part.

    ``look`` is quick and starts nothing: it says in a few words what would serve. ``start`` takes seconds and is given
    the reasons why the sources before were passed over. Both raise `PartsError` when this way is not open.
    """

    kind: str
    look: Callable[[], str]
    start: Callable[[tuple[str, ...]], P]


def plan(part: str, sources: Sequence[Source[P]]) -> str:
    """What the first source that can serve would start."""
    return _first(part, sources, lambda source, _reasons: source.look())


def start(part: str, sources: Sequence[Source[P]]) -> P:
    """Start the part from the first source that can serve."""

    def look_and_start(source: Source[P], reasons: tuple[str, ...]) -> P:
        source.look()
        return source.start(reasons)

    return _first(part, sources, look_and_start)


R = TypeVar("R")


def _first(part: str, sources: Sequence[Source[P]], use: Callable[[Source[P], tuple[str, ...]], R]) -> R:
    reasons: list[str] = []
    for source in sources:
        try:
            return use(source, tuple(reasons))
        except PartsError as error:
            reasons.append(f"{source.kind}: {error}")
    raise PartsError(f"no {part} can be had. " + "; ".join(reasons))


def unset(variable: str) -> Source[Any]:
    """The source that the environment could have named but did not."""

    def refuse(*_reasons: object) -> NoReturn:
        raise PartsError(f"{variable} is not set")

    return Source("environment", refuse, refuse)


def require(module: str, package: str) -> None:
    """Raise `PartsError` unless ``module`` can be imported; nothing is imported."""
    if importlib.util.find_spec(module) is None:
        raise PartsError(f"the package {package} is missing: pip install {package}")


def nothing_to_end() -> None:
    """The end of a part that was found running: whoever started it ends it."""
