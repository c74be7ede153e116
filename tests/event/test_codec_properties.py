"""Properties of the codec over generated event classes."""

from __future__ import annotations

import io
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import avro.errors
import avro.io
import avro.schema
import pytest
from hypothesis import HealthCheck, assume, given, reject, settings
from hypothesis import strategies as st

from everwhen.errors import RecordError
from everwhen.event import Event, compatibility
from everwhen.event.codec import Codec
from everwhen.event.contracts import Contract, Contracts, Version
from everwhen.event.model import event_schema, event_shape
from everwhen.event.values import writing
from tests.event.generated import FIELDS, build, later, same, without_logical_types

relaxed = settings(
    max_examples=70, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)


def contracts(*versions: type[Event]) -> Contracts:
    """Contracts as the classes of one event type give them, the last one being today's."""
    found = (Version.of(number, event_schema(event)) for number, event in enumerate(versions, 1))
    return Contracts([Contract(versions[-1], tuple(found))])


def plain(data: Any) -> Any:
    """What is given to fastavro, without the names of union branches."""
    if isinstance(data, tuple):
        return plain(data[1])
    if isinstance(data, dict):
        return {key: plain(value) for key, value in data.items()}
    return [plain(value) for value in data] if isinstance(data, list) else data


@relaxed
@given(st.data())
def test_an_event_comes_back_equal(data: st.DataObject) -> None:
    """decode(encode(event)) is the event, of the same class and types, for every class of the subset."""
    built = build(data.draw(FIELDS))
    codec = Codec(contracts(built.event))
    event = data.draw(built.instances())
    again = codec.decode(codec.encode(event))
    assert again == event
    assert type(again) is built.event
    assert codec.encode(again) == codec.encode(event)


@relaxed
@given(st.data())
def test_apache_avro_reads_what_we_write(data: st.DataObject) -> None:
    """Apache Avro, reading our bytes with our schema, gets the same data as we put in."""
    built = build(data.draw(FIELDS))
    event = data.draw(built.instances())
    schema = avro.schema.parse(json.dumps(without_logical_types(event_schema(built.event))))
    value = Codec(contracts(built.event)).encode(event)
    read = avro.io.DatumReader(schema).read(avro.io.BinaryDecoder(io.BytesIO(value[10:])))
    assert same(read, plain({**writing(event_shape(built.event))(event)}))


@relaxed
@given(st.data())
def test_an_old_event_is_read_as_apache_avro_resolves_it(data: st.DataObject) -> None:
    """What today's class makes of an old value is what Avro's schema resolution makes of it."""
    slots = data.draw(FIELDS)
    old, new = build(slots), build(data.draw(later(slots)))
    assume(not compatibility.check(event_schema(old.event), event_schema(new.event)))
    event = data.draw(old.instances())
    value = Codec(contracts(old.event)).encode(event)
    again = Codec(contracts(old.event, new.event)).decode(value)
    writer, reader = (
        avro.schema.parse(json.dumps(without_logical_types(event_schema(built.event)))) for built in (old, new)
    )
    try:
        resolved = avro.io.DatumReader(writer, reader).read(avro.io.BinaryDecoder(io.BytesIO(value[10:])))
    except avro.errors.SchemaResolutionException:
        # Apache's Python reader does not match an array or map with one whose items became a union; the specification
        # does, and so does Apache's own compatibility check, which the tests of compatibility compare with.
        reject()
    assert same(resolved, plain({**writing(event_shape(new.event))(again)}))


@relaxed
@given(st.data())
def test_hostile_bytes_raise_record_errors_only(data: st.DataObject) -> None:
    """Whatever is done to a value, decoding gives an event or raises a RecordError, with an old schema as well."""
    slots = data.draw(FIELDS)
    old, new = build(slots), build(data.draw(later(slots)))
    found = (
        [old.event] if compatibility.check(event_schema(old.event), event_schema(new.event)) else [old.event, new.event]
    )
    value = bytearray(Codec(contracts(old.event)).encode(data.draw(old.instances())))
    match data.draw(st.sampled_from(["flip", "cut", "insert", "datum", "all"])):
        case "flip":
            for place in data.draw(st.lists(st.integers(0, len(value) - 1), min_size=1, max_size=3)):
                value[place] = data.draw(st.integers(0, 255))
        case "cut":
            del value[data.draw(st.integers(0, len(value))) :]
        case "insert":
            value[data.draw(st.integers(0, len(value))) :] = data.draw(st.binary(max_size=20))
        case "datum":
            value[10:] = data.draw(st.binary(max_size=60))
        case "all":
            value[:] = data.draw(st.binary(max_size=60))
    with suppress(RecordError):
        assert type(Codec(contracts(*found)).decode(bytes(value), data.draw(_headers()))) is found[-1]


def _headers() -> st.SearchStrategy[list[tuple[str, bytes | None]]]:
    schema_id = st.tuples(st.just("__value_schema_id"), st.none() | st.binary(max_size=18))
    return st.lists(schema_id | st.tuples(st.text(max_size=3), st.binary(max_size=3)), max_size=2)


@relaxed
@given(st.data())
def test_the_end_of_the_value_is_noticed(data: st.DataObject) -> None:
    """A value that is cut or prolonged anywhere is refused, never read as another event."""
    built = build(data.draw(FIELDS))
    codec = Codec(contracts(built.event))
    value = codec.encode(data.draw(built.instances()))
    cut = value[: data.draw(st.integers(0, len(value) - 1))] if len(value) > 10 else value + b"\x00"
    for wrong in (cut, value + data.draw(st.binary(min_size=1, max_size=3))):
        with pytest.raises(RecordError):
            codec.decode(wrong)


def test_the_schema_of_a_class_is_the_same_in_every_process(tmp_path: Path) -> None:
    """Nothing of a schema depends on hashes, so it is equal under another hash seed."""
    import os
    import subprocess
    import sys

    script = (
        "import json; from hypothesis import given, settings, seed, strategies as st\n"
        "from everwhen.event.model import event_schema\n"
        "from tests.event.generated import FIELDS, build\n"
        "out = []\n"
        "@seed(1)\n"
        "@settings(max_examples=20, database=None, deadline=None)\n"
        "@given(FIELDS)\n"
        "def run(slots): out.append(json.dumps(event_schema(build(slots).event)))\n"
        "run(); print(json.dumps(out))\n"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            capture_output=True,
            check=True,
            text=True,
            cwd=tmp_path,
        ).stdout
        for hash_seed in ("1", "2")
    ]
    assert runs[0] == runs[1]
    assert len(json.loads(runs[0])) >= 20
