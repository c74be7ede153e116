"""What can be set on a worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from everwhen.errors import SettingsError
from everwhen.worker.setting import FLAG, NUMBERS, SECONDS, SHARE, TEXT, WHOLE, Setting, declare, settings_of

_PREFIX: Final = "EVERWHEN_"
_ONE_BY_ONE: Final = {"partitions": "partition"}
"""What is given one by one on the command line has its name from there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """Settings of a :class:`~everwhen.Worker`; the defaults suit both a laptop and a server.

    What each means stands beside it.

    :raises SettingsError: naming every setting that is out of range, one a line.
    """

    group: str | None = declare(
        TEXT,
        None,
        "the consumer group; not with several projections",
        unset="one for each generation of the projection",
        metavar="NAME",
    )
    partitions: Sequence[int] | None = declare(
        NUMBERS,
        None,
        "read exactly these partitions instead of sharing the topic with the group",
        unset="what the group is given",
    )
    batch_records: int = declare(
        WHOLE, 10_000, "the most records of one transaction; twice as many where late ones are waiting", least=1
    )
    buffer_bytes: int = declare(
        WHOLE, 40 * 2**20, "about how much memory fetched records may take before fetching pauses", least=1
    )
    cache_bytes: int = declare(
        WHOLE, 64 * 2**20, "about how much memory the latest states of entities may take", least=0
    )
    depth: int = declare(
        WHOLE,
        32,
        "the most superseded beliefs that one batch stores for one entity; beyond it an earlier belief is folded when "
        "asked for",
        least=0,
    )
    revoke_seconds: float = declare(
        SECONDS, 10.0, "how long a partition that is given up waits for the batch that is being applied", least=0
    )
    idle_seconds: float = declare(
        SECONDS,
        5.0,
        "how often the worker looks whether partitions are idle, so that known_at gets on there too",
        least=0,
    )
    clock_allowance_seconds: float = declare(
        SECONDS, 5.0, "by how much the log's clock may be behind the worker's", least=0
    )
    store_patience_seconds: float | None = declare(
        SECONDS,
        None,
        "for how long a database that is away is waited for; with 0 not at all",
        least=0,
        unset="for ever",
    )
    schema_patience_seconds: float = declare(
        SECONDS,
        60.0,
        "for how long a partition stands in front of a record whose schema is not known yet, before it stops; with 0 "
        "not at all",
        least=0,
    )
    takeover_seconds: float = declare(
        SECONDS,
        30.0,
        "how long a worker that stands still inside a batch may hold its partition: on PostgreSQL, and where the "
        "worker opens the store itself",
        least=0.1,
    )
    quarantine_limit_share: float = declare(
        SHARE,
        0.01,
        "which share of a partition's latest 10,000 records may be impossible to apply, from 0 to 1; above it, and "
        "from 20 of them on, the partition stops",
        least=0,
        most=1,
    )
    check_handlers: bool = declare(
        FLAG,
        False,
        "apply every event twice, and park its entity if that gives two different states; for development, as it costs "
        "a second fold",
    )
    accept_topic: bool = declare(
        FLAG,
        False,
        "start although the topic's settings endanger the history; each problem is logged as a warning",
    )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read those settings that are there: ``EVERWHEN_GROUP``, ``EVERWHEN_BATCH_RECORDS`` and so on.

        ``EVERWHEN_PARTITION`` holds partitions separated by spaces, as the command's option has it.

        :param environment: usually ``os.environ``.
        :raises SettingsError: naming every variable that is wrong, one a line.
        """
        found: dict[str, Any] = {}
        mistakes = []
        for name, setting in WORKER_SETTINGS.items():
            variable = variable_of(name)
            if text := environment.get(variable):
                try:
                    found[name] = setting.read(text)
                except ValueError as mistake:
                    mistakes.append(f"{variable}: {mistake}")
        if mistakes:
            raise SettingsError("\n".join(mistakes))
        return cls(**found)

    def __post_init__(self) -> None:
        faults = [(name, setting.fault(getattr(self, name))) for name, setting in WORKER_SETTINGS.items()]
        if wrong := [f"worker setting {name} {fault}" for name, fault in faults if fault]:
            raise SettingsError("\n".join(wrong))


WORKER_SETTINGS: Final[Mapping[str, Setting]] = settings_of(WorkerSettings)


def key_of(name: str) -> str:
    """Return a setting's name outside Python: in the environment, on the command line and in files."""
    return _ONE_BY_ONE.get(name, name)


def variable_of(name: str) -> str:
    """Return the environment variable of a setting."""
    return _PREFIX + key_of(name).upper()
