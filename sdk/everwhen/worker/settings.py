"""What can be set on a worker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from everwhen.errors import SettingsError


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """Settings of a :class:`~everwhen.Worker`; the defaults suit both a laptop and a server.

    :ivar group: the consumer group; by default one per generation of the projection.
    :ivar partitions: read exactly these instead of sharing the topic with the group.
    :ivar batch_records: the most records of one transaction.
    :ivar buffer_bytes: about how much memory fetched records may take before fetching pauses.
    :ivar cache_bytes: about how much memory the latest states of entities may take.
    :ivar depth: the most superseded beliefs that one batch stores for one entity; beyond it an earlier belief is
        folded when asked for.
    :ivar revoke_seconds: how long a partition that is given up waits for the batch that is being applied.
    :raises SettingsError: naming the setting that is out of range.
    """

    group: str | None = None
    partitions: Sequence[int] | None = None
    batch_records: int = 5_000
    buffer_bytes: int = 48 * 2**20
    cache_bytes: int = 64 * 2**20
    depth: int = 32
    revoke_seconds: float = 10.0

    def __post_init__(self) -> None:
        lowest = {"batch_records": 1, "buffer_bytes": 1, "cache_bytes": 0, "depth": 0, "revoke_seconds": 0}
        for name, least in lowest.items():
            if getattr(self, name) < least:
                raise SettingsError(f"worker setting {name} must be at least {least}")
        if self.group == "":
            raise SettingsError("worker setting group must not be empty")
        if self.partitions is not None and (not self.partitions or min(self.partitions) < 0):
            raise SettingsError("worker setting partitions must name at least one partition, from 0 on")
