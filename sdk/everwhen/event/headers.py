"""Record headers: the CloudEvents attributes of an event.

Source of the format: CloudEvents 1.0.2, "Kafka Protocol Binding", section 3.2 (binary content mode): an attribute
``x`` is the header ``ce_x``, its value UTF-8 text, and ``datacontenttype`` is ``content-type``. ``traceparent`` and
``tracestate`` are W3C Trace Context's own headers; they are written and never read here, as no event depends on them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, TypeAlias

from everwhen.errors import ArgumentError, InstantError, MalformedRecord
from everwhen.instants import EPOCH, Micros, parse_instant

Headers: TypeAlias = Sequence[tuple[str, bytes | None]]
"""A record's headers in their order, as Kafka has them."""

ID_LIMIT = 512
"""The longest entity id and event id, in bytes of UTF-8: they share an index key, which PostgreSQL bounds at 2,704."""

_NAIVE_EPOCH = EPOCH.replace(tzinfo=None)
_MICROSECOND = timedelta(microseconds=1)
_VERSION_1 = re.compile(rb"1\.\d+")
_SPECVERSION = ("ce_specversion", b"1.0")
_CONTENT_TYPE = ("content-type", b"application/avro")
_KEY = "the record's key, which is the entity id,"
_NEEDED = ("ce_id", "ce_type", "ce_time")
_new = tuple.__new__  # what a NamedTuple's own __new__ calls, in half the time
_OPTIONAL = ("ce_correlationid", "ce_causationid", "ce_withdraws")
_NAMES = ("ce_specversion", "ce_id", "ce_source", "ce_type", "ce_subject", "ce_time", "content-type")
"""The headers of a record without optional ones, as a :class:`Builder` orders them."""
_OURS = frozenset(
    {
        "ce_specversion",
        "ce_id",
        "ce_source",
        "ce_type",
        "ce_subject",
        "ce_time",
        "ce_correlationid",
        "ce_causationid",
        "ce_withdraws",
    }
)


class Meta(NamedTuple):
    """What a record's headers and key say about its event.

    :ivar id: the event id (``ce_id``).
    :ivar type: the event type's stable name (``ce_type``).
    :ivar entity_id: the record's key, which ``ce_subject`` equals where there is one.
    :ivar occurred_at: when the fact was true (``ce_time``), microseconds since the epoch.
    :ivar correlation_id: ``ce_correlationid``, if any.
    :ivar causation_id: ``ce_causationid``, if any.
    :ivar withdraws: the id of the event that this one corrects or retracts (``ce_withdraws``), if any.
    """

    id: str
    type: str
    entity_id: str
    occurred_at: Micros
    correlation_id: str | None = None
    causation_id: str | None = None
    withdraws: str | None = None


class Builder:
    """Builds the headers of records that come from one source; :func:`parse` reads them, but for the trace.

    :param source: where the events come from, a URI reference.
    :raises ArgumentError: if it is empty or no text.

    Thread-safe.
    """

    def __init__(self, source: str) -> None:
        self._source = ("ce_source", _bytes(source, "source"))
        # Without a lock: two threads that miss at once put in the same.
        self._types: dict[str, tuple[str, bytes]] = {}

    def build(
        self,
        *,
        id: str,  # noqa: A002 - CloudEvents calls it so
        type: str,  # noqa: A002 - as above
        subject: bytes,
        occurred_at: Micros,
        correlation_id: str | None = None,
        causation_id: str | None = None,
        traceparent: str | None = None,
        tracestate: str | None = None,
        withdraws: str | None = None,
    ) -> list[tuple[str, bytes]]:
        """Return the headers of a record.

        :param id: the event id, unique per entity.
        :param type: the event type's stable name.
        :param subject: the entity's id; the record's key as well.
        :param occurred_at: microseconds since the epoch.
        :param withdraws: the id of the event that this one corrects or retracts.
        :raises ArgumentError: naming the argument that is empty or no text.
        """
        kind = self._types.get(type)
        if kind is None:
            kind = self._types[type] = ("ce_type", _bytes(type, "type"))
        headers = [
            _SPECVERSION,
            ("ce_id", _bytes(id, "id")),
            self._source,
            kind,
            ("ce_subject", subject),
            ("ce_time", _format_time(occurred_at)),
            _CONTENT_TYPE,
        ]
        if correlation_id is not None:
            headers.append(("ce_correlationid", _bytes(correlation_id, "correlation_id")))
        if causation_id is not None:
            headers.append(("ce_causationid", _bytes(causation_id, "causation_id")))
        if traceparent is not None:
            headers.append(("traceparent", _bytes(traceparent, "traceparent")))
        if tracestate is not None:
            headers.append(("tracestate", _bytes(tracestate, "tracestate")))
        if withdraws is not None:
            headers.append(("ce_withdraws", _bytes(withdraws, "withdraws")))
        return headers


