"""The compatibility engine beside Apache's checker, on generated pairs of schemas: every difference is explained."""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import avro.schema
import pytest
from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType

from everwhen.event.compatibility import Incompatibility, Rule, check
from tests.event.schema_pairs import Pair, pairs
from tests.longer import times

PAIRS = times(5000)


def apache_says(pair: Pair) -> bool:
    """Apache's verdict, of the Python package avro."""
    reader, writer = (avro.schema.parse(json.dumps(schema)) for schema in (pair.reader, pair.writer))
    result = ReaderWriterCompatibilityChecker().get_compatibility(reader, writer)  # type: ignore[no-untyped-call] # Apache's
    return bool(result.compatibility is SchemaCompatibilityType.compatible)


def other_decimals(pair: Pair, found: list[Incompatibility]) -> bool:
    """Specification, section "Decimal": two decimals match if their scales and precisions do. Apache looks at bytes."""
    return bool(found) and {each.rule for each in found} == {Rule.DECIMAL}


def short_alias(pair: Pair, found: list[Incompatibility]) -> bool:
    """Specification, section "Aliases": an alias is in the namespace of its type; Apache takes it as it is written.

    So with the aliases written in full it agrees.
    """
    return not found and apache_says(pair._replace(reader=full_aliases(pair.reader)))


def namesakes(pair: Pair, found: list[Incompatibility]) -> bool:
    """Specification, section "Schema Resolution": the first branch that matches is read, and records and enums match by
    the last part of their names, whatever they are made of. Apache tries every branch.
    """
    return bool(found) and any(len(set(names)) < len(names) for names in unions(pair.reader))


EXPLAINED: dict[str, Callable[[Pair, list[Incompatibility]], bool]] = {
    "a decimal has another precision or scale": other_decimals,
    "an alias stands without its namespace": short_alias,
    "a union holds two types of the same last name": namesakes,
}
"""Every class of difference from Apache's checker, by what it is about."""


def one_field(kind: Any) -> dict[str, Any]:
    return {"type": "record", "name": "R", "namespace": "shop", "fields": [{"name": "f", "type": kind}]}


def decimal(scale: int) -> dict[str, Any]:
    return {"type": "bytes", "logicalType": "decimal", "precision": 5, "scale": scale}


def enum(namespace: str, *symbols: str) -> dict[str, Any]:
    return {"type": "enum", "name": "E", "namespace": namespace, "symbols": list(symbols)}


EXAMPLES = {
    "a decimal has another precision or scale": Pair(one_field(decimal(1)), one_field(decimal(2))),
    "an alias stands without its namespace": Pair(one_field("int"), one_field("int") | {"name": "S", "aliases": ["R"]}),
    "a union holds two types of the same last name": Pair(
        one_field(enum("a", "X")), one_field([enum("b", "Y"), enum("c", "X")])
    ),
}


def unions(schema: Any) -> Iterator[list[str]]:
    """For each union, the last parts of its branches' names; a primitive's or a container's is its type."""
    if isinstance(schema, list):
        yield [part.rpartition(".")[2] if isinstance(part, str) else part.get("name", part["type"]) for part in schema]
    for part in schema if isinstance(schema, list) else schema.values() if isinstance(schema, dict) else ():
        yield from unions(part)


def full_aliases(schema: Any) -> Any:
    """A schema whose types' aliases have their namespaces; a field's are left, as they have none."""
    if isinstance(schema, list):
        return [full_aliases(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    written = {key: full_aliases(part) for key, part in schema.items()}
    if "namespace" in schema:
        names = schema.get("aliases", [])
        written["aliases"] = [name if "." in name else f"{schema['namespace']}.{name}" for name in names]
    return written


def test_apache_agrees_or_the_difference_is_explained() -> None:
    """A verdict that differs from Apache's for no known reason would be a mistake of ours, or one to know of."""
    differences: Counter[str] = Counter()
    verdicts: Counter[bool] = Counter()
    for pair in pairs(PAIRS, seed=8):
        found = check(*pair, strict=False)
        verdicts[not found] += 1
        if (not found) != apache_says(pair):
            reasons = [name for name, explains in EXPLAINED.items() if explains(pair, found)]
            assert reasons, f"unexplained: {pair}, found {list(map(str, found))}"
            differences[reasons[0]] += 1
    assert min(verdicts.values()) > PAIRS / 4
    assert sum(differences.values()) < PAIRS / 25


@pytest.mark.parametrize("name", EXPLAINED)
def test_each_explanation_is_needed(name: str) -> None:
    """One that no difference needs would only hide others."""
    found = check(*EXAMPLES[name], strict=False)
    assert apache_says(EXAMPLES[name]) != (not found)
    assert [each for each, explains in EXPLAINED.items() if explains(EXAMPLES[name], found)] == [name]


def test_strict_is_stricter() -> None:
    """What holds for event classes refuses whatever the specification refuses, and its own rules beside."""
    met = set()
    for pair in pairs(1000, seed=3):
        strict, loose = check(*pair), check(*pair, strict=False)
        assert not loose or strict
        assert all(found.rule.is_avros for found in loose)
        met |= {found.rule for found in strict}
    assert met == set(Rule)


def test_a_schema_reads_itself() -> None:
    """Whatever a schema is made of, what was written with it can be read with it."""
    for pair in pairs(300, seed=5):
        assert check(pair.reader, copy.deepcopy(pair.reader)) == []


def test_the_same_seed_gives_the_same_pairs() -> None:
    """Whoever asks a registry about them asks about the pairs that the other checkers were asked about."""
    assert list(pairs(50, seed=2)) == list(pairs(50, seed=2))
    assert next(pairs(1, seed=2)) != next(pairs(1, seed=4))
