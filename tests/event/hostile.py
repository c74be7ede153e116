"""Hostile bytes: random schemas and classes, data of them, and what can be done to the data; as a program, a fuzzer.

``python -m tests.event.hostile --minutes 10`` compares the package with :mod:`tests.event.strict` until the time is
over, or something differs; ``--seed`` and ``--inputs`` repeat a run. A process that dies, takes 256 MB more or a second
of processor time for one input ends the run as well.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import secrets
import signal
import struct
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from everwhen.errors import MalformedRecord
from everwhen.event import codec, contracts, datum
from everwhen.event.model import event_schema
from everwhen.event.primitives import Deviation
from everwhen.event.schema import resolve
from tests.event import strict
from tests.event.generated import LETTERS, SCALARS, SYMBOLS, Kind, Slot, build

PRIMITIVES = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")
SPARE_MEMORY = 256 * 2**20
"""Bytes that a run may take beyond what it has at its start."""
SECONDS = 1.0
"""Of processor time, for one input."""


def random_schema(rng: random.Random, names: list[str], depth: int = 3) -> Any:
    """Return a schema of any of Avro's types; ``names`` are the records, enums and fixed types that are defined."""
    kinds = [*PRIMITIVES, "enum", "fixed", *names] + ["record", "union", "array", "map"] * 3 * (depth > 0)
    kind = rng.choice(kinds)
    name = f"T{rng.getrandbits(40)}"
    match kind:
        case "enum":
            names.append(name)
            return {"type": kind, "name": name, "symbols": [f"S{n}" for n in range(rng.choice([1, 3, 70]))]}
        case "fixed":
            names.append(name)
            return {"type": kind, "name": name, "size": rng.choice([1, 2, 16])}
        case "record":
            fields = [random_schema(rng, names, depth - 1) for _ in range(rng.randrange(1, 4))]
            names.append(name)
            return {"type": kind, "name": name, "fields": [{"name": f"f{n}", "type": t} for n, t in enumerate(fields)]}
        case "array" | "map":
            found = [*names]
            item = random_schema(rng, found, depth - 1)
            names[:] = names if takes_none(item) else found
            return {"type": kind, "items" if kind == "array" else "values": "long" if takes_none(item) else item}
        case "union":
            return _random_union(rng, names, depth)
    return kind


def _random_union(rng: random.Random, names: list[str], depth: int) -> list[Any]:
    branches: list[Any] = []
    for _ in range(rng.randrange(1, 4)):
        found = [*names]
        branch = random_schema(rng, found, depth - 1) if rng.random() < 0.6 else "null"
        if not isinstance(branch, list) and label(branch) not in map(label, branches):
            branches.append(branch)
            names[:] = found
    return branches or ["null"]


def takes_none(schema: Any) -> bool:
    """Say whether a value may take no byte; a reference is taken for one that may."""
    if isinstance(schema, dict) and schema["type"] == "record":
        return all(takes_none(field["type"]) for field in schema["fields"])
    return schema == "null" or (isinstance(schema, str) and schema not in PRIMITIVES)


def label(schema: Any) -> str:
    """Return what tells a branch of a union from the others."""
    return schema if isinstance(schema, str) else str(schema.get("name", schema["type"]))


def random_class(rng: random.Random) -> Any:
    """Return an event class of any of the types that a field can have."""
    names = rng.sample(LETTERS, rng.randrange(1, 4))
    return build({name: Slot(_random_kind(rng, 2)) for name in names}).event


def _random_kind(rng: random.Random, depth: int) -> Kind:
    kind = rng.choice([*SCALARS, "decimal", "enum", "literal"] + ["list", "tuple", "dict", "optional", "model"] * depth)
    match kind:
        case "decimal":
            return Kind(kind, (rng.randrange(3, 30), 2))
        case "enum" | "literal":
            return Kind(kind, SYMBOLS)
        case "model":
            return Kind(kind, tuple((name, Slot(_random_kind(rng, depth - 1))) for name in LETTERS[:2]))
        case "list" | "tuple" | "dict" | "optional":
            return Kind(kind, (_random_kind(rng, depth - 1),))
    return Kind(kind)


def varint(number: int) -> bytes:
    """Return a number as Avro writes an int or a long."""
    rest = number * 2 if number >= 0 else -number * 2 - 1
    groups = []
    while rest >= 128:
        groups.append(rest % 128 + 128)
        rest //= 128
    return bytes([*groups, rest])


