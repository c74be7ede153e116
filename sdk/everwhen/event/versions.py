"""Versions: what one contract file says, checked and ready to be read and written with."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from fastavro.schema import fingerprint, parse_schema, to_parsing_canonical_form

from everwhen.errors import ContractError
from everwhen.event.avro import Schema
from everwhen.event.schema import MAX_SCHEMA_BYTES, Node, rename, resolve

VERSION_FILE = re.compile(r"([1-9][0-9]{0,3})\.avsc")


@dataclass(frozen=True, slots=True, eq=False)
class Version:
    """One version of an event type's schema.

    :ivar number: 1, 2, …; 0 for a schema that comes from a registry.
    :ivar schema: the schema as its file has it.
    :ivar node: the same with its names resolved.
    :ivar parsed: the same as fastavro writes by it, without logical types: :mod:`everwhen.event.logical` has those.
    :ivar type: the event type's name, as it was when the version was the newest.
    :ivar fingerprint: CRC-64-AVRO of its parsing canonical form, 8 bytes, least significant first, as the
        single-object encoding has it (Avro specification 1.12, section "Single object encoding").
    """

    number: int
    schema: Schema
    node: Node
    parsed: Schema
    fingerprint: bytes
    type: str

    @classmethod
    def of(cls, number: int, schema: object) -> Version:
        """Check a schema and build its version.

        :raises ContractError: if it is no Avro schema of a record, or one that is not safe to read with.
        """
        node = resolve(schema)
        if not isinstance(schema, dict) or node.kind != "record":
            raise ContractError("it is not an Avro schema of a record")
        bare = _bare(node, set())
        if len(json.dumps(bare)) > MAX_SCHEMA_BYTES:
            raise _too_long()
        try:
            parsed = parse_schema(bare)
            checksum = bytes.fromhex(fingerprint(to_parsing_canonical_form(parsed), "CRC-64-AVRO"))
        except Exception as error:
            # fastavro checks by use: any error means that it is no schema.
            raise ContractError(f"it is not an Avro schema: fastavro refuses it ({type(error).__name__})") from error
        return cls(number, schema, node, cast("Schema", parsed), checksum, node.name)

    def named_as(self, name: str) -> Version:
        """Return the version with its types named as those of another event type, to be compared with that."""
        return replace(self, node=rename(self.node, self.type, name))


def read_version(path: Path, number: int, obstacles: list[str]) -> Version | None:
    """Read one contract file; note what is wrong with it among ``obstacles``, and return ``None`` then."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_SCHEMA_BYTES + 1)
        if len(text) > MAX_SCHEMA_BYTES:
            raise _too_long()
        version = Version.of(number, json.loads(text))
    except (OSError, ValueError, RecursionError) as error:
        obstacles.append(f"{path} cannot be read as JSON ({type(error).__name__}); restore it")
    except ContractError as error:
        obstacles.append(f"{path}: {error}; restore it")
    else:
        return replace(version, type=path.parent.name)
    return None


def means_the_same(one: Version, other: Version) -> bool:
    """Say whether the bytes of two schemas with one fingerprint also mean the same."""
    return meaning(resolve(one.schema)) == meaning(resolve(other.schema))


def meaning(node: Node) -> tuple[object, ...]:
    """Return all of a schema that decides what its bytes mean: everything but the defaults."""
    children = tuple((step, meaning(child)) for step, child in node.children.items())
    return (node.kind, node.name, node.logical, node.symbols, node.size, children)


def _bare(node: Node, written: set[str]) -> Any:
    """Return what decides how values are written, from what was bounded: nothing walks the rest of a schema."""
    if node.name in written:
        return node.name
    named = {"type": node.kind, "name": node.name}
    if node.name:
        written.add(node.name)
    match node.kind:
        case "record":
            fields = [{"name": name, "type": _bare(child, written)} for name, child in node.children.items()]
            return {**named, "fields": fields}
        case "enum":
            return {**named, "symbols": list(node.symbols)}
        case "fixed":
            return {**named, "size": node.size}
        case "array" | "map":
            (item,) = node.children.values()
            return {"type": node.kind, "items" if node.kind == "array" else "values": _bare(item, written)}
        case "union":
            return [_bare(branch, written) for branch in node.children.values()]
        case primitive:
            return primitive


def _too_long() -> ContractError:
    return ContractError(f"it is longer than {MAX_SCHEMA_BYTES:,} bytes")
