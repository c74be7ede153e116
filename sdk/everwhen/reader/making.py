"""Making many frozen objects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeVar

T = TypeVar("T")


def maker(cls: type[T]) -> Callable[..., T]:
    """Return a function that makes instances of a frozen dataclass with slots, and sets its slots themselves.

    The class's own ``__init__`` looks each field up by its name, to get past what freezes it: that takes three times
    as long, and an answer is made of two such objects. The class must have no ``__post_init__``.

    As ``dataclass`` does, it writes the function as source, so that setting a field is one call and no loop. All that
    gets into it from the class is how many fields there are.

    :return: takes the values of all fields, in their order.
    """
    names = range(len(fields(cls)))  # type: ignore[arg-type]
    lines = [f"def make({', '.join(f'v{n}' for n in names)}):", "    made = new(cls)"]
    lines += [f"    set{n}(made, v{n})" for n in names]
    lines.append("    return made")
    scope: dict[str, Any] = {"new": object.__new__, "cls": cls}
    scope |= {f"set{n}": getattr(cls, field.name).__set__ for n, field in enumerate(fields(cls))}  # type: ignore[arg-type]
    exec(compile("\n".join(lines), f"<maker of {cls.__name__}>", "exec"), scope)  # noqa: S102 - see above
    make: Callable[..., T] = scope["make"]
    return make
