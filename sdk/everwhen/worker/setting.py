"""One thing that can be set: what kind of value it takes, within which bounds, and what it means.

Settings are declared once, as fields of a dataclass. What reads them from the environment, a file or the command line,
and what documents them, goes by :func:`settings_of`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

_METADATA: Final = "everwhen.setting"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of value.

    :ivar words: what such a value is called, after "is not".
    :ivar metavar: what stands for one in a help text.
    :ivar read: makes one of text; raises ``ValueError`` or ``KeyError`` if it cannot.
    :ivar types: what a configuration file gives for one.
    """

    words: str
    metavar: str
    read: Callable[[str], Any]
    types: tuple[type, ...]


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split()))


def _flag(text: str) -> bool:
    return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}[text.lower()]


TEXT: Final = Kind("a text", "TEXT", str, (str,))
WHOLE: Final = Kind("a whole number", "N", int, (int,))
SECONDS: Final = Kind("a number of seconds", "SECONDS", float, (int, float))
SHARE: Final = Kind("a share from 0 to 1", "SHARE", float, (int, float))
FLAG: Final = Kind("true or false", "", _flag, (bool,))
NUMBERS: Final = Kind("whole numbers separated by spaces", "N", _numbers, (list,))


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What is declared of one setting.

    :ivar meaning: what it does, as the documentation has it.
    :ivar unset: what it means to leave a setting out that has no value by default.
    :ivar metavar: instead of the kind's.
    """

    name: str
    kind: Kind
    default: Any
    meaning: str
    least: float | None = None
    most: float | None = None
    choices: tuple[str, ...] = ()
    unset: str = ""
    metavar: str = ""

    def read(self, text: str) -> Any:
        """Make a value of text.

        :raises ValueError: saying what is wrong with it.
        """
        try:
            value = self.kind.read(text)
        except (ValueError, KeyError):
            raise ValueError(f"{text!r} is not {self.kind.words}") from None
        return self._checked(value)

    def take(self, given: Any) -> Any:
        """Make a value of what a configuration file holds.

        :raises ValueError: saying what is wrong with it.
        """
        numbers = self.kind is NUMBERS and isinstance(given, list)
        if type(given) not in self.kind.types or (numbers and any(type(each) is not int for each in given)):
            words = "a list of whole numbers" if self.kind is NUMBERS else self.kind.words
            raise ValueError(f"is not {words}")
        return self._checked(tuple(given) if numbers else float(given) if float in self.kind.types else given)

    def fault(self, value: Any) -> str | None:
        """Say what is wrong with a value; ``None`` if nothing is."""
        if value is None:
            return None
        if self.kind is TEXT:
            return self._fault_of_text(value)
        if self.kind is NUMBERS:
            return None if value and min(value) >= 0 else "must name at least one partition, from 0 on"
        if self.kind is not FLAG and not math.isfinite(value):
            return f"must be {self.kind.words}"
        if self.least is not None and value < self.least:
            return f"must be at least {self.least}"
        if self.most is not None and value > self.most:
            return f"must be at most {self.most}"
        return None

    def _fault_of_text(self, value: str) -> str | None:
        if not value:
            return "must not be empty"
        return None if not self.choices or value in self.choices else f"must be {' or '.join(self.choices)}"

    def _checked(self, value: Any) -> Any:
        if fault := self.fault(value):
            raise ValueError(fault)
        return value


def declare(kind: Kind, default: Any, meaning: str, **more: Any) -> Any:
    """Declare a field of a dataclass as a setting; ``more`` is the rest of :class:`Setting`."""
    made = {"kind": kind, "default": default, "meaning": meaning, **more}
    return dataclasses.field(default=default, metadata={_METADATA: made})


def settings_of(declaring: type[Any]) -> dict[str, Setting]:
    """Return the settings that a dataclass declares, by name and in order."""
    return {
        field.name: Setting(name=field.name, **field.metadata[_METADATA]) for field in dataclasses.fields(declaring)
    }
