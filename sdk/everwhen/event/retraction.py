"""Retractions: the one event class that the package brings along."""

from __future__ import annotations

from everwhen.event.model import Event


class Retracted(Event, type="everwhen.retracted"):
    """Says that an event should not have been published.

    It withdraws the event that the header ``ce_withdraws`` names and is never folded, so no handler sees it. Every
    topic can hold it without declaring it, and its contract is built in: there is no file of it under ``schemas/``.
    Publish it with :meth:`everwhen.Publisher.retract`, which writes the header.

    :ivar reason: why, for those who read the log; no answer shows it.
    """

    reason: str | None = None
