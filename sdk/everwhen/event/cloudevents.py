"""Records that hold a CloudEvent in another form than a publisher of ours writes.

Source: CloudEvents 1.0.2, "Kafka Protocol Binding", sections 3.2 (binary content mode) and 3.3 (structured content
mode), and "JSON Event Format", sections 3.1 (``data_base64``) and 3.2 (the envelope).

Two are read, whoever wrote them:

- *structured*: ``content-type: application/cloudevents+json``, and the value has everything. ``data`` is the event as a
  JSON object; ``data_base64`` is its bytes, which ``datacontenttype`` says to be JSON or Avro.
- *binary with JSON*: the ``ce_`` headers, ``content-type: application/json``, and the value is the event as a JSON
  object.

The entity's id is the record's key; where there is none, the ``subject``.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from everwhen.errors import MalformedRecord
from everwhen.event.headers import Headers
from everwhen.event.plain import read_json

STRUCTURED: Final = "application/cloudevents+json"
_JSON: Final = re.compile(r"(application|text)/([\w.-]+\+)?json")
_ATTRIBUTES: Final = (
    *("specversion", "id", "source", "type", "subject", "time"),
    *("correlationid", "causationid", "withdraws"),
)


class Loose(NamedTuple):
    """A CloudEvent whose data is not in the form that is stored.

    :ivar headers: its attributes as headers of the binary mode.
    :ivar data: what JSON holds, or bytes in one of the codec's frames.
    """

    headers: list[tuple[str, bytes | None]]
    key: bytes | None
    type: str
    data: Any
    is_json: bool


def content_type(headers: Headers) -> str:
    """Return the media type of a record's value without its parameters; empty if there is none."""
    for name, value in headers:
        if name.lower() == "content-type" and value:
            return value.partition(b";")[0].strip().lower().decode("ascii", "replace")
    return ""


def is_json(media_type: str) -> bool:
    """Say whether a media type is one of JSON (RFC 8259, RFC 6839 section 3.1)."""
    return _JSON.fullmatch(media_type) is not None and media_type != STRUCTURED


def structured(value: bytes, key: bytes | None) -> Loose:
    """Read a record of the structured mode.

    :raises MalformedRecord: if it is none.
    """
    event = read_json(value, "the structured CloudEvent")
    if not isinstance(event, Mapping):
        raise MalformedRecord("the structured CloudEvent is no JSON object")
    headers: list[tuple[str, bytes | None]] = [
        (f"ce_{name}", _attribute(event, name)) for name in _ATTRIBUTES if event.get(name) is not None
    ]
    data, of_json = _data(event)
    return Loose(headers, key or _attribute(event, "subject"), _text(event.get("type")), data, of_json)


def binary(value: bytes, headers: Headers, key: bytes | None) -> Loose:
    """Read a record of the binary mode whose value is JSON.

    :raises MalformedRecord: if it is none.
    """
    found = dict(headers)
    named = (found.get("ce_type") or b"").decode("utf-8", "replace")
    return Loose([*headers], key or found.get("ce_subject"), named, read_json(value, "the value"), True)


def _data(event: Mapping[str, Any]) -> tuple[Any, bool]:
    media_type = _text(event.get("datacontenttype")).partition(";")[0].strip().lower()
    if "data_base64" not in event:
        return event.get("data"), True
    try:
        data = base64.b64decode(_text(event["data_base64"]), validate=True)
    except (binascii.Error, ValueError):
        raise MalformedRecord("data_base64 of the structured CloudEvent is not base64") from None
    return (read_json(data, "data_base64"), True) if is_json(media_type) else (data, False)


def _attribute(event: Mapping[str, Any], name: str) -> bytes | None:
    try:
        return _text(event.get(name)).encode() or None
    except UnicodeEncodeError:
        raise MalformedRecord(f"the attribute {name} of the structured CloudEvent is no text") from None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
