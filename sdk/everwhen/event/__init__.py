"""Events: their classes, the Avro contracts they keep, the topics they live in, and their form on the wire.

Pure: nothing here opens a connection; only the contract files of a topic are read. :mod:`~everwhen.event.codec` and
:mod:`~everwhen.event.contracts` load fastavro and are therefore imported where they are used.
"""

from everwhen.event.avro import Float32, Int32
from everwhen.event.envelope import Envelope
from everwhen.event.model import Event, event_type
from everwhen.event.retraction import Retracted
from everwhen.event.topic import Topic

__all__ = ["Envelope", "Event", "Float32", "Int32", "Retracted", "Topic", "event_type"]
