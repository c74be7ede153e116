"""Tokens: what a reader must have seen, as a short text that a client carries from a write to its next read.

There are two kinds. A :class:`PositionToken` names a record of the log: a projection has reached it once its checkpoint
is past that record. An :class:`EventToken` names an event that may not stand in the log yet, as it was written to an
outbox: a projection has reached it once the entity's timeline knows the event's id.

A token as text is a prefix that says kind and version of the format, and base64url without padding (RFC 4648 section 5)
of a JSON array; so it may stand in a URL, a header or a cookie as it is. It is neither signed nor encrypted: whoever
holds one can read the names in it, and can make another one.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

from everwhen.errors import ArgumentError
from everwhen.ports.log import UNKNOWN_ID, TopicDescription
from everwhen.positions import Position

_POSITION: Final = "p1."
_EVENT: Final = "e1."
_LENGTH_LIMIT: Final = 4096
"""Characters; the longest that is made here takes about 2000, for ids of 512 bytes each."""
_ID_LIMIT: Final = 512
"""Bytes of an id, as for publishing."""


@dataclass(frozen=True, slots=True)
class PositionToken:
    """A record that stands in the log. ``str()`` gives the text."""

    position: Position
    cluster: int | None = None
    """:func:`digest` of the cluster's id; ``None``: any, as the log could not tell."""
    topic_id: int | None = None
    """The same of the topic's id."""

    @classmethod
    def of(cls, position: Position, topic: TopicDescription) -> PositionToken:
        """Return the token of a record of this topic."""
        return cls(position, digest(topic.cluster_id), digest(topic.topic_id))

    @property
    def topic(self) -> str:
        """The topic's name."""
        return self.position.topic

    @property
    def described(self) -> str:
        """The record, for messages."""
        return str(self.position)

    def __str__(self) -> str:
        return _encoded(_POSITION, [*self.position, self.cluster, self.topic_id])


@dataclass(frozen=True, slots=True)
class EventToken:
    """An event of an entity, wherever it stands by now. ``str()`` gives the text."""

    topic: str
    entity_id: str
    event_id: str

    @property
    def described(self) -> str:
        """The event, for messages."""
        return f"event {self.event_id} of entity {self.entity_id!r}"

    def __str__(self) -> str:
        return _encoded(_EVENT, [self.topic, self.entity_id, self.event_id])


Token: TypeAlias = PositionToken | EventToken


class HasToken(Protocol):
    """A receipt: anything that knows the token of what was written."""

    @property
    def token(self) -> str:
        """The token as text; may block until it is known."""
        ...


Written: TypeAlias = str | Position | Token | HasToken
"""What a reader can be asked to have seen: a token or its text, a receipt, or a bare position."""


def token_of(written: Written) -> Token:
    """Return the token of what was written; of a receipt, blocks until the log has acknowledged it.

    :raises ArgumentError: for a text that is no token.
    :raises PublishError: of a receipt, if the log did not take the event.
    """
    if isinstance(written, PositionToken | EventToken):
        return written
    if isinstance(written, Position):
        return PositionToken(written)
    return read_token(written if isinstance(written, str) else written.token)


def read_token(text: str) -> Token:
    """Read a token's text, which may come from anyone.

    :raises ArgumentError: if it is none.
    """
    try:
        kind, body = text[:3], text[3:]
        if len(text) > _LENGTH_LIMIT:
            raise ValueError
        parts = json.loads(base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True))
        return _READERS[kind](*parts)
    except (ValueError, TypeError, KeyError, RecursionError, binascii.Error):
        raise ArgumentError("this is not a token; use the text that receipt.token gave, unchanged") from None


def digest(identifier: str) -> int | None:
    """Return what a token keeps of the id of a cluster or a topic: its CRC-32, which is enough to notice another one.

    ``None`` for one that is not known.
    """
    return None if identifier == UNKNOWN_ID else zlib.crc32(identifier.encode())


def _encoded(prefix: str, parts: list[Any]) -> str:
    text = json.dumps(parts, separators=(",", ":"), ensure_ascii=False)
    return prefix + base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _position(topic: Any, partition: Any, offset: Any, cluster: Any, topic_id: Any) -> PositionToken:
    for number, limit in ((partition, 2**31), (offset, 2**63), (cluster or 0, 2**32), (topic_id or 0, 2**32)):
        if type(number) is not int or not 0 <= number < limit:
            raise ValueError
    return PositionToken(Position(_name(topic), partition, offset), cluster, topic_id)


def _event(topic: Any, entity_id: Any, event_id: Any) -> EventToken:
    return EventToken(_name(topic), _name(entity_id), _name(event_id))


def _name(text: Any) -> str:
    # What no database takes is refused here: a NUL, half of a surrogate pair (encode() raises a ValueError).
    if not isinstance(text, str) or not 0 < len(text.encode()) <= _ID_LIMIT or "\0" in text:
        raise ValueError
    return text


_READERS: Final[dict[str, Callable[..., Token]]] = {_POSITION: _position, _EVENT: _event}
