"""What a relay tells whoever watches it: the seam for metrics and health, without a dependency."""

from __future__ import annotations

from everwhen.errors import EverwhenError
from everwhen.ports.outbox import Backlog
from everwhen.worker import Observer


class RelayObserver(Observer):
    """Is told what a relay does; this one does nothing with it.

    ``looped``, ``store_failed`` and ``store_away`` are those of a worker's observer. Methods are called from the
    relay's thread, some at each turn and none for each event. They must be quick, and must not raise.
    """

    def shared(self, shards: int) -> None:
        """Shards were shared out; it has so many now."""

    def sent(self, events: int, seconds: float) -> None:
        """A batch stands in the log, and that is noted; it took so long from reading on."""

    def log_away(self, *, away: bool) -> None:
        """The log has answered for nothing for some seconds, though events wait for it; or it answers again."""

    def fenced(self) -> None:
        """Another relay had taken a shard in the middle."""

    def refused(self, error: EverwhenError) -> None:
        """The log did not take an event, and the relay stops."""

    def removed(self, rows: int) -> None:
        """So many rows that were sent long ago lost their payload, and the older ones are gone."""

    def waiting(self, backlog: Backlog) -> None:
        """The outbox was asked how much waits."""
