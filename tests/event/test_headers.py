"""Headers: the CloudEvents attributes of a record, written and read."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from everwhen.errors import ArgumentError, MalformedRecord, RecordError
from everwhen.event import headers
from everwhen.event.headers import Meta
from everwhen.instants import MAX_MICROS, MIN_MICROS, format_instant, parse_instant

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
MICROS = st.integers(MIN_MICROS, MAX_MICROS)
REQUIRED: dict[str, bytes | None] = {
    "ce_specversion": b"1.0",
    "ce_id": b"1",
    "ce_type": b"a.b",
    "ce_time": b"2013-01-01T05:15:00Z",
}

USUAL = [name for name, _ in headers.build(id="1", source="/", type="a", entity_id="e", occurred_at=0)]


def parse(key: bytes | None = b"acc-1", **changes: Any) -> Meta:
    """Read the required headers with changes to them; ``...`` leaves one out."""
    changed = {**REQUIRED, **changes}
    return headers.parse([(name, value) for name, value in changed.items() if value is not ...], key)


def test_a_record_has_the_headers_of_the_kafka_binding() -> None:
    """Names, order and values as CloudEvents' binary mode has them."""
    assert headers.build(
        id="e1",
        source="/bank",
        type="bank.account.opened",
        entity_id="acc-ü",
        occurred_at=1_357_017_300_000_000,
        correlation_id="c",
        causation_id="d",
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        withdraws="e0",
    ) == [
        ("ce_specversion", b"1.0"),
        ("ce_id", b"e1"),
        ("ce_source", b"/bank"),
        ("ce_type", b"bank.account.opened"),
        ("ce_subject", "acc-ü".encode()),
        ("ce_time", b"2013-01-01T05:15:00Z"),
        ("content-type", b"application/avro"),
        ("ce_correlationid", b"c"),
        ("ce_causationid", b"d"),
        ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("ce_withdraws", b"e0"),
    ]


_OPTIONAL = ["correlation_id", "causation_id", "withdraws"]
_TRACE = ["traceparent", "tracestate"]


@given(
    TEXT,
    TEXT,
    TEXT,
    MICROS,
    st.dictionaries(st.sampled_from(_OPTIONAL), TEXT),
    st.dictionaries(st.sampled_from(_TRACE), TEXT),
)
@example("i", "t", "e", MIN_MICROS, {}, {})
@example("i", "t", "e", MAX_MICROS, {}, {})
def test_what_is_built_is_read(
    event_id: str, name: str, entity: str, at: int, optional: dict[str, str], trace: dict[str, str]
) -> None:
    """Every header comes back, over the whole calendar; but for those of a trace, on which no event depends."""
    built = headers.build(id=event_id, source="/s", type=name, entity_id=entity, occurred_at=at, **optional, **trace)
    assert {name: value.decode() for name, value in built if name in _TRACE} == trace
    assert headers.parse(built, entity.encode()) == Meta(event_id, name, entity, at, **optional)


@given(MICROS)
def test_the_time_is_written_as_everywhere(micros: int) -> None:
    """Faster, and no other text than everwhen.instants gives."""
    built = headers.build(id="1", source="/s", type="t", entity_id="e", occurred_at=micros)
    assert dict(built)["ce_time"].decode() == format_instant(micros)


