"""Bugs in reading and writing an event's bytes, its headers and its instants."""

from __future__ import annotations

from functools import partial

from tests.mutation.bug import Bug

_primitives = partial(Bug, file="event/primitives.py")
_datum = partial(Bug, file="event/datum.py")
_source = partial(Bug, file="event/source.py")
_codec = partial(Bug, file="event/codec.py")
_headers = partial(Bug, file="event/headers.py")
_logical = partial(Bug, file="event/logical.py")
_schema = partial(Bug, file="event/schema.py")
_instants = partial(Bug, file="instants.py")

_HOSTILE = "tests/event/test_hostile.py::"
_CODEC = "tests/event/test_codec.py::"
_HEADERS = "tests/event/test_headers.py::"
_LOGICAL = "tests/event/test_logical.py::"
_EXACT = "tests/event/test_exact.py::"
_INSTANTS = "tests/core/test_instants.py::"
_NO_EVENT = _CODEC + "test_bytes_that_are_no_event_are_malformed"


def _lie(name: str) -> tuple[str]:
    return (f"{_HOSTILE}test_a_lie_is_refused[as closures-{name}]",)


_DATUM = [
    _datum(
        "an enum's index of -1 is the last symbol",
        before='        if not 0 <= index < count:\n            raise wrong(f"the enum',
        after='        if index >= count:\n            raise wrong(f"the enum',
        tests=_lie("an enum's index below zero"),
    ),
    _datum(
        "a union's index of -1 is the last branch",
        before='        if not 0 <= index < count:\n            raise wrong(f"the union',
        after='        if index >= count:\n            raise wrong(f"the union',
        tests=_lie("a union's branch below zero"),
    ),
    _datum(
        "bytes left over after a datum are accepted",
        before="        if end != len(data):\n",
        after="        if end > len(data):\n",
        tests=_lie("bytes left over"),
    ),
    _datum(
        "a datum may end behind its bytes",
        before="        if end != len(data):\n",
        after="        if end < len(data):\n",
        tests=(_HOSTILE + "test_a_lie_is_refused[as closures-a length beyond the value]", _NO_EVENT),
    ),
    _source(
        "bytes left over after a record are accepted",
        before="    if at != len(data):\n",
        after="    if at > len(data):\n",
        tests=(_NO_EVENT,),
    ),
    _primitives(
        "a number may be written with more bytes than it needs",
        before="            if byte == 0:\n",
        after="            if byte < 0:\n",
        tests=_lie("an over-long number"),
    ),
    _primitives(
        "a number may have more than 64 bits",
        before="            if number >> 64:\n",
        after="            if number < 0:\n",
        tests=_lie("a number of 65 bits"),
    ),
    _primitives(
        "a number may go on without end",
        before="piece = data[start : start + 10]",
        after="piece = data[start:]",
        tests=(_EXACT + "test_a_number_without_end_is_refused_at_once",),
    ),
    _primitives(
        "an int may have more than 32 bits",
        before="    if not -0x8000_0000 <= number <= 0x7FFF_FFFF:\n",
        after="    if number is None:\n",
        tests=_lie("an int of 2^50"),
    ),
    _primitives(
        "a boolean of 7 is true",
        before="    if byte > 1:\n",
        after="    if byte > 255:\n",
        tests=_lie("a boolean of 2"),
    ),
    _primitives(
        "a length may be negative",
        before="    if size < 0:\n",
        after="    if size is None:\n",
        tests=_lie("a length below zero"),
    ),
    _primitives(
        "text that is not UTF-8 is read as something else",
        before="data[start:end].decode()",
        after='data[start:end].decode(errors="replace")',
        tests=_lie("text that is not UTF-8"),
    ),
    _datum(
        "the size of a block is not looked at",
        before="    if end is not None and at != end:\n",
        after="    if at < 0:\n",
        tests=_lie("a block of another size"),
    ),
    _datum(
        "a count of items is believed",
        before="    if needed > len(data) - at:\n",
        after="    if needed < 0:\n",
        tests=_lie("2^62 entries"),
    ),
    _datum(
        "lists may hold any number of values",
        before="    if left < 0:\n",
        after="    if left is None:\n",
        tests=_lie("100,001 items"),
    ),
    _datum(
        "a map may have a key twice",
        before="            if len(entries) != expected:\n",
        after="            if len(entries) > expected:\n",
        tests=_lie("a key twice"),
    ),
    _schema(
        "a schema may contain itself",
        before="        if fullname in self._open:\n",
        after="        if not fullname:\n",
        tests=("tests/event/test_schema.py::test_a_recursive_schema_is_refused",),
    ),
]

