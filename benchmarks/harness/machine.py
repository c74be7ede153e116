"""What a figure was measured on: cores and versions."""

from __future__ import annotations

import os
import platform
import sqlite3
import sys
import sysconfig
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


def python() -> str:
    """Return Python's version, and say behind it if what users have is faster."""
    return platform.python_version() + ("" if is_optimized() else " (built without optimizations)")


def is_optimized() -> bool:
    """Say whether this interpreter was compiled with profiles of its own runs, as those are that most users have."""
    return optimizes(sysconfig.get_config_var("CONFIG_ARGS"), sys.base_prefix)


def optimizes(arguments: str | None, prefix: str) -> bool:
    """Say whether a build of Python makes an interpreter as quick as those that most users have.

    Those of python.org, of its container images, of conda and of uv have it among the arguments of their build
    (``--enable-optimizations``: Python's documentation, "Configure Python"); distributions do it in ways of their own.
    A plain ``./configure`` does not, and neither does pyenv: a worker takes a quarter longer then.

    :param arguments: what it was configured with; ``None`` on Windows, where every release has it.
    :param prefix: where it is installed.
    """
    return arguments is None or "--enable-optimizations" in arguments or prefix == "/usr"


def versions(packages: Iterable[str] = (), **parts: str) -> dict[str, str]:
    """Return the versions that belong to a figure.

    :param packages: distributions of this environment.
    :param parts: the versions of everything else, by name, such as ``Kafka="4.1.1"``.
    """
    found = {"Python": python(), "everwhen": version("everwhen")}
    found |= {package: version(package) for package in packages}
    return found | parts


def sqlite_version() -> str:
    """Return the version of the SQLite that Python brings."""
    return sqlite3.sqlite_version


if __name__ == "__main__":
    # For a script that looks for a quick Python, so nothing but the standard library is imported here.
    sys.exit(not is_optimized())
