"""A reader of Avro's binary encoding, straight from the specification 1.12, to compare ours with.

It shares nothing with the package or with fastavro: schemas are taken as JSON, bytes are taken one at a time, and
nothing is fast. It refuses all that the specification forbids, and the two things that it leaves open and we refuse: a
varint with a needless byte, and a map with a key twice.
"""

from __future__ import annotations

import struct
from typing import Any


class Refused(Exception):
    """The bytes are not those of a datum of the schema."""


def read(schema: Any, data: bytes) -> Any:
    """Return the datum that the bytes are, all of them."""
    decoder = _Decoder(data, definitions(schema))
    value = decoder.value(schema, "")
    if decoder.rest:
        raise Refused("bytes are left over")
    return value


def definitions(schema: Any, namespace: str = "") -> dict[str, tuple[Any, str]]:
    """Return the named types of a schema by their full names, each with the namespace that it stands in."""
    parts: list[Any] = schema if isinstance(schema, list) else []
    found = {}
    if isinstance(schema, dict) and "name" in schema:
        fullname = _fullname(schema, namespace)
        found[fullname] = schema, namespace
        namespace = fullname.rpartition(".")[0]
        parts = [field["type"] for field in schema.get("fields", [])]
    elif isinstance(schema, dict):
        parts = [schema[key] for key in ("items", "values") if key in schema]
    for part in parts:
        found |= definitions(part, namespace)
    return found


def _fullname(schema: Any, namespace: str) -> str:
    name, space = schema["name"], schema.get("namespace", namespace)
    return name if "." in name or not space else f"{space}.{name}"


class _Decoder:
    def __init__(self, data: bytes, names: dict[str, tuple[Any, str]]) -> None:
        self.rest = list(reversed(data))
        self.names = names

    def take(self, count: int) -> bytes:
        """Take the next bytes."""
        if count > len(self.rest):
            raise Refused("the bytes end too early")
        return bytes(self.rest.pop() for _ in range(count))

    def number(self, bits: int) -> int:
        """ "variable-length zig-zag coding": groups of seven bits, the least significant first."""
        groups = []
        while True:
            (byte,) = self.take(1)
            groups.append(byte % 128)
            if byte < 128:
                break
        if len(groups) > 1 and groups[-1] == 0:
            raise Refused("a number has a needless byte")
        unsigned: int = sum(group * 128**place for place, group in enumerate(groups))
        if unsigned >= 2**bits:
            raise Refused("a number has too many bits")
        return unsigned // 2 if unsigned % 2 == 0 else -(unsigned + 1) // 2

    def sized(self) -> bytes:
        """ "a long followed by that many bytes of data"."""
        size = self.number(64)
        if size < 0:
            raise Refused("a length is negative")
        return self.take(size)

    def text(self) -> str:
        """ "a long followed by that many bytes of UTF-8 encoded character data"."""
        try:
            return self.sized().decode("utf-8", "strict")
        except UnicodeDecodeError:
            raise Refused("a string is not UTF-8") from None

    def value(self, schema: Any, namespace: str) -> Any:
        """Take a value of a type."""
        if isinstance(schema, list):
            return self.value(schema[self.index(len(schema), 64)], namespace)
        kind = schema["type"] if isinstance(schema, dict) else schema
        match kind:
            case "null":
                return None
            case "boolean":
                return {b"\x00": False, b"\x01": True}[self.one_of(b"\x00", b"\x01")]
            case "int" | "long":
                return self.number(32 if kind == "int" else 64)
            case "float" | "double":
                size, form = (4, "<f") if kind == "float" else (8, "<d")
                return struct.unpack(form, self.take(size))[0]
            case "bytes":
                return self.sized()
            case "string":
                return self.text()
            case "array":
                return self.blocks(lambda: self.value(schema["items"], namespace))
            case "map":
                return self.entries(schema, namespace)
            case "record" | "enum" | "fixed":
                return self.named(schema, namespace)
            case name:
                return self.named(*self.names[name if "." in name or not namespace else f"{namespace}.{name}"])

    def one_of(self, *allowed: bytes) -> bytes:
        """Take one byte out of a few."""
        found = self.take(1)
        if found not in allowed:
            raise Refused("a boolean is neither 0 nor 1")
        return found

    def index(self, count: int, bits: int) -> int:
        """ "the zero-based position" of a symbol or branch."""
        index = self.number(bits)
        if not 0 <= index < count:
            raise Refused("a position is not in the schema")
        return index

    def blocks(self, item: Any) -> list[Any]:
        """ "a series of blocks": a count of items, or a negative one and the number of bytes; zero ends the series."""
        items: list[Any] = []
        while (count := self.number(64)) != 0:
            size = self.number(64) if count < 0 else None
            before = len(self.rest)
            for _ in range(abs(count)):
                items.append(item())
            if size is not None and before - len(self.rest) != size:
                raise Refused("a block has another number of bytes than it says")
        return items

    def entries(self, schema: Any, namespace: str) -> dict[str, Any]:
        """Blocks of keys with their values."""
        pairs = self.blocks(lambda: (self.text(), self.value(schema["values"], namespace)))
        if len(dict(pairs)) != len(pairs):
            raise Refused("a map has a key twice")
        return dict(pairs)

    def named(self, schema: Any, namespace: str) -> Any:
        """Take a value of a named type."""
        if schema["type"] == "fixed":
            return self.take(schema["size"])
        if schema["type"] == "enum":
            # "encoded by an int"
            return schema["symbols"][self.index(len(schema["symbols"]), 32)]
        inner = _fullname(schema, namespace).rpartition(".")[0]
        return {field["name"]: self.value(field["type"], inner) for field in schema["fields"]}
