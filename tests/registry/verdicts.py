"""Ask a real registry about generated pairs of schemas, and list where its verdict is not ours.

``python -m tests.registry.verdicts --pairs 5000`` starts the registry, or takes that of ``EVERWHEN_TEST_REGISTRY``. For
each pair the writer's schema is registered, under a subject of its own, and the reader's is checked against it by the
rule ``BACKWARD``. It exits with 1 if a difference has no explanation in the table.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2

from everwhen.event.compatibility import Incompatibility, check
from everwhen.testing.parts import start_registry
from tests.event.schema_pairs import Pair, pairs
from tests.event.test_schema_pairs import EXPLAINED as APACHES

_AT_ONCE = 4
_SHOWN = 5

Explains = Callable[[Pair, list[Incompatibility]], bool]


def renamed_onto_another(pair: Pair, found: list[Incompatibility]) -> bool:
    """Apache's library for Java renames the writer's fields by the reader's aliases before it compares. Where that
    gives a record two fields of one name, the registry takes both schemas, and calls them invalid when comparing.
    """
    return any(names & aliases for names, aliases in _fields(pair.reader))


EXPLAINED: dict[str, Explains] = {
    **APACHES,
    "a field's alias is the name of another field": renamed_onto_another,
}
"""Every class of difference from the registry's checker, by what it is about. The registry asks Apache's library for
Java, so most differences are those from its Python one; of 5,000 pairs (seed 8), 35 were about decimals, one about an
alias without its namespace, and one about a field's alias.
"""


def main() -> int:
    """Ask, and print what came of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.registry.verdicts", description=__doc__)
    parser.add_argument("--pairs", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=8)
    arguments = parser.parse_args()
    differences: Counter[str] = Counter()
    unexplained = []
    agreed = 0
    with start_registry() as registry:
        print(registry.address.describe())
        for pair, verdict in asked(registry.address.url, arguments.pairs, arguments.seed):
            found = check(*pair, strict=False)
            if verdict is (not found):
                agreed += 1
                continue
            reasons = [name for name, explains in EXPLAINED.items() if explains(pair, found)]
            differences[reasons[0] if reasons else "unexplained"] += 1
            if not reasons:
                unexplained.append((pair, verdict, [str(each) for each in found]))
    print(f"{arguments.pairs} pairs, seed {arguments.seed}: {agreed} verdicts are the same")
    for name, count in differences.most_common():
        print(f"{count:6}  {name}")
    for pair, verdict, reasons in unexplained[:_SHOWN]:
        print(json.dumps({"writer": pair.writer, "reader": pair.reader, "registry": verdict, "ours": reasons}))
    return 1 if unexplained else 0


def asked(url: str, count: int, seed: int) -> Iterator[tuple[Pair, bool | None]]:
    """Yield pairs with the registry's verdict; ``None`` where it refuses one of the schemas."""
    given = list(pairs(count, seed=seed))
    client = httpx2.Client(base_url=url, timeout=60.0)

    def ask(numbered: tuple[int, Pair]) -> bool | None:
        number, pair = numbered
        subject = f"pair-{number}"
        done = client.post(f"/subjects/{subject}/versions", json={"schema": json.dumps(pair.writer)})
        if done.status_code != httpx2.codes.OK:
            return None
        body = {"schema": json.dumps(pair.reader)}
        done = client.post(f"/compatibility/subjects/{subject}/versions/latest", json=body)
        said: Any = done.json() if done.status_code == httpx2.codes.OK else {}
        verdict: bool | None = said.get("is_compatible")
        return verdict

    with client, ThreadPoolExecutor(_AT_ONCE) as pool:
        yield from zip(given, pool.map(ask, enumerate(given)), strict=True)


def _fields(schema: Any) -> Iterator[tuple[set[str], set[str]]]:
    """Yield the names of each record's fields, and their aliases."""
    if isinstance(schema, dict) and isinstance(schema.get("fields"), list):
        fields = schema["fields"]
        yield {each["name"] for each in fields}, {alias for each in fields for alias in each.get("aliases", ())}
    for part in schema if isinstance(schema, list) else schema.values() if isinstance(schema, dict) else ():
        yield from _fields(part)


if __name__ == "__main__":
    sys.exit(main())
