"""The fingerprint of a projection's code, by which a store knows that other code built what it holds.

It is a digest of the *tokens* of the source of the state model (with the models and enums that it is made of and
its own base classes), of every handler, and of the upcasters of the events that it handles. Comments, docstrings and
layout do not count, and it is the same on every Python version and after an upgrade of pydantic. It does not follow
the functions and constants that a handler uses: raise the projection's version when one of those changes what a state
means.
"""

from __future__ import annotations

import ast
import enum
import hashlib
import inspect
import io
import sys
import textwrap
import tokenize
import typing
from collections.abc import Callable, Collection, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from pydantic import BaseModel

_NONE: Final = MappingProxyType[Any, Any]({})
_LAYOUT = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}
# Python 3.12 splits an f-string into tokens (PEP 701), 3.11 gives one; both are taken as the text they stand for.
_FSTRING_START = getattr(tokenize, "FSTRING_START", None)
_FSTRING_END = getattr(tokenize, "FSTRING_END", None)


def fingerprint(
    state: type[BaseModel],
    handlers: Mapping[str, Callable[..., Any]],
    ignored: Collection[str] = (),
    *,
    appends: bool = False,
    upcasters: Mapping[tuple[str, int], Callable[..., Any]] = _NONE,
    renamed: Mapping[str, str] = _NONE,
    foreign: object = None,
) -> str:
    """Return 16 hexadecimal digits that change with the code of the state model, of a handler, or of an upcaster.

    :param foreign: the topic's rule for records from elsewhere, whose text says all of it.
    """
    digest = hashlib.sha256()
    for kind in _parts_of(state):
        digest.update(f"state\0{kind.__qualname__}\0{_text(kind)}\0".encode())
    for name, function in sorted(handlers.items()):
        digest.update(f"on\0{name}\0{_text(function)}\0".encode())
    for name in sorted(ignored):
        digest.update(f"ignore\0{name}\0".encode())
    if appends:
        digest.update(b"late\0append\0")
    for (name, version), function in sorted(upcasters.items(), key=lambda item: item[0]):
        digest.update(f"upcast\0{name}\0{version}\0{_text(function)}\0".encode())
    for old, name in sorted(renamed.items()):
        digest.update(f"renamed\0{old}\0{name}\0".encode())
    if foreign is not None:
        digest.update(f"foreign\0{foreign!r}\0".encode())
    return digest.hexdigest()[:16]


def _parts_of(state: type[BaseModel]) -> list[type]:
    """The state model and, in a stable order, every model and enum that it is built from."""
    found: dict[type, None] = {}
    waiting: list[type] = [state]
    while waiting:
        kind = waiting.pop()
        if kind in found or kind is BaseModel or kind.__module__.partition(".")[0] in sys.stdlib_module_names:
            continue
        found[kind] = None
        waiting.extend(base for base in kind.__bases__ if issubclass(base, BaseModel | enum.Enum))
        if issubclass(kind, BaseModel):
            for field in kind.model_fields.values():
                waiting.extend(_classes_in(field.annotation))
    return sorted(found, key=lambda kind: (kind is not state, kind.__qualname__))


def _classes_in(annotation: Any) -> Iterator[type]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel | enum.Enum):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _classes_in(argument)


def _text(code: Callable[..., Any] | type) -> str:
    """The code's meaningful tokens; where there is no source, what else identifies it."""
    try:
        source = textwrap.dedent(inspect.getsource(code))
    except (OSError, TypeError):
        return _without_source(code)
    docstrings = _docstring_lines(source)
    return " ".join(text for line, text in _tokens(source) if line not in docstrings)


def _without_source(code: Callable[..., Any] | type) -> str:
    if isinstance(code, type) and issubclass(code, BaseModel):
        return " ".join(f"{name}:{field.annotation!r}={field.default!r}" for name, field in code.model_fields.items())
    inner = getattr(code, "__code__", None)
    if inner is not None:
        return f"{inner.co_code.hex()} {inner.co_names} {[c for c in inner.co_consts if not inspect.iscode(c)]}"
    return getattr(code, "__qualname__", type(code).__qualname__)


def _docstring_lines(source: str) -> set[int]:
    lines: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node, clean=False) is not None:
            first = node.body[0]
            lines.update(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    return lines


def _tokens(source: str) -> Iterator[tuple[int, str]]:
    lines = source.splitlines(keepends=True)
    depth, start = 0, (0, 0)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == _FSTRING_START:
            start = start if depth else token.start
            depth += 1
        elif token.type == _FSTRING_END:
            depth -= 1
            if depth == 0:
                yield start[0], _slice(lines, start, token.end)
        elif depth == 0 and token.type not in _LAYOUT:
            yield token.start[0], token.string


def _slice(lines: list[str], start: tuple[int, int], end: tuple[int, int]) -> str:
    if start[0] == end[0]:
        return lines[start[0] - 1][start[1] : end[1]]
    middle = lines[start[0] : end[0] - 1]
    return "".join([lines[start[0] - 1][start[1] :], *middle, lines[end[0] - 1][: end[1]]])
