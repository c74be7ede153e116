"""Avro's primitive types, read strictly. :mod:`everwhen.event.datum` says why, and puts the readers together."""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Any, TypeAlias

Left: TypeAlias = list[int]
"""How many objects the lists and maps of a datum may still give: a list of one, so that readers can change it."""

Read: TypeAlias = Callable[[bytes, int, Left], tuple[Any, int]]
"""Reads a value at an offset, and returns it with the offset after it."""

_FLOAT, _DOUBLE = Struct("<f"), Struct("<d")


class Deviation(Exception):
    """The bytes are not those of a datum of the schema. The text goes on after "the value", and holds no payload."""


def truncated() -> Deviation:
    """Return the error for bytes that end too early."""
    return Deviation("is truncated")


def wrong(reason: str) -> Deviation:
    """Return the error for bytes that no datum of the schema has."""
    return Deviation(f"does not follow its schema: {reason}")


def no_text() -> Deviation:
    """Return the error for a string that is not UTF-8. Python's own error holds the string: do not chain it."""
    return wrong("a string is not UTF-8")


def ended(data: bytes, end: int) -> Deviation:
    """Return the error for a datum that ends elsewhere than its bytes."""
    return truncated() if end > len(data) else Deviation(f"has {len(data) - end} bytes left over after its datum")


def varint(data: bytes, at: int) -> tuple[int, int]:
    """Read a varint of any length, zig-zag undone."""
    first = data[at]
    if first < 128:
        return (first >> 1) ^ -(first & 1), at + 1
    second = data[at + 1]
    if 0 < second < 128:
        number = first & 127 | second << 7
        return (number >> 1) ^ -(number & 1), at + 2
    return long_varint(data, at)


def long_varint(data: bytes, start: int) -> tuple[int, int]:
    """Read a varint of two bytes or more."""
    number = shift = 0
    # 64 bits, of 7 to a byte, are ten bytes at most.
    piece = data[start : start + 10]
    for byte in piece:
        if byte < 128:
            number += byte << shift
            if byte == 0:
                raise wrong(f"the number at byte {start} is written with more bytes than it needs")
            if number >> 64:
                break
            return (number >> 1) ^ -(number & 1), start + shift // 7 + 1
        number += (byte - 128) << shift
        shift += 7
    if len(piece) < 10 and shift == 7 * len(piece):
        raise truncated()
    raise wrong(f"the number at byte {start} has more than 64 bits")


def length(data: bytes, at: int) -> tuple[int, int]:
    """Read the length of a string or of bytes; return it with the offset after it."""
    size, start = varint(data, at)
    if size < 0:
        raise wrong(f"the length at byte {at} is negative")
    if size > len(data) - start:
        raise truncated()
    return size, start


def _null(data: bytes, at: int, left: Left) -> tuple[None, int]:
    return None, at


def _boolean(data: bytes, at: int, left: Left) -> tuple[bool, int]:
    byte = data[at]
    if byte > 1:
        raise wrong(f"the boolean at byte {at} is neither 0 nor 1")
    return byte == 1, at + 1


def _long(data: bytes, at: int, left: Left) -> tuple[int, int]:
    # As varint, whose call would cost as much as the reading.
    first = data[at]
    if first < 128:
        return (first >> 1) ^ -(first & 1), at + 1
    second = data[at + 1]
    if 0 < second < 128:
        number = first & 127 | second << 7
        return (number >> 1) ^ -(number & 1), at + 2
    return long_varint(data, at)


def _int(data: bytes, at: int, left: Left) -> tuple[int, int]:
    number, end = varint(data, at)
    if not -0x8000_0000 <= number <= 0x7FFF_FFFF:
        raise wrong(f"the int at byte {at} has more than 32 bits")
    return number, end


def _float(data: bytes, at: int, left: Left) -> tuple[float, int]:
    return _FLOAT.unpack_from(data, at)[0], at + 4


def _double(data: bytes, at: int, left: Left) -> tuple[float, int]:
    return _DOUBLE.unpack_from(data, at)[0], at + 8


def _bytes(data: bytes, at: int, left: Left) -> tuple[bytes, int]:
    size, start = length(data, at)
    return data[start : start + size], start + size


def read_string(data: bytes, at: int, left: Left) -> tuple[str, int]:
    """Read a string."""
    first = data[at]
    if first < 128 and not first & 1:
        start = at + 1
        end = start + (first >> 1)
        # Past the end, the slice is cut and so is everything after it: the last check of all finds that.
        return data[start:end].decode(), end
    size, start = length(data, at)
    return data[start : start + size].decode(), start + size


PRIMITIVES: dict[str, Read] = {
    "null": _null,
    "boolean": _boolean,
    "int": _int,
    "long": _long,
    "float": _float,
    "double": _double,
    "bytes": _bytes,
    "string": read_string,
}
"""The reader of each primitive type."""
