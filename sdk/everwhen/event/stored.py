"""The bytes of an event as they are stored: always in the frame that needs nothing but the contract files.

An event's bytes are kept beside the states, so that it can be folded again: when a late one comes, when a reader asks
what was believed, when a projection is rolled back. None of them may need a registry, which can be away or gone, or the
rule of a foreign record, which can have changed. So whatever the log holds, what is stored is Avro's single-object
encoding: the same datum behind another frame where a contract file has the writer's schema, and the event as it was
read, written anew, where none has. The record and the contracts alone decide it, so a rebuild stores the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from everwhen.errors import ArgumentError, MalformedRecord
from everwhen.event.codec import Codec, SchemaIds, SchemaRef, is_own, own_frame, referred

if TYPE_CHECKING:
    from everwhen.event.contracts import Match
    from everwhen.event.headers import Headers
    from everwhen.event.model import Event
    from everwhen.event.topic import Topic


class StoredValues:
    """Gives the values of a topic's records the form in which they are stored.

    :param topic: whose contracts there are.
    :param ids: a schema registry.

    Used by one thread.
    """

    def __init__(self, topic: Topic, ids: SchemaIds | None = None) -> None:
        self._own = topic.codec
        self._contracts = topic.contracts
        self._codec = Codec(topic.contracts, ids)
        self._frames: dict[SchemaRef, bytes | None] = {}

    def of(self, value: bytes, headers: Headers | None) -> bytes:
        """Return a value as it is stored; one that is in no frame stays as it is, for the codec to refuse.

        :raises MalformedRecord: if the bytes are not those of an event.
        :raises UnknownSchema: if the writer's schema is not known, or today's class cannot read it.
        """
        reference = None if is_own(value) else referred(value, headers)
        if reference is None:
            return value
        ref, start = reference
        if ref not in self._frames:
            self._frames[ref] = self._frame(self._codec.look_up(ref))
        frame = self._frames[ref]
        return self.written(self._codec.decode(value, headers)) if frame is None else frame + value[start:]

    def written(self, event: Event) -> bytes:
        """Return an event that came from elsewhere as it is stored.

        :raises MalformedRecord: if it holds what its contract cannot.
        """
        try:
            return self._own.restored(event)
        except ArgumentError as error:
            raise MalformedRecord(f"the event has no Avro form: {error}") from None

    def _frame(self, match: Match) -> bytes | None:
        known = self._contracts.match(match.version.fingerprint)
        return own_frame(match.version) if known is not None and known.version is match.version else None
