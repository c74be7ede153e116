"""Readers and writers of records as Python source, made once for each schema.

A closure for each field costs a call for each field: more than the reading itself. Here the primitives stand in one
function, one after the other; every other type is read by the function that :mod:`everwhen.event.datum` has for it.
What is read and refused is the same, which the tests of ``datum`` check for both, and what is written is what fastavro
writes: a value that is not exactly of its type is left to it.

Source is made only of schemas of our own classes and committed files. All that gets into it from a schema is the names
of fields, checked and quoted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from struct import Struct
from struct import error as StructError  # noqa: N812 - it is a class, whatever its name looks like
from textwrap import indent
from typing import Any, Final, TypeAlias

from everwhen.event.primitives import Read, ended, long_varint, no_text, read_string, truncated, wrong
from everwhen.event.schema import Node, is_name

Write: TypeAlias = Callable[[Mapping[str, Any]], bytes | None]
"""Returns a datum; ``None`` if a value is not exactly of its type."""

_SMALL: Final = 1 << 14
"""Numbers whose varint has one or two bytes, zig-zag done."""

_STRING = """
    n = data[at]
    if n < 128 and not n & 1:
        at += 1
        v{i} = data[at : (at := at + (n >> 1))].decode()
    else:
        v{i}, at = read_string(data, at, left)"""

_LONG = """
    n = data[at]
    if n < 128:
        v{i} = (n >> 1) ^ -(n & 1)
        at += 1
    elif 0 < (m := data[at + 1]) < 128:
        n = n & 127 | m << 7
        v{i} = (n >> 1) ^ -(n & 1)
        at += 2
    else:
        v{i}, at = long_varint(data, at)"""

_BOOLEAN = """
    if (n := data[at]) > 1:
        raise wrong(f"the boolean at byte {{at}} is neither 0 nor 1")
    v{i} = n == 1
    at += 1"""

_DOUBLE = """
    (v{i},) = double(data, at)
    at += 8"""

_OTHER = """
    v{i}, at = f{i}(data, at, left)"""

_READER = """
def read(data, at):
    left = [{most}]
    try:
        pass{fields}
    except (IndexError, StructError):
        raise truncated() from None
    except UnicodeDecodeError:
        raise no_text() from None
    if at != len(data):
        raise ended(data, at)
    return {{{values}}}
"""

_FUNCTIONS = {
    "read_string": read_string,
    "long_varint": long_varint,
    "wrong": wrong,
    "truncated": truncated,
    "no_text": no_text,
    "ended": ended,
    "double": Struct("<d").unpack_from,
    "StructError": StructError,
}

_READS = {"string": _STRING, "long": _LONG, "boolean": _BOOLEAN, "double": _DOUBLE}


def reader(node: Node, others: Callable[[Node], Read], most: int) -> Callable[[bytes, int], Any] | None:
    """Return the function that reads a record; ``None`` if a field has a name that Avro does not allow.

    It is given the bytes and the offset from which on they are the record, and raises ``Deviation``.

    :param others: gives the function for any type.
    :param most: how many objects the record's lists and maps may give.
    """
    if not _is_checked(node):
        return None
    functions: dict[str, Any] = dict(_FUNCTIONS)
    fields: list[str] = []
    for i, child in enumerate(node.children.values()):
        fields.append(_READS.get(child.kind, _OTHER).format(i=i))
        if child.kind not in _READS:
            functions[f"f{i}"] = others(child)
    values = ", ".join(f"{name!r}: v{i}" for i, name in enumerate(node.children))
    text = _READER.format(most=most, fields=indent("".join(fields), "    "), values=values)
    read: Callable[[bytes, int], Any] = _function("read", text, functions)
    return read


_WRITE_STRING = """
    if type(v) is not str:
        return None
    v = v.encode()
    n = len(v)
    add(one[n << 1] if n < 64 else number(n << 1))
    add(v)"""

_WRITE_BYTES = """
    if type(v) is not bytes:
        return None
    add(number(len(v) << 1))
    add(v)"""

_WRITE_LONG = """
    if type(v) is not int or not -0x8000_0000_0000_0000 <= v < 0x8000_0000_0000_0000:
        return None
    n = v << 1 ^ v >> 63
    add(one[n] if n < 128 else number(n))"""

_WRITE_INT = _WRITE_LONG.replace("8000_0000_0000_0000", "8000_0000")

_WRITE_BOOLEAN = """
    if type(v) is not bool:
        return None
    add(one[v])"""

_WRITE_DOUBLE = """
    if type(v) is not float:
        return None
    add(double(v))"""

_WRITES = {
    "string": _WRITE_STRING,
    "bytes": _WRITE_BYTES,
    "int": _WRITE_INT,
    "long": _WRITE_LONG,
    "boolean": _WRITE_BOOLEAN,
    "double": _WRITE_DOUBLE,
}


def writer(node: Node) -> Write | None:
    """Return the function that writes a record; ``None`` if it holds what only fastavro writes.

    Its fields may be strings, bytes, ints, longs, booleans, doubles, and unions of one of these and null. For a missing
    field it raises ``KeyError``, for a lone surrogate ``UnicodeEncodeError``.
    """
    if not _is_checked(node):
        return None
    lines = ["def write(values):", "    parts = []", "    add = parts.append"]
    for name, child in node.children.items():
        lines.append(f"    v = values[{name!r}]")
        body = _WRITES.get(child.kind) or _optional(child)
        if body is None:
            return None
        lines.append(body)
    lines.append('    return b"".join(parts)')
    functions = {"one": _ONE, "number": _number, "double": Struct("<d").pack}
    write: Write = _function("write", "\n".join(lines), functions)
    return write


def _optional(union: Node) -> str | None:
    kinds = [branch.kind for branch in union.children.values()]
    if union.kind != "union" or len(kinds) != 2 or "null" not in kinds:
        return None
    null = kinds.index("null")
    body = _WRITES.get(kinds[1 - null])
    if body is None:
        return None
    indented = body.replace("\n", "\n    ")
    return f"""
    if v is None:
        add(one[{2 * null}])
    else:
        add(one[{2 - 2 * null}]){indented}"""


def _number(zigzag: int) -> bytes:
    """Write a varint. :func:`everwhen.event.primitives.varint` reads it."""
    if zigzag < _SMALL:
        return bytes((zigzag & 127 | 128, zigzag >> 7)) if zigzag > 127 else _ONE[zigzag]
    pieces = bytearray()
    while zigzag > 127:
        pieces.append(zigzag & 127 | 128)
        zigzag >>= 7
    pieces.append(zigzag)
    return bytes(pieces)


_ONE: Final = [bytes((byte,)) for byte in range(128)]


def _is_checked(node: Node) -> bool:
    return all(map(is_name, node.children))


def _function(name: str, source: str, functions: Mapping[str, Any]) -> Any:
    scope = dict(functions)
    exec(compile(source, f"<{name} of a schema>", "exec"), scope)  # noqa: S102 - see the module's docstring
    return scope[name]
