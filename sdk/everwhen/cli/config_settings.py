"""Everything that can be set on the daemon: the one table behind options, variables, files and documentation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from everwhen.cli.logs import FORMATS
from everwhen.worker.setting import FLAG, SECONDS, TEXT, WHOLE, Setting, declare, settings_of
from everwhen.worker.settings import WORKER_SETTINGS, key_of

FILE_NAME: Final = "everwhen.toml"
FILE_VARIABLE: Final = "EVERWHEN_CONFIG"
KAFKA: Final = "kafka"
"""The table of librdkafka's own settings in a file, and the option and variable that take them one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonSettings:
    """Settings of ``everwhen worker`` besides those of each worker in it."""

    log: str | None = declare(
        TEXT,
        None,
        "where the events are: kafka://HOST:PORT[,HOST:PORT] or sqlite:///FILE",
        unset="needed",
        metavar="URL",
    )
    store: str | None = declare(
        TEXT,
        None,
        "where the timelines are: postgresql+psycopg://USER@HOST/DATABASE or sqlite:///FILE",
        unset="needed",
        metavar="URL",
    )
    registry: str | None = declare(
        TEXT,
        None,
        "the schema registry that records name schemas of: its URL and, behind it and separated by spaces, further "
        "settings of confluent-kafka's client as NAME=VALUE. Needs everwhen[registry]",
        unset="none",
        metavar="URL",
    )
    processes: int = declare(
        WHOLE,
        1,
        "how many processes share the work on this machine, in one consumer group; partitions that are named are dealt "
        "out to them",
        least=1,
        most=1024,
    )
    until_end: bool = declare(FLAG, False, "stop once everything is projected that stood in the log at the start")
    log_format: str | None = declare(
        TEXT,
        None,
        "how to log to standard error: text, or json with an object in each line",
        choices=FORMATS,
        unset="text on a terminal, json elsewhere",
        metavar="FORMAT",
    )
    http: str | None = declare(
        TEXT,
        None,
        "serve /metrics for Prometheus, /livez and /readyz there; only a port is one of the loopback interface. Of "
        "several processes the first takes the port, and each other one the next. Needs everwhen[metrics]. Whoever "
        "reaches the port can read them",
        unset="not served",
        metavar="HOST:PORT",
    )
    ready_lag: float | None = declare(
        SECONDS,
        None,
        "/readyz is 503 while a partition is further behind than this",
        least=0,
        unset="any time",
    )
    live_fetch: float = declare(
        SECONDS,
        120.0,
        "/livez is 503 when the thread that fetches took no turn for longer. It takes ten a second, but may wait for a "
        "database that says nothing",
        least=1,
    )
    live_loop: float = declare(
        SECONDS,
        600.0,
        "/livez is 503 when the thread that applies took no turn for longer. It takes none inside a batch",
        least=1,
    )


DAEMON_SETTINGS: Final[Mapping[str, Setting]] = settings_of(DaemonSettings)
SETTINGS: Final[Mapping[str, Setting]] = {
    key_of(name): setting for name, setting in {**DAEMON_SETTINGS, **WORKER_SETTINGS}.items()
}
"""By their names on the command line (with ``-``), in the environment (in capitals) and in files."""


def flag_of(key: str) -> str:
    """Return the option of a setting."""
    return f"--{key.replace('_', '-')}"


def shown_default(setting: Setting) -> str:
    """Return the default in words."""
    default = setting.default
    if default is None:
        return setting.unset
    if isinstance(default, bool):
        return "true" if default else "false"
    return f"{default:,}" if isinstance(default, int) else f"{default:g}"