@pytest.mark.parametrize(
    "text",
    [
        "2013-01-01T05:15:00Z",
        "2013-01-01T05:15:00.000001Z",
        "2013-01-01T05:15:00.5Z",
        "2013-01-01T05:15:00.500000000Z",
        "2013-01-01T07:15:00+02:00",
        "2013-01-01t05:15:00z",
        "2013-01-01 05:15:00Z",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999999Z",
    ],
)
def test_every_form_of_rfc_3339_is_read(text: str) -> None:
    """With any offset, and with decimals that come to whole microseconds."""
    assert parse(ce_time=text.encode()).occurred_at == parse_instant(text, "x")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("2013-01-01T05:15:00", "not an instant"),
        ("2013-01-01", "not an instant"),
        ("2013-01-01T05:15:00.0000001Z", "finer than a microsecond"),
        ("2013-02-30T05:15:00Z", "not an instant"),
        ("2013-02-30T05:15:00.000000Z", "not an instant"),
        ("2013-01-01T25:15:00Z", "not an instant"),
        ("2013-W01-1T05:15:00Z", "not an instant"),
        ("2013-01-01T051500.1Z", "not an instant"),
        ("2013-01-01T05:15:00.123+01Z", "not an instant"),
        ("2013-01-01T05:15:00,123456Z", "not an instant"),
        ("\uff12\uff10\uff11\uff13-01-01T05:15:00Z", "not an instant"),
        ("2013-01-01T05:15:00.1\uff123456Z", "not an instant"),
        ("2013-01-01T05:15:0\u0663Z", "not an instant"),
        ("1357017300", "not an instant"),
        ("0001-01-01T00:00:00+00:01", "outside the years 1 to 9999"),
    ],
)
def test_other_times_are_malformed(text: str, reason: str) -> None:
    """The message names the header, never its value."""
    with pytest.raises(MalformedRecord, match=f"^the header ce_time .*{reason}"):
        parse(ce_time=text.encode())


@pytest.mark.parametrize("name", ["ce_id", "ce_type", "ce_time"])
@pytest.mark.parametrize(
    ("value", "reason"),
    [(..., "missing or empty"), (None, "missing or empty"), (b"", "missing or empty"), (b"\xff", "UTF-8")],
)
def test_a_required_header_must_be_there(name: str, value: Any, reason: str) -> None:
    """It is named."""
    with pytest.raises(MalformedRecord, match=f"^the header {name} is .*{reason}"):
        parse(**{name: value})


@pytest.mark.parametrize("name", ["ce_correlationid", "ce_causationid", "ce_withdraws"])
def test_an_optional_header_can_be_empty_but_not_garbled(name: str) -> None:
    """An empty one is none; what is no text is refused, for it may name the event that is withdrawn."""
    assert parse(**{name: b""}) == parse(**{name: None}) == parse()
    with pytest.raises(MalformedRecord, match=f"^the header {name} is not UTF-8"):
        parse(**{name: b"\xff"})


@pytest.mark.parametrize(
    ("version", "reason"),
    [(..., "missing"), (None, "missing"), (b"0.3", "not 1.x"), (b"10.0", "not 1.x"), (b"2.0", "not 1.x")],
)
def test_the_version_must_be_1(version: Any, reason: str) -> None:
    """Another major version may mean something else by the same names."""
    with pytest.raises(MalformedRecord, match=f"^the header ce_specversion is {reason}"):
        parse(ce_specversion=version)


def test_a_later_minor_version_is_read() -> None:
    """CloudEvents promises that 1.x stays readable."""
    assert parse(ce_specversion=b"1.12") == parse()


@pytest.mark.parametrize("key", [None, b"", b"\xff"])
def test_the_key_must_be_text(key: bytes | None) -> None:
    """It is the entity id."""
    with pytest.raises(MalformedRecord, match=r"^the record's key, which is the entity id, is"):
        parse(key)


def test_the_subject_must_be_the_key() -> None:
    """If there is one: records from elsewhere may have none."""
    assert parse(b"acc-1", ce_subject=b"acc-1").entity_id == "acc-1"
    assert parse(b"acc-1").entity_id == "acc-1"
    for key, subject in ((b"acc-1", b"acc-2"), (None, b"acc-1"), (b"acc-1", None)):
        with pytest.raises(MalformedRecord, match=r"^the header ce_subject differs from the record's key"):
            parse(key, ce_subject=subject)


