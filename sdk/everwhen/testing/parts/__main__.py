"""Run real parts in the foreground: ``python -m everwhen.testing.parts --help``."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
from typing import NoReturn

from everwhen.testing.parts import PartsError, start_kafka, start_postgres, start_registry
from everwhen.testing.parts.apicurio import fetch_registry
from everwhen.testing.parts.archive import make_archive
from everwhen.testing.parts.jars import fetch_jars
from everwhen.testing.parts.java import find_java

_DATABASE = "everwhen"


def main() -> int:
    """Do what the command line says; return the exit code."""
    arguments = _parser().parse_args()
    signal.signal(signal.SIGTERM, _leave)
    try:
        if arguments.part == "fetch":
            jars = fetch_jars()
            make_archive(find_java(), jars)
            _say(str(jars), str(fetch_registry()))
        else:
            _run(arguments.part, arguments.nodes)
    except PartsError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m everwhen.testing.parts",
        description="Run a real Kafka broker, PostgreSQL server, schema registry or all until Ctrl-C, on loopback.",
        epilog="The lines LOG=... and STORE=... fit `make demo`.",
    )
    parser.add_argument(
        "part", choices=("kafka", "postgres", "registry", "all", "fetch"), help="fetch: only prepare the jars"
    )
    parser.add_argument("--nodes", type=int, choices=(1, 3), default=1, help="Kafka nodes (default: %(default)s)")
    return parser


def _run(part: str, nodes: int) -> None:
    with contextlib.ExitStack() as running:
        if part in ("kafka", "all"):
            kafka = running.enter_context(start_kafka(nodes=3 if nodes == 3 else 1))
            _say(f"# {kafka.describe()}", f"LOG={kafka.address.url}")
        if part in ("postgres", "all"):
            postgres = running.enter_context(start_postgres())
            _say(f"# {postgres.describe()}", f"STORE={postgres.database(_DATABASE)}")
        if part in ("registry", "all"):
            registry = running.enter_context(start_registry())
            _say(f"# {registry.address.describe()}", f"EVERWHEN_REGISTRY={registry.address.url}")
        _say("# Ctrl-C ends it, and removes all data")
        while True:
            signal.pause()


def _say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def _leave(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
