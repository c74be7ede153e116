"""What a registry has answered, kept in files, so that its outage stops nothing that was known before.

One file an answer, written whole or not at all; several processes can share the directory. It holds schemas and ids,
no secret. A directory that cannot be written costs a warning, no more.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from everwhen.event.schema import MAX_SCHEMA_BYTES

if TYPE_CHECKING:
    from uuid import UUID

    from everwhen.event.avro import Schema

_log = logging.getLogger("everwhen.registry")
_MOST: Final = 2 * MAX_SCHEMA_BYTES


class DiskCache:
    """The answers of one registry. Threads and processes can share it.

    :param root: the directory of all registries.
    :param url: which registry; its part of the directory is named by a digest of it.
    """

    def __init__(self, root: Path, url: str) -> None:
        self._directory = root / f"registry-{_digest(url)}"
        self._warned = False

    def schema(self, ref: int | UUID) -> Schema | None:
        """Return the schema that was kept of an id or GUID."""
        found = self._read(f"schema-{ref}.json")
        return found if isinstance(found, dict) else None

    def keep_schema(self, ref: int | UUID, schema: Schema) -> None:
        """Keep the schema of an id or GUID."""
        self._write(f"schema-{ref}.json", schema)

    def id(self, subject: str, schema: Schema) -> int | None:
        """Return the id that was kept of a schema under a subject."""
        found = self._read(_id_name(subject, schema))
        return found if type(found) is int else None

    def keep_id(self, subject: str, schema: Schema, number: int) -> None:
        """Keep the id of a schema under a subject."""
        self._write(_id_name(subject, schema), number)

    def _read(self, name: str) -> Any:
        try:
            with (self._directory / name).open("rb") as file:
                return json.loads(file.read(_MOST))
        except (OSError, ValueError, RecursionError):
            return None  # it is not there, or no answer of ours: the registry is asked, and it is written anew

    def _write(self, name: str, answer: Any) -> None:
        path = self._directory / name
        draft = path.with_name(f".{name}.{os.getpid()}")
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft.write_text(json.dumps(answer), encoding="ascii")
            draft.replace(path)
        except OSError as error:
            if not self._warned:
                self._warned = True
                _log.warning(
                    "registry.uncached %s cannot be written (%s): without it an outage of the registry stops what "
                    "starts meanwhile",
                    self._directory,
                    error.strerror,
                )


def _id_name(subject: str, schema: Schema) -> str:
    return f"id-{_digest(subject + chr(0) + json.dumps(schema, sort_keys=True))}.json"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