@given(
    st.lists(
        st.sampled_from([b"1.0", b"1", b"a", b"\xff", b"", None, b"2013-01-01T05:15:00Z"]), min_size=7, max_size=7
    ),
    st.sampled_from([b"1", b"a", b"\xff", b"", None]),
)
@example([b"1.0", b"1", b"/", b"a", b"e", b"2013-01-01T05:15:00Z", b"x"], b"e")
@example([b"1.0", b"1", b"/", b"a", b"e", b"2013-01-01T05:15:00Z", b"x"], b"f")
@example([b"1.1", b"1", b"/", b"a", b"e", b"2013-01-01T05:15:00Z", b"x"], b"e")
@example([b"1.0", b"1", b"/", b"\xff", b"e", b"2013-01-01T05:15:00Z", b"x"], b"e")
def test_the_order_of_headers_makes_no_difference(values: list[bytes | None], key: bytes | None) -> None:
    """What is read, or refused and why: those in the order in which we write them are read in a way of their own."""
    found = list(zip(USUAL, values, strict=True))
    assert _said(found, key) == _said(found[::-1], key)


def _said(found: list[tuple[str, bytes | None]], key: bytes | None) -> Meta | str:
    try:
        return headers.parse(found, key)
    except MalformedRecord as error:
        return str(error)


def test_a_header_that_stands_twice_is_malformed() -> None:
    """Readers would not agree which of the two counts. Other people's headers may."""
    twice = [*REQUIRED.items(), ("ce_id", b"2")]
    with pytest.raises(MalformedRecord, match=r"^the header ce_id stands more than once$"):
        headers.parse(twice, b"acc-1")
    assert headers.parse([*REQUIRED.items(), ("x", b"1"), ("x", b"2")], b"acc-1") == parse()


@pytest.mark.parametrize("trace", [[b"\xff"], [b""], [None], [b"00-1", b"00-2"]])
def test_a_broken_trace_keeps_no_event_from_being_applied(trace: list[bytes | None]) -> None:
    """W3C Trace Context: a traceparent that cannot be read is as if it were not there."""
    found = [*REQUIRED.items(), *(("traceparent", value) for value in trace)]
    assert headers.parse(found, b"acc-1") == parse()


def test_no_headers_at_all_are_malformed() -> None:
    """As of a record that was not written by us."""
    with pytest.raises(MalformedRecord, match=r"^the header ce_specversion is missing; a record needs the CloudEvents"):
        headers.parse(None, b"acc-1")


@pytest.mark.parametrize("argument", ["id", "source", "type", "entity_id", "correlation_id", "withdraws"])
@pytest.mark.parametrize(("value", "reason"), [("", "is empty"), ("\ud800", "holds a lone surrogate")])
def test_what_could_not_be_read_is_not_built(argument: str, value: str, reason: str) -> None:
    """The argument is named."""
    arguments: dict[str, Any] = {"id": "1", "source": "/s", "type": "t", "entity_id": "e", "occurred_at": 0}
    with pytest.raises(ArgumentError, match=f"^{argument} {reason}"):
        headers.build(**{**arguments, argument: value})


_NAMES = st.sampled_from([*REQUIRED, "ce_subject", "ce_withdraws", "traceparent"]) | st.text(max_size=3)
_VALUES = (
    st.none()
    | st.binary(max_size=30)
    | st.sampled_from(list(REQUIRED.values()))
    | st.datetimes().map(lambda t: t.isoformat().encode())
)


@given(st.lists(st.tuples(_NAMES, _VALUES), max_size=8), st.none() | st.binary(max_size=3))
def test_any_headers_are_read_or_malformed(found: list[tuple[str, bytes | None]], key: bytes | None) -> None:
    """No other error gets through."""
    for candidate in (found, [*REQUIRED.items(), *found]):
        try:
            meta = headers.parse(candidate, key)
        except RecordError:
            continue
        assert MIN_MICROS <= meta.occurred_at <= MAX_MICROS
