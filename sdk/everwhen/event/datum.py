"""Avro's binary data, read strictly: whatever the bytes are, they give the datum that they are, or :class:`Deviation`.

Source: Avro specification 1.12, section "Binary Encoding". fastavro, which writes our events, does not read them. Its
reader in C takes an enum's index of -1 for the last symbol and a boolean of 7 for true, wraps a varint of 65 bits
around, ignores the byte sizes of blocks, and believes any count of items; to check all that beforehand means to walk
the datum in Python. Having walked it, one has read it: for records of a few fields that takes less time than fastavro,
which calls Python for each byte. Nor is anything written in C left that bytes from outside could crash.

What the specification leaves open is settled for the strict side: a varint has no needless byte, and a map does not
have a key twice, for readers differ in which of the two counts.

A reader is a closure, put together once per schema. It takes the data, an offset in them, and the objects that lists
and maps may still give, in a list of one so that it can be changed; it returns the value and the offset after it.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from struct import error as StructError  # noqa: N812 - it is a class, whatever its name looks like
from typing import Any, TypeAlias

from everwhen.event import source
from everwhen.event.primitives import (
    PRIMITIVES,
    Deviation,
    Left,
    Read,
    ended,
    length,
    long_varint,
    no_text,
    read_string,
    truncated,
    varint,
    wrong,
)
from everwhen.event.schema import Node

MAX_VALUES = 100_000
"""How many values an event may hold in its lists and maps, however nested. Each field of a model counts as one, and so
do the model itself and the key of an entry."""

_Append: TypeAlias = Callable[[Any], None]
_ReadMany: TypeAlias = Callable[[bytes, int, Left, int, _Append], int]
"""Reads a number of items, appends each, and returns the offset after them."""

_DOUBLE = Struct("<d")


def reader(node: Node, *, compiled: bool = False) -> Callable[[bytes, int], Any]:
    """Return the function that reads a datum, given the bytes and the offset from which on they are the datum.

    It raises :class:`Deviation`. Whatever the bytes are, it takes time and memory in proportion to their number.

    :param compiled: read a record by Python source made for it, which gives the same in half the time; only for schemas
        of our own classes and files.
    """
    made = source.reader(node, _reader, MAX_VALUES) if compiled and node.kind == "record" else None
    return made or _whole(_reader(node))


def _whole(read: Read) -> Callable[[bytes, int], Any]:
    def whole(data: bytes, start: int) -> Any:
        try:
            value, end = read(data, start, [MAX_VALUES])
        except (IndexError, StructError):
            raise truncated() from None
        except UnicodeDecodeError:
            raise no_text() from None
        if end != len(data):
            raise ended(data, end)
        return value

    return whole


def safe_size(node: Node) -> int | None:
    """Return up to how many bytes a datum cannot hold more than :data:`MAX_VALUES`; ``None`` if however many."""
    # An item's bytes are its own, so that what each of them stands for at most adds up.
    densities = [-(-_weight(item) // _least(item)) for item in _items(node)]
    return MAX_VALUES // max(densities) if densities else None


def _items(node: Node) -> list[Node]:
    """Return every array and map within a type."""
    below = [found for child in node.children.values() for found in _items(child)]
    return [*below, node] if node.kind in ("array", "map") else below


def _weight(container: Node) -> int:
    (item,) = container.children.values()
    return item.weight + (container.kind == "map")


def _least(container: Node) -> int:
    (item,) = container.children.values()
    return item.least + (container.kind == "map")


def _reader(node: Node) -> Read:
    match node.kind:
        case "record":
            return _record(node)
        case "union":
            return _union(node)
        case "enum":
            return _enum(node.symbols)
        case "fixed":
            return _fixed(node.size)
        case "array":
            return _array(node)
        case "map":
            return _map(node)
        case primitive:
            return PRIMITIVES[primitive]


def _fixed(size: int) -> Read:
    def read(data: bytes, at: int, left: Left) -> tuple[bytes, int]:
        if size > len(data) - at:
            raise truncated()
        return data[at : at + size], at + size

    return read


def _enum(symbols: tuple[str, ...]) -> Read:
    count = len(symbols)

    def read(data: bytes, at: int, left: Left) -> tuple[str, int]:
        index, end = varint(data, at)
        if not 0 <= index < count:
            raise wrong(f"the enum at byte {at} has no symbol of its index")
        return symbols[index], end

    return read


def _union(node: Node) -> Read:
    branches = [_reader(branch) for branch in node.children.values()]
    count = len(branches)

    def read(data: bytes, at: int, left: Left) -> tuple[Any, int]:
        index, start = varint(data, at)
        if not 0 <= index < count:
            raise wrong(f"the union at byte {at} has no branch of its index")
        return branches[index](data, start, left)

    kinds = [branch.kind for branch in node.children.values()]
    return _optional(read, branches, kinds.index("null")) if count == 2 and "null" in kinds else read


def _optional(general: Read, branches: list[Read], null: int) -> Read:
    """Read the most frequent of unions, with ``null``; what is not as expected is left to the general way."""
    none, some, read = null * 2, 2 - null * 2, branches[1 - null]

    def optional(data: bytes, at: int, left: Left) -> tuple[Any, int]:
        index = data[at]
        if index == some:
            return read(data, at + 1, left)
        return (None, at + 1) if index == none else general(data, at, left)

    return optional


def _record(node: Node) -> Read:
    fields = tuple((name, _reader(child)) for name, child in node.children.items())

    def read(data: bytes, at: int, left: Left) -> tuple[dict[str, Any], int]:
        record = {}
        for name, field in fields:
            record[name], at = field(data, at, left)
        return record, at

    return read


def _block(data: bytes, at: int) -> tuple[int, int, int | None]:
    """Read the start of a block of an array or map: the number of items, the offset of the first, and where the block
    says that it ends, if it does."""
    count, start = varint(data, at)
    if count >= 0:
        return count, start, None
    size, start = varint(data, start)
    return -count, start, start + size


def _bound(data: bytes, at: int, needed: int, left: int) -> None:
    """Refuse a number of items before any of them is read, so that none is believed to be there.

    :param needed: how many bytes they have at least.
    :param left: how many objects may still be given after them.
    """
    if needed > len(data) - at:
        raise Deviation(f"is truncated: the items from byte {at} on are more than bytes are left for")
    if left < 0:
        raise wrong(f"its lists and maps hold more than {MAX_VALUES:,} values")


def _check_block(at: int, end: int | None) -> None:
    if end is not None and at != end:
        raise wrong(f"the items of a block end at byte {at}, which is not where its size says")


def _array(node: Node) -> Read:
    least, weight = _least(node), _weight(node)
    (item,) = node.children.values()
    many = _MANY.get(item.kind) or _many(_reader(item))

    def read(data: bytes, at: int, left: Left) -> tuple[list[Any], int]:
        items: list[Any] = []
        append = items.append
        while (head := data[at]) != 0:
            # Nearly always the count is one byte and not negative.
            count, at, end = _block(data, at) if head & 129 else (head >> 1, at + 1, None)
            left[0] -= count * weight
            _bound(data, at, count * least, left[0])
            at = many(data, at, left, count, append)
            _check_block(at, end)
        return items, at + 1

    return read


def _many(read: Read) -> _ReadMany:
    def many(data: bytes, at: int, left: Left, count: int, append: _Append) -> int:
        for _ in range(count):
            value, at = read(data, at, left)
            append(value)
        return at

    return many


def _longs(data: bytes, at: int, left: Left, count: int, append: _Append) -> int:
    # A loop of its own, since a call for each would take three times as long. So for strings.
    for _ in range(count):
        first = data[at]
        if first < 128:
            append((first >> 1) ^ -(first & 1))
            at += 1
        elif 0 < (second := data[at + 1]) < 128:
            number = first & 127 | second << 7
            append((number >> 1) ^ -(number & 1))
            at += 2
        else:
            number, at = long_varint(data, at)
            append(number)
    return at


def _strings(data: bytes, at: int, left: Left, count: int, append: _Append) -> int:
    for _ in range(count):
        first = data[at]
        if first < 128 and not first & 1:
            at += 1
            append(data[at : (at := at + (first >> 1))].decode())
        else:
            size, at = length(data, at)
            append(data[at : (at := at + size)].decode())
    return at


def _doubles(data: bytes, at: int, left: Left, count: int, append: _Append) -> int:
    for (number,) in _DOUBLE.iter_unpack(data[at : at + 8 * count]):
        append(number)
    return at + 8 * count


_MANY: dict[str, _ReadMany] = {"long": _longs, "string": _strings, "double": _doubles}


def _map(node: Node) -> Read:
    least, weight = _least(node), _weight(node)
    (value,) = node.children.values()
    read_value = _reader(value)

    def read(data: bytes, at: int, left: Left) -> tuple[dict[str, Any], int]:
        entries: dict[str, Any] = {}
        while data[at] != 0:
            block = at
            count, at, end = _block(data, at)
            left[0] -= count * weight
            _bound(data, at, count * least, left[0])
            expected = len(entries) + count
            for _ in range(count):
                key, at = read_string(data, at, left)
                entries[key], at = read_value(data, at, left)
            _check_block(at, end)
            if len(entries) != expected:
                raise wrong(f"the map with the block at byte {block} has a key twice")
        return entries, at + 1

    return read