class Writer:
    """Writes random data of a schema, in any of the forms that the specification allows, and at times in others."""

    def __init__(self, rng: random.Random, schema: Any) -> None:
        self.rng = rng
        self.names = strict.definitions(schema)

    def value(self, schema: Any) -> bytes:
        """Write a value."""
        rng = self.rng
        kind = schema["type"] if isinstance(schema, dict) else "union" if isinstance(schema, list) else schema
        match kind:
            case "null":
                return b""
            case "boolean":
                return self.slip(rng.choice([b"\x00", b"\x01"]), b"\x02")
            case "int" | "long":
                bits = rng.choice([3, 7, 13, 31 if kind == "int" else 63])
                beyond = 2**31 if kind == "int" else 2**63
                return self.number(rng.randrange(-(2**bits), 2**bits), beyond, -beyond - 1)
            case "float" | "double":
                number = rng.choice([0.0, -1.5, 1e9, float("nan")])
                return struct.pack("<f" if kind == "float" else "<d", number)
            case "bytes":
                return self.sized(rng.randbytes(rng.randrange(4)))
            case "string":
                return self.sized(
                    rng.choice(["", "a", "ä€", "x" * 70, "00000000-0000-4000-8000-0000000000aF"]).encode()
                )
            case "record":
                return b"".join([self.value(field["type"]) for field in schema["fields"]])
            case "enum":
                count = len(schema["symbols"])
                return self.number(rng.randrange(count), -1, count, -count)
            case "fixed":
                return rng.randbytes(schema["size"])
            case "array":
                return self.blocks(lambda number: self.value(schema["items"]))
            case "map":
                return self.blocks(
                    lambda number: (
                        self.sized(f"k{number * (self.rng.random() < 0.95)}".encode()) + self.value(schema["values"])
                    )
                )
            case "union":
                index = rng.randrange(len(schema))
                return self.number(index, -1, len(schema), -len(schema)) + self.value(schema[index])
        return self.value(self.names[kind][0])

    def slip(self, right: bytes, *wrong: bytes) -> bytes:
        """Write something wrong now and then: where all around it is right, nothing else can hide it."""
        return right if self.rng.random() < 0.98 else self.rng.choice(wrong)

    def number(self, right: int, *wrong: int) -> bytes:
        """Write a varint."""
        data = varint(right)
        longer = data[:-1] + bytes([data[-1] + 128, 0])
        return self.slip(data, longer, *map(varint, wrong))

    def sized(self, data: bytes) -> bytes:
        """Write a length and that many bytes."""
        return self.number(len(data), -1, -len(data), len(data) + 1) + data

    def blocks(self, item: Callable[[int], bytes]) -> bytes:
        """Write up to three blocks, with or without their size, and the end of them."""
        written = b""
        for block in range(self.rng.choice([0, 1, 1, 1, 3])):
            items = [item(block * 10 + number) for number in range(self.rng.randrange(1, 4))]
            size = len(b"".join(items))
            plain = self.rng.random() < 0.6
            head = self.number(len(items)) if plain else self.number(-len(items)) + self.number(size, size + 1, -size)
            written += head + b"".join(items)
        return written + b"\x00"


_HUGE = [
    varint(n) for n in (-1, -(2**31), 2**31, 2**50, 300_000_000, 2**62, -(2**62), 2**63 - 1, -(2**63), -(2**31) - 1)
]
# Of 65 bits, and of a hundred bytes.
_HUGE += [b"\x80" * 9 + b"\x02", b"\x80" * 99 + b"\x01"]


def mutated(rng: random.Random, valid: bytes) -> bytes:
    """Return data after one or two changes; sometimes after none, or what has never been data."""
    data = bytearray(valid)
    for _ in range(rng.choice([0, 1, 1, 1, 2])):
        place = rng.randrange(len(data) + 1)
        match rng.randrange(8):
            case 0 if place < len(data):
                data[place] ^= 1 << rng.randrange(8)
            case 1:
                del data[place:]
            case 2:
                data[place:place] = rng.randbytes(rng.randrange(1, 4))
            case 3 if place < len(data):
                # The same number with more bytes, if one ends here: legal nowhere.
                data[place : place + 1] = bytes([data[place] | 128] + [128] * rng.randrange(12) + [0])
            case 4:
                data[place : place + 1] = rng.choice(_HUGE)
            case 5:
                data[place : place + 1] = varint(-rng.randrange(1, 4))
            case 6:
                del data[place : place + rng.randrange(1, 4)]
            case 7:
                data[:] = rng.randbytes(rng.randrange(40))
    return bytes(data)


