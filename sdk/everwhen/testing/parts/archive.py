"""A class-data archive for the broker: the JVM maps its classes instead of loading them, and starts in half the time.

It is made by a trial run, once per Java, and kept beside the jars. A JVM that it does not fit ignores it.
"""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from everwhen.testing.parts.brokers import Cluster, Program

if TYPE_CHECKING:
    from everwhen.testing.parts.java import Java

_QUIET = ("-Xlog:cds=off", "-Xlog:cds*=off")


def program(java: Java, jars: Path) -> Program:
    """The broker's program, with the archive if there is one."""
    archive = _archive(java, jars)
    return Program(java, jars, (f"-XX:SharedArchiveFile={archive}", *_QUIET) if archive.exists() else ())


def make_archive(java: Java, jars: Path) -> None:
    """Make the archive (50 MB, about 8 s) if there is none. Two processes may do this at once; the last rename wins."""
    archive = _archive(java, jars)
    if archive.exists():
        return
    with tempfile.TemporaryDirectory(dir=archive.parent, prefix="archive-") as scratch:
        draft = Path(scratch, archive.name)
        cluster = Cluster(Program(java, jars, (f"-XX:ArchiveClassesAtExit={draft}", *_QUIET)))
        try:
            cluster.start()
            cluster.nodes[0].stop()  # in order: the JVM writes the archive at its exit
        finally:
            cluster.stop()
        with contextlib.suppress(FileNotFoundError):  # a JVM that writes none is slower, but as good
            draft.replace(archive)


def _archive(java: Java, jars: Path) -> Path:
    return jars.with_name(f"{jars.name}-java-{java.version}.jsa")
