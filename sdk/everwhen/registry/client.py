"""What is asked of a registry, and its client's errors as ours: the one module that knows confluent-kafka's client.

Source of the codes: Confluent's documentation, "Schema Registry API reference", section "Errors".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID

from everwhen.errors import (
    EverwhenError,
    MissingExtra,
    RegistryError,
    RegistryRefused,
    RegistryUnavailable,
    SchemaRefused,
    SettingsError,
    UnknownSchema,
)
from everwhen.registry.references import inlined

if TYPE_CHECKING:
    from everwhen.event.avro import Schema
    from everwhen.registry.registry import Registry

_UNKNOWN: Final = (40401, 40402, 40403)
"""No such subject, version, schema."""
_REFUSED: Final = (409, 422)
_SHUT: Final = (401, 403)
_NO_TOKEN: Final = ("invalid_client", "invalid_grant", "invalid_scope", "unauthorized_client")
"""What a token's server says of wrong credentials: RFC 6749, section 5.2."""
_REMEDY: Final = (
    "check the credentials in EVERWHEN_REGISTRY or in the registry's settings (basic.auth.user.info, bearer.auth.*), "
    "and what they may do"
)
_LONGEST: Final = 500
"""How much of a registry's own words a message holds."""


class Registered(NamedTuple):
    """One schema under its subject."""

    subject: str
    version: int
    id: int
    schema: Schema


class RegistryClient:
    """Asks a registry. Every call blocks for as long as the client's ``timeout`` and ``max.retries`` say.

    Threads can share it.

    :param registry: which one.
    :raises MissingExtra: if ``everwhen[registry]`` is not installed.
    :raises SettingsError: if the client does not take its settings.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        try:
            from confluent_kafka.schema_registry import Schema as Text
            from confluent_kafka.schema_registry import SchemaRegistryClient
        except ImportError:
            raise MissingExtra("a schema registry needs: pip install 'everwhen[registry]'") from None
        self._text = Text
        try:
            self._client = SchemaRegistryClient(dict(registry.settings))
        except Exception as error:  # noqa: BLE001 - its client, its TLS and its HTTP client each have their own
            raise SettingsError(
                f"the registry's client does not take its settings: {self._words(error)}; "
                "they are those of confluent-kafka's SchemaRegistryClient"
            ) from None

    def close(self) -> None:
        """Free the connections. Idempotent."""
        self._client.close()

    def schema(self, ref: int | UUID) -> Schema | None:
        """Return the schema of an id or GUID, with what it refers to put into it; ``None`` if there is none.

        :raises RegistryUnavailable: if it cannot be asked.
        :raises RegistryRefused: if it does not take the credentials.
        :raises UnknownSchema: if it is no Avro schema of a record.
        """
        with self._translated(f"the schema {ref}"):
            found = self._found(
                lambda: (
                    self._client.get_schema(ref) if isinstance(ref, int) else self._client.get_schema_by_guid(str(ref))
                )
            )
            return None if found is None else self._parsed(found, ref)

    def look_up(self, subject: str, schema: Schema) -> Registered | None:
        """Return where a schema stands under a subject; ``None`` if it does not."""
        with self._translated(f"the subject {subject}"):
            found = self._found(lambda: self._client.lookup_schema(subject, self._avro(schema)))
            return (
                None if found is None else Registered(subject, _number(found.version), _number(found.schema_id), schema)
            )

    def register(self, subject: str, schema: Schema) -> Registered:
        """Register a schema under a subject, and return where it stands; twice gives the same.

        :raises SchemaRefused: if the registry does not take it.
        """
        with self._translated(f"the subject {subject}"):
            self._client.register_schema(subject, self._avro(schema))
        found = self.look_up(subject, schema)
        if found is None:
            raise RegistryError(f"{self._registry.url} took a schema of {subject} and does not know it now; try again")
        return found

    def versions(self, subject: str) -> list[Registered]:
        """Return the versions of a subject, oldest first; none if there is no such subject."""
        with self._translated(f"the subject {subject}"):
            numbers = self._found(lambda: self._client.get_versions(subject)) or []
            found = [self._client.get_version(subject, number) for number in sorted(numbers)]
            return [
                Registered(
                    subject,
                    _number(each.version),
                    _number(each.schema_id),
                    self._parsed(each.schema, each.schema_id),
                )
                for each in found
            ]

    def reads_older(self, subject: str, schema: Schema) -> bool:
        """Say whether the subject's rule of compatibility takes a schema after its latest version."""
        with self._translated(f"the subject {subject}"):
            return bool(self._client.test_compatibility(subject, self._avro(schema)))

    def _avro(self, schema: Schema) -> Any:
        return self._text(json.dumps(schema), "AVRO")

    def _parsed(self, found: Any, ref: object) -> Schema:
        if found.schema_type not in (None, "AVRO"):
            raise UnknownSchema(f"the registry's schema {ref} is {found.schema_type}, not Avro")
        return inlined(found, lambda name, version: self._client.get_version(name, version).schema)

    def _found(self, call: Any) -> Any:
        from confluent_kafka.schema_registry.error import SchemaRegistryError

        try:
            return call()
        except SchemaRegistryError as error:
            if error.http_status_code == 404 and error.error_code in _UNKNOWN:
                return None
            raise

    @contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        from confluent_kafka.schema_registry.error import SchemaRegistryError

        try:
            yield
        except EverwhenError:
            raise
        except SchemaRegistryError as error:
            # Not chained, here and below: the client's errors may show what it was told.
            raise self._answered(error, what) from None
        except Exception as error:  # noqa: BLE001 - httpx, json, authlib: whatever comes of a silent or wrong server
            self._forget()
            raise self._unanswered(error, what) from None

    def _forget(self) -> None:
        clear: Callable[[], None] = self._client.clear_caches  # it keeps an answer before anybody has read it
        clear()

    def _answered(self, error: Any, what: str) -> RegistryError:
        status, said = error.http_status_code, self._words(error)
        where = f"{self._registry.url}, asked for {what}, answered {status}"
        if status in _REFUSED:
            return SchemaRefused(f"{where}: {said}; see what is there with `everwhen schema diff`")
        if status in _SHUT:
            return RegistryRefused(f"{where}: it does not let this program in; {_REMEDY}")
        return RegistryUnavailable(f"{where}: {said}; check that the URL is that of a registry which is well")

    def _unanswered(self, error: Exception, what: str) -> RegistryError:
        where, said = f"{self._registry.url}, asked for {what}", self._words(error)
        # Its own error for a token that was not to be had keeps the reason as a text, and as the one it came of.
        if getattr(error.__context__, "error", None) in _NO_TOKEN:
            return RegistryRefused(f"{where}: the server of its tokens does not let this program in: {said}; {_REMEDY}")
        return RegistryUnavailable(
            f"{where}, gave no answer that can be read: {said}; check that it runs, and that the URL is right"
        )

    def _words(self, error: Exception) -> str:
        said = " ".join(str(getattr(error, "error_message", None) or error).split())
        return self._registry.hide_secrets(said[:_LONGEST]) or type(error).__name__


def _number(given: object) -> int:
    """Return a number of an answer, whose form nothing has checked."""
    if type(given) is not int:
        raise ValueError("a number is missing in the answer")
    return given
