"""What a figure was measured on: cores and versions."""

from __future__ import annotations

import os
import platform
import sqlite3
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path


def cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """Return the processor's name, or the machine's kind where the system does not tell."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def versions(packages: Iterable[str] = (), **parts: str) -> dict[str, str]:
    """Return the versions that belong to a figure.

    :param packages: distributions of this environment.
    :param parts: the versions of everything else, by name, such as ``Kafka="4.1.1"``.
    """
    found = {"Python": platform.python_version(), "everwhen": version("everwhen")}
    found |= {package: version(package) for package in packages}
    return found | parts


def sqlite_version() -> str:
    """Return the version of the SQLite that Python brings."""
    return sqlite3.sqlite_version
