"""What can be set on a relay."""

from __future__ import annotations

from dataclasses import dataclass

from everwhen.errors import SettingsError


@dataclass(frozen=True, slots=True, kw_only=True)
class RelaySettings:
    """Settings of a relay.

    :ivar batch_events: about how many events are read, sent and noted together.
    :ivar poll_seconds: how long a relay without work waits before it looks again, where nobody wakes it.
    :ivar lease_seconds: for how long a relay may be silent before others take its shards.
    :ivar keep_seconds: how long a row stays once its event was sent.
    :ivar store_patience_seconds: for how long a database that is away is waited for; ``None``: any time.
    :raises SettingsError: for a number that cannot be meant.
    """

    batch_events: int = 2000
    poll_seconds: float = 0.5
    lease_seconds: float = 15.0
    keep_seconds: float = 3600.0
    store_patience_seconds: float | None = None

    def __post_init__(self) -> None:
        if self.batch_events < 1 or self.poll_seconds <= 0 or self.lease_seconds <= 0 or self.keep_seconds < 0:
            raise SettingsError("batch_events, poll_seconds and lease_seconds of a relay must be greater than 0")