def build(
    *,
    id: str,  # noqa: A002 - CloudEvents calls it so
    source: str,
    type: str,  # noqa: A002 - as above
    entity_id: str,
    occurred_at: Micros,
    **optional: str | None,
) -> list[tuple[str, bytes]]:
    """Return the headers of one record, as a :class:`Builder` does for many.

    :param source: where the event comes from, a URI reference.
    :param entity_id: what the event is about; the record's key as well.
    :param optional: what :meth:`Builder.build` may be told besides.
    """
    subject = _bytes(entity_id, "entity_id")
    return Builder(source).build(id=id, type=type, subject=subject, occurred_at=occurred_at, **optional)


def parse(headers: Headers | None, key: bytes | None) -> Meta:
    """Read a record's headers.

    Headers of other names are left alone, and an optional one that is empty counts as missing. Safe to call from
    several threads.

    :param headers: the record's headers.
    :param key: the record's key: the entity id in UTF-8.
    :raises MalformedRecord: naming the header that is missing, stands twice or cannot be read, or when the key is
        missing or another one than ``ce_subject``.
    """
    headers = headers or ()
    return (_parse_usual(headers, key) if len(headers) == len(_NAMES) else None) or _parse_any(headers, key)


def _parse_usual(headers: Headers, key: bytes | None) -> Meta | None:
    """Read headers that are those of :data:`_NAMES`, as nearly all are; ``None``: they are not, or something is wrong.

    A dictionary of them would take longer than all the rest.
    """
    (a, version), (b, event_id), (c, _), (d, kind), (e, subject), (f, time), (g, _) = headers
    if (a, b, c, d, e, f, g) != _NAMES or version != b"1.0" or subject != key:
        return None
    if not (event_id and kind and key and time):
        return None
    try:
        texts = event_id.decode(), kind.decode(), key.decode(), _parse_time(time.decode()), None, None, None
    except UnicodeDecodeError:
        return None
    return _new(Meta, texts)


def _parse_any(headers: Headers, key: bytes | None) -> Meta:
    found = dict(headers)
    if len(found) != len(headers):
        _refuse_twins(headers)
    if found.get("ce_specversion") != b"1.0":
        _check_version(found.get("ce_specversion"))
    if found.get("ce_subject", key) != key:
        raise MalformedRecord("the header ce_subject differs from the record's key; both are the entity id")
    event_id, kind, time = found.get("ce_id"), found.get("ce_type"), found.get("ce_time")
    if not (event_id and kind and key and time):
        raise MalformedRecord(f"{_missing(found)} is missing or empty")
    get = found.get
    correlation, causation, withdraws = get("ce_correlationid"), get("ce_causationid"), get("ce_withdraws")
    try:
        fields = (
            event_id.decode(),
            kind.decode(),
            key.decode(),
            _parse_time(time.decode()),
            correlation.decode() if correlation else None,
            causation.decode() if causation else None,
            withdraws.decode() if withdraws else None,
        )
    except UnicodeDecodeError:
        raise MalformedRecord(f"{_undecodable(found, key)} is not UTF-8") from None
    return _new(Meta, fields)


def _bytes(text: str, argument: str) -> bytes:
    if not text:
        raise ArgumentError(f"{argument} is empty; a header needs a value")
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise ArgumentError(f"{argument} holds a lone surrogate, which is not text and has no UTF-8") from None


def _missing(found: Mapping[str, bytes | None]) -> str:
    return next((f"the header {name}" for name in _NEEDED if not found.get(name)), _KEY)


def _undecodable(found: Mapping[str, bytes | None], key: bytes) -> str:
    for value, name in [(key, _KEY), *((found.get(name), f"the header {name}") for name in _NEEDED + _OPTIONAL)]:
        try:
            (value or b"").decode()
        except UnicodeDecodeError:
            return name
    raise AssertionError("all of it is UTF-8")


def _refuse_twins(headers: Headers) -> None:
    names = [name for name, _ in headers if name in _OURS]
    for name in names:
        if names.count(name) > 1:
            raise MalformedRecord(f"the header {name} stands more than once")


def _check_version(version: bytes | None) -> None:
    if not version:
        raise MalformedRecord("the header ce_specversion is missing; a record needs the CloudEvents headers")
    if not _VERSION_1.fullmatch(version):
        raise MalformedRecord("the header ce_specversion is not 1.x, the version of CloudEvents that is understood")


def _format_time(micros: Micros) -> bytes:
    return f"{(_NAIVE_EPOCH + micros * _MICROSECOND).isoformat()}Z".encode()


def _parse_time(text: str) -> Micros:
    # Our own form: 2013-01-01T05:15:00Z, or with six decimals. Everything else takes the general way.
    size = len(text)
    if text[4:19:3] == "--T::" and (
        (size == 20 and text[19] == "Z")
        or (size == 27 and text[19] == "." and text[26] == "Z" and text[20:26].isdigit())
    ):
        try:
            since = datetime.fromisoformat(text) - EPOCH
        except ValueError:
            raise MalformedRecord("the header ce_time is not an instant; write it like 2013-01-01T05:15:00Z") from None
        # A quarter of what a division by a microsecond takes.
        return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    try:
        return parse_instant(text, "the header ce_time")
    except InstantError as error:
        raise MalformedRecord(str(error)) from None