_FRAMES = [
    _codec(
        "a tombstone is an empty value",
        before="        if value is None:\n"
        '            raise MalformedRecord("the value is null (a tombstone); an event has a value")\n',
        after='        value = value or b""\n',
        tests=(_NO_EVENT,),
    ),
    _codec(
        "a fingerprint is read backwards",
        before="self._contracts.match(fingerprint)",
        after="self._contracts.match(fingerprint[::-1])",
        tests=(_CODEC + "test_an_old_version_is_fitted_to_todays_class",),
    ),
    _codec(
        "an event is read with the newest schema instead of its writer's",
        before="_reader(match.contract, match.version)",
        after="_reader(match.contract, match.contract.newest)",
        tests=(_CODEC + "test_each_version_is_read_with_its_own_schema",),
    ),
    _codec(
        "an id of a registry is read backwards",
        before='int.from_bytes(value[1:5], "big")',
        after='int.from_bytes(value[1:5], "little")',
        tests=(_CODEC + "test_all_frames_are_read_whatever_is_written",),
    ),
    _codec(
        "a schema that cannot be read by today's class is tried all the same",
        before="        if problems:\n",
        after="        if not contract:\n",
        tests=(_CODEC + "test_a_reference_that_leads_nowhere_is_unknown",),
    ),
    _codec(
        "a value that its class refuses is shown",
        before="{_rules(error)} ({label})",
        after="{error} ({label})",
        tests=(_CODEC + "test_validation_says_field_and_rule_and_never_the_value",),
    ),
    _headers(
        "a record may be about another entity than its key",
        before='    if found.get("ce_subject", key) != key:\n',
        after='    if found.get("ce_subject", key) is None:\n',
        tests=(_HEADERS + "test_the_subject_must_be_the_key",),
    ),
    _headers(
        "a record with the usual headers may be about another entity than its key",
        before=" or subject != key:",
        after=":",
        tests=(_HEADERS + "test_the_order_of_headers_makes_no_difference",),
    ),
    _headers(
        "of a header that stands twice the last counts",
        before="    if len(found) != len(headers):\n",
        after="    if len(found) > len(headers):\n",
        tests=(_HEADERS + "test_a_header_that_stands_twice_is_malformed",),
    ),
    _headers(
        "a CloudEvent of any version is read",
        before="    if not _VERSION_1.fullmatch(version):\n",
        after="    if not version.isascii():\n",
        tests=(_HEADERS + "test_the_version_must_be_1",),
    ),
    _headers(
        "an event's time is written in milliseconds",
        before='.isoformat()}Z".encode()',
        after=".isoformat(timespec='milliseconds')}Z\".encode()",
        tests=(_HEADERS + "test_what_is_built_is_read",),
    ),
    _headers(
        "what a correction withdraws is not written",
        before='        headers.append(("ce_withdraws", _bytes(withdraws, "withdraws")))\n',
        after="        pass\n",
        tests=(_HEADERS + "test_what_is_built_is_read",),
    ),
]

_VALUES = [
    _logical(
        "money is read as a float",
        before="        return Decimal(unscaled).scaleb(-scale, context)\n",
        after="        return Decimal(str(unscaled / 10**scale))\n",
        tests=(_LOGICAL + "test_decimals_have_the_bytes_that_fastavro_gives_them",),
    ),
    _logical(
        "money is rounded when it is written",
        before="traps=[Inexact, InvalidOperation])",
        after="traps=[InvalidOperation])",
        tests=(_EXACT + "test_money_is_exact_or_refused",),
    ),
    _logical(
        "money of any number of digits is read",
        before="if not data or not -bound < unscaled < bound:",
        after="if not data:",
        tests=(_LOGICAL + "test_bytes_beyond_the_precision_are_refused",),
    ),
    _logical(
        "an instant is read in the zone of the machine",
        before="    return _EPOCH + timedelta(0, 0, micros)\n",
        after="    return datetime.fromtimestamp(micros / 1_000_000).replace(tzinfo=UTC)\n",
        tests=(_LOGICAL + "test_instants_are_exact_to_the_ends_of_the_calendar",),
    ),
    _instants(
        "a naive time is taken for UTC",
        before='        raise InstantError(f"{argument} is a naive datetime; give it a time zone, for example '
        'tzinfo=timezone.utc")\n',
        after="        value = value.replace(tzinfo=UTC)\n",
        tests=(_INSTANTS + "test_what_is_not_an_exact_aware_instant_is_refused_naming_the_argument",),
    ),
    _instants(
        "a text without an offset is taken for UTC",
        before=r"([Zz]|[+-]\d{2}:\d{2})",
        after=r"([Zz]|[+-]\d{2}:\d{2}|(?!.))",
        tests=(_INSTANTS + "test_text_that_is_not_an_instant_is_refused_naming_the_argument",),
    ),
    _instants(
        "an offset is not looked at",
        before="(plain.astimezone(UTC) - EPOCH)",
        after="(plain.replace(tzinfo=UTC) - EPOCH)",
        tests=(_INSTANTS + "test_an_offset_does_not_change_the_instant",),
    ),
    _instants(
        "a time that is finer than a microsecond is cut off",
        before='    if digits[6:] != "000":\n',
        after='    if digits == "":\n',
        tests=(_INSTANTS + "test_text_that_is_not_an_instant_is_refused_naming_the_argument",),
    ),
    _instants(
        "an instant loses its last digit on the way back",
        before="    return EPOCH + micros * _MICROSECOND\n",
        after="    return datetime.fromtimestamp(micros / 1_000_000, UTC)\n",
        tests=(_INSTANTS + "test_every_instant_survives_both_ways",),
    ),
]

BUGS = [*_DATUM, *_FRAMES, *_VALUES]
