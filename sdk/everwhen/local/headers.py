"""A record's headers as one short byte string, written and read fast.

Layout, little-endian: the length of the shape (uint32); the shape, which is for each header the length of its name
(uint16) and the name in UTF-8, a uint16 of 65,535 as the end of the names, and one int32 a header, the length of its
value or -1 for ``None``; the values. No headers at all are the empty string. Records of one event type have few
shapes, so a shape is looked up and not parsed.
"""

from __future__ import annotations

from functools import lru_cache
from struct import Struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from everwhen.ports.log import Header

_LENGTH = Struct("<I")
_NAME_LENGTH = Struct("<H")
_NO_MORE_NAMES = 0xFFFF
_VALUE_LENGTH = 4
_SHAPES = 8192


def encode(headers: Sequence[Header]) -> bytes:
    """Return ``headers`` as bytes.

    :raises ValueError: for a name of more than 65,534 bytes.
    """
    if not headers:
        return b""
    names, lengths = _encoded_names(tuple([name for name, _ in headers]))
    sizes = lengths.pack(*[-1 if value is None else len(value) for _, value in headers])
    return b"".join([names, sizes, *[value for _, value in headers if value]])


def framing(headers: int) -> int:
    """Return how many of :func:`encode`'s bytes are neither names nor values, for this number of headers."""
    per_header = _NAME_LENGTH.size + _VALUE_LENGTH
    return _LENGTH.size + _NAME_LENGTH.size + headers * per_header if headers else 0


def decode(encoded: bytes) -> list[Header]:
    """Return the headers that :func:`encode` was given."""
    if not encoded:
        return []
    (size,) = _LENGTH.unpack_from(encoded)
    start = _LENGTH.size + size
    names, values, absent = _parsed(encoded[_LENGTH.size : start])
    headers: list[Header] = list(zip(names, values.unpack_from(encoded, start), strict=True))
    for index in absent:
        headers[index] = (names[index], None)
    return headers


@lru_cache(_SHAPES)
def _encoded_names(names: tuple[str, ...]) -> tuple[bytes, Struct]:
    encoded = [name.encode() for name in names]
    longest = max(map(len, encoded))
    if longest >= _NO_MORE_NAMES:
        raise ValueError(f"a header's name has {longest} bytes, and a local log holds at most {_NO_MORE_NAMES - 1}")
    block = b"".join(_NAME_LENGTH.pack(len(name)) + name for name in encoded) + _NAME_LENGTH.pack(_NO_MORE_NAMES)
    lengths = Struct(f"<{len(names)}i")
    return _LENGTH.pack(len(block) + lengths.size) + block, lengths


@lru_cache(_SHAPES)
def _parsed(shape: bytes) -> tuple[tuple[str, ...], Struct, tuple[int, ...]]:
    """Return the names, how to cut the values out, and which of them are ``None``."""
    names = []
    at = 0
    while (length := _NAME_LENGTH.unpack_from(shape, at)[0]) != _NO_MORE_NAMES:
        at += _NAME_LENGTH.size
        names.append(shape[at : at + length].decode())
        at += length
    sizes = Struct(f"<{len(names)}i").unpack_from(shape, at + _NAME_LENGTH.size)
    values = Struct("".join(f"{max(size, 0)}s" for size in sizes))
    return tuple(names), values, tuple(index for index, size in enumerate(sizes) if size < 0)