class Trial(NamedTuple):
    """What is tried: a schema, and what reads data of it."""

    schema: Any
    read: Callable[[bytes], Any]
    refusals: tuple[type[Exception], ...]


def trials(rng: random.Random) -> Iterator[Trial]:
    """Yield schemas of all of Avro and of generated classes by turns, without end."""
    while True:
        schema = random_schema(rng, [])
        read = datum.reader(resolve(schema), compiled=rng.random() < 0.5)
        yield Trial(schema, lambda data, read=read: read(data, 0), (Deviation,))  # type: ignore[misc]
        yield _class_trial(random_class(rng))


def _class_trial(event: Any) -> Trial:
    version = contracts.Version.of(1, event_schema(event))
    decoder = codec.Codec(contracts.Contracts([contracts.Contract(event, (version,))]))
    plain = datum.reader(version.node)

    def read(data: bytes) -> Any:
        try:
            found = decoder.decode(b"\xc3\x01" + version.fingerprint + data)
        except MalformedRecord as error:
            # A logical type or the class may refuse what Avro allows, and says so.
            if "logical type" in str(error) or "refused by its class" in str(error):
                return plain(data, 0)
            raise
        value = plain(data, 0)
        again = plain(decoder.encode(found), 10)
        if "decimal" not in json.dumps(version.schema) and repr(again).lower() != repr(value).lower():
            raise AssertionError("the event is another one than its datum")
        return value

    return Trial(version.schema, read, (MalformedRecord,))


def compare(trial: Trial, data: bytes) -> bool:
    """Read data both ways and say whether both took it.

    :raises AssertionError: if they differ.
    """
    try:
        expected = strict.read(trial.schema, data)
    except strict.Refused as error:
        try:
            trial.read(data)
        except trial.refusals:
            return False
        raise AssertionError(f"accepted, and the reference says: {error}") from None
    # As text: not-a-number is not equal to itself, and True is to 1.
    assert repr(trial.read(data)) == repr(expected), "read as another value"
    return True


class Tally(NamedTuple):
    """How many inputs were compared, and how many of them both sides took."""

    inputs: int
    accepted: int


def run(seed: int, go_on: Callable[[int], bool]) -> Tally:
    """Compare inputs until ``go_on``, given their number, says no; what differs is printed and raised."""
    rng = random.Random(seed)
    inputs = accepted = 0
    for trial in trials(rng):
        writer = Writer(rng, trial.schema)
        for _ in range(100):
            data = mutated(rng, writer.value(trial.schema))
            signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
            try:
                accepted += compare(trial, data)
            except BaseException:
                print(f"seed {seed}, input {inputs}: {data.hex()} with {json.dumps(trial.schema)}", flush=True)
                raise
            inputs += 1
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        if not go_on(inputs):
            return Tally(inputs, accepted)
    raise AssertionError("there are always more trials")


def bound_memory() -> None:
    """Let this process take :data:`SPARE_MEMORY` more than it has."""
    with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123 - it is no file
        limit = int(statm.read().split()[0]) * resource.getpagesize() + SPARE_MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _too_slow(signum: int, frame: object) -> None:
    raise TimeoutError(f"one input took {SECONDS} s of processor time")


def main() -> None:
    """Fuzz for some minutes, or a number of inputs."""
    options = argparse.ArgumentParser()
    options.add_argument("--seed", type=int, default=secrets.randbelow(2**32))
    options.add_argument("--minutes", type=float, default=1.0)
    options.add_argument("--inputs", type=int)
    given = options.parse_args()
    signal.signal(signal.SIGVTALRM, _too_slow)
    bound_memory()
    end = time.monotonic() + 60 * given.minutes
    print(f"seed {given.seed}", flush=True)
    tally = run(given.seed, lambda n: n < given.inputs if given.inputs else time.monotonic() < end)
    print(f"seed {given.seed}: {tally.inputs} inputs, {tally.accepted} of them accepted, no difference")


if __name__ == "__main__":
    main()
