"""What can be set on a worker."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from everwhen.errors import SettingsError

_PREFIX = "EVERWHEN_"
_LOWEST = {
    "batch_records": 1,
    "buffer_bytes": 1,
    "cache_bytes": 0,
    "depth": 0,
    "revoke_seconds": 0,
    "idle_seconds": 0,
    "clock_allowance_seconds": 0,
    "store_patience_seconds": 0,
    "schema_patience_seconds": 0,
    "takeover_seconds": 0.1,
    "quarantine_limit_share": 0,
}
_SECONDS = tuple(name for name in _LOWEST if name.endswith("_seconds"))


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """Settings of a :class:`~everwhen.Worker`; the defaults suit both a laptop and a server.

    :ivar group: the consumer group; by default one per generation of the projection.
    :ivar partitions: read exactly these instead of sharing the topic with the group.
    :ivar batch_records: the most records of one transaction; four times as many where late ones are waiting.
    :ivar buffer_bytes: about how much memory fetched records may take before fetching pauses.
    :ivar cache_bytes: about how much memory the latest states of entities may take.
    :ivar depth: the most superseded beliefs that one batch stores for one entity; beyond it an earlier belief is
        folded when asked for.
    :ivar revoke_seconds: how long a partition that is given up waits for the batch that is being applied.
    :ivar idle_seconds: how often the worker looks whether partitions are idle, so that ``known_at`` gets on there too.
    :ivar clock_allowance_seconds: by how much the log's clock may be behind the worker's.
    :ivar store_patience_seconds: for how long a database that is away is waited for; by default for ever, with 0 not at
        all.
    :ivar schema_patience_seconds: for how long a partition stands in front of a record whose schema is not known yet,
        before it stops; with 0 not at all.
    :ivar takeover_seconds: how long a worker that stands still inside a batch may hold its partition: on PostgreSQL,
        and where the worker opens the store itself.
    :ivar quarantine_limit_share: which share of a partition's latest 10,000 records may be impossible to apply, from 0
        to 1; above it, and from 20 of them on, the partition stops.
    :ivar check_handlers: apply every event twice, and park its entity if that gives two different states; for
        development, as it costs a second fold.
    :ivar accept_topic: start although the topic's settings endanger the history; each problem is logged as a warning.
    :raises SettingsError: naming the setting that is out of range.
    """

    group: str | None = None
    partitions: Sequence[int] | None = None
    batch_records: int = 5_000
    buffer_bytes: int = 48 * 2**20
    cache_bytes: int = 64 * 2**20
    depth: int = 32
    revoke_seconds: float = 10.0
    idle_seconds: float = 5.0
    clock_allowance_seconds: float = 5.0
    store_patience_seconds: float | None = None
    schema_patience_seconds: float = 60.0
    takeover_seconds: float = 30.0
    quarantine_limit_share: float = 0.01
    check_handlers: bool = False
    accept_topic: bool = False

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read those settings that are there: ``EVERWHEN_GROUP``, ``EVERWHEN_BATCH_RECORDS`` and so on.

        ``EVERWHEN_PARTITION`` holds partitions separated by spaces, as the command's option has it.

        :param environment: usually ``os.environ``.
        :raises SettingsError: naming the variable whose text cannot be read.
        """
        found: dict[str, Any] = {}
        for name, read in _READERS.items():
            variable = _PREFIX + ("PARTITION" if name == "partitions" else name.upper())
            if text := environment.get(variable):
                try:
                    found[name] = read(text)
                except (ValueError, KeyError):
                    raise SettingsError(f"{variable}={text!r} cannot be read as {_KINDS[name]}") from None
        return cls(**found)

    def __post_init__(self) -> None:
        given = {name: value for name in _LOWEST if (value := getattr(self, name)) is not None}
        for name in given.keys() & _SECONDS:
            if not math.isfinite(given[name]):
                raise SettingsError(f"worker setting {name} must be a number of seconds")
        if not self.quarantine_limit_share <= 1:
            raise SettingsError("worker setting quarantine_limit_share must be at most 1")
        for name, value in given.items():
            if value < (least := _LOWEST[name]):
                raise SettingsError(f"worker setting {name} must be at least {least}")
        if self.group == "":
            raise SettingsError("worker setting group must not be empty")
        if self.partitions is not None and (not self.partitions or min(self.partitions) < 0):
            raise SettingsError("worker setting partitions must name at least one partition, from 0 on")


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split()))


def _flag(text: str) -> bool:
    return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}[text.lower()]


_READERS: dict[str, Callable[[str], Any]] = {
    "group": str,
    "partitions": _numbers,
    "batch_records": int,
    "buffer_bytes": int,
    "cache_bytes": int,
    "depth": int,
    "revoke_seconds": float,
    "idle_seconds": float,
    "clock_allowance_seconds": float,
    "store_patience_seconds": float,
    "schema_patience_seconds": float,
    "takeover_seconds": float,
    "quarantine_limit_share": float,
    "check_handlers": _flag,
    "accept_topic": _flag,
}
_KINDS = dict.fromkeys(_READERS, "a whole number") | {
    "partitions": "whole numbers separated by spaces",
    **dict.fromkeys(_SECONDS, "a number of seconds"),
    "quarantine_limit_share": "a share from 0 to 1",
    "check_handlers": "true or false",
    "accept_topic": "true or false",
}
