"""``MODULE:NAME``: finding a projection or a topic in the user's code."""

from __future__ import annotations

import importlib
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from everwhen.errors import ArgumentError, EverwhenError
from everwhen.event import Topic
from everwhen.projection import Projection

T = TypeVar("T", bound=Topic | Projection[Any])

_ABSENT = object()


def load_projection(target: str) -> Projection[Any]:
    """Import ``MODULE:PROJECTION``; see :func:`_load`."""
    return _load(target, Projection, "projection")


def named(name: str) -> tuple[str, int | None]:
    """Return the name of a projection, given as such or as MODULE:PROJECTION, and the generation that is meant."""
    target, number = numbered(name)
    return (load_projection(target).name if ":" in target else target), number


def projection_name(name: str) -> str:
    """Return the name of a projection, for a command that is not about one generation.

    :raises ArgumentError: if one is named.
    """
    projection, number = named(name)
    if number is not None:
        raise ArgumentError(f"leave @{number} out: this is about all generations of {projection}, or names them itself")
    return projection


def numbered(name: str) -> tuple[str, int | None]:
    """Split ``account@2``: generation 2 of account; without a number it is the one that answers.

    :raises ArgumentError: if what stands behind the @ is no number.
    """
    target, at, number = name.partition("@")
    if at and not (number.isascii() and number.isdigit() and int(number)):
        raise ArgumentError(f"{name!r} names no generation: write it like {target}@2, or leave the @ out")
    return target, int(number) if at else None


def load_topic(target: str) -> Topic:
    """Import ``MODULE:TOPIC``; see :func:`_load`."""
    return _load(target, Topic, "topic")


def load_either(target: str) -> Topic | Projection[Any]:
    """Import ``MODULE:TOPIC`` or ``MODULE:PROJECTION``; see :func:`_load`."""
    return _load(target, (Topic, Projection), "topic or projection")


def _load(target: str, kind: type[T] | tuple[type[T], ...], noun: str) -> T:
    """Import a module, looking in the working directory first, and return what stands in it under a name.

    :raises ArgumentError: if there is no such module or name, it is something else, or the import fails.
    """
    module_name, _, name = target.partition(":")
    if not all(part.isidentifier() for part in [*module_name.split("."), name]):
        raise ArgumentError(
            f"{target!r} is not MODULE:{noun.upper().replace(' ', '_')}; write it like bank:account, with bank as in "
            "an import"
        )
    module = _import(module_name)
    value = vars(module).get(name, _ABSENT)
    if isinstance(value, kind):
        return value
    what = f"module {module_name} has no {name}" if value is _ABSENT else f"{target} is a {type(value).__name__}"
    there = sorted(key for key, each in vars(module).items() if isinstance(each, kind))
    choice = f"its {noun.replace(' or ', 's and ')}s are: {', '.join(there)}" if there else f"there is no {noun} in it"
    raise ArgumentError(f"{what}, and a {noun} is needed; {choice}")


def _import(name: str) -> ModuleType:
    directory = str(Path.cwd())
    if directory not in sys.path:
        sys.path.insert(0, directory)
    try:
        return importlib.import_module(name)
    except EverwhenError:
        raise  # a declaration that is wrong says so itself
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise ArgumentError(
                f"there is no module {error.name}; start in the directory that holds it, or install it"
            ) from error
        raise ArgumentError(f"importing {name} failed at {_where(error, name)}: {error}; install it") from error
    except (Exception, SystemExit) as error:
        # The exception's text is the user's own and may show a value.
        raise ArgumentError(
            f"importing {name} failed at {_where(error, name)} with {type(error).__name__}; "
            "everwhen --traceback shows where it comes from"
        ) from error


def _where(error: BaseException, name: str) -> str:
    """The last line of the user's own package that was being executed."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"line {error.lineno} of {Path(error.filename).name}"
    package = name.partition(".")[0]
    lines = [
        f"line {line} of {module}"
        for frame, line in traceback.walk_tb(error.__traceback__)
        if (module := str(frame.f_globals.get("__name__"))).partition(".")[0] == package
    ]
    return lines[-1] if lines else "its first line"
