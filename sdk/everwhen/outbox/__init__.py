"""Publishing inside a transaction of the service's own, and the relay that takes the events on to the log."""

from __future__ import annotations

from everwhen.outbox.outbox import SIZE_LIMIT, Outbox
from everwhen.outbox.receipt import NEW, OutboxReceipt
from everwhen.outbox.relay import Relay
from everwhen.outbox.settings import RelaySettings
from everwhen.outbox.watching import RelayObserver

__all__ = ["NEW", "SIZE_LIMIT", "Outbox", "OutboxReceipt", "Relay", "RelayObserver", "RelaySettings"]
