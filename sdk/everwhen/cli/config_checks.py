"""What settings must be together, beyond each of them by itself."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

from everwhen.cli.config_resolve import Found, Resolution
from everwhen.cli.config_settings import FILE_NAME, flag_of
from everwhen.cli.options import kafka_target
from everwhen.cli.place import place_of
from everwhen.connect import LogTarget, open_log, open_store
from everwhen.errors import EverwhenError, SettingsError
from everwhen.registry import Registry
from everwhen.worker.settings import variable_of

_EXAMPLES: Final = {
    "log": "kafka://localhost:9092 or sqlite:///log.db",
    "store": "postgresql+psycopg://HOST/DATABASE or sqlite:///bank.db",
}
_KAFKA_SCHEME: Final = "kafka://"
_LAST_PORT: Final = 65535


def check(resolution: Resolution) -> None:
    """Raise unless a daemon can be started with these settings; nothing is connected to.

    :raises SettingsError: naming every mistake, one a line.
    """
    mistakes = [*resolution.mistakes, *_missing(resolution), *_log(resolution), *_store(resolution)]
    mistakes += [*_registry(resolution), *_http(resolution), *_processes(resolution)]
    if mistakes:
        raise SettingsError("\n".join(mistakes))


def _missing(resolution: Resolution) -> Iterator[str]:
    for key, example in _EXAMPLES.items():
        if resolution.found[key].value is None:
            yield (
                f"no {key} is given; set {flag_of(key)}, {variable_of(key)} or {key} in {FILE_NAME}, "
                f"for example {example}"
            )


def _log(resolution: Resolution) -> Iterator[str]:
    log, kafka = resolution.found["log"], resolution.kafka
    if log.value is None:
        return
    if kafka and not log.value.startswith(_KAFKA_SCHEME):
        first = next(iter(kafka.values()))
        yield f"{first.where}: settings of librdkafka need a log in Kafka, and {log.where} is another one"
        return
    problems = [*_refused(log, log.value)]
    for name, found in kafka.items():
        problems += _refused(found, {"bootstrap.servers": "localhost:9092", name: found.value})
    if kafka and not problems:
        together = kafka_target(log.value, {name: found.value for name, found in kafka.items()})
        problems += _refused(log, together)
    yield from problems


def _refused(found: Found, target: LogTarget) -> Iterator[str]:
    try:
        open_log(target).close()
    except EverwhenError as error:
        yield f"{found.where}: {error}"


def _store(resolution: Resolution) -> Iterator[str]:
    store = resolution.found["store"]
    if store.value is not None:
        try:
            open_store(store.value).close()
        except EverwhenError as error:
            yield f"{store.where}: {error}"


def _registry(resolution: Resolution) -> Iterator[str]:
    registry = resolution.found["registry"]
    if registry.value is not None:
        try:
            Registry(registry.value).client().close()
        except EverwhenError as error:
            yield f"{registry.where}: {error}"


def _http(resolution: Resolution) -> Iterator[str]:
    http, processes = resolution.found["http"], resolution.found["processes"].value
    if http.value is None:
        return
    try:
        _, port = place_of(http.value)
    except SettingsError as error:
        yield f"{http.where}: {error}"
        return
    if port + processes - 1 > _LAST_PORT:
        yield f"{http.where}: {processes} processes take the ports from {port} on, and there is none above {_LAST_PORT}"


def _processes(resolution: Resolution) -> Iterator[str]:
    processes, partitions = resolution.found["processes"], resolution.found["partition"]
    if processes.value > 1 and not hasattr(os, "fork"):
        yield f"{processes.where}: this system cannot fork; start several workers instead"
    if partitions.value is not None and len(set(partitions.value)) < processes.value:
        yield (
            f"{processes.where}: {processes.value} processes for {len(set(partitions.value))} named partitions "
            f"({partitions.where}); give no more processes than partitions"
        )
