"""What a pipeline does with a registry: register a topic's contracts, and tell how the two differ."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from everwhen.event.model import event_schema
from everwhen.event.retraction import Retracted
from everwhen.registry.subjects import subject_of

if TYPE_CHECKING:
    from everwhen.event.avro import Schema
    from everwhen.event.topic import Topic
    from everwhen.registry.client import Registered, RegistryClient
    from everwhen.registry.registry import Registry


@dataclass(frozen=True, slots=True)
class Difference:
    """One version of a contract, and where the registry has it.

    :ivar type: the event type.
    :ivar number: the contract file's; ``None`` for a version that only the registry has.
    :ivar registered: ``None`` for a version that only the files have.
    """

    subject: str
    type: str
    number: int | None
    registered: Registered | None

    @property
    def is_same(self) -> bool:
        """Whether both have it."""
        return self.number is not None and self.registered is not None


def register(registry: Registry, topic: Topic) -> list[Registered]:
    """Register every version of a topic's contracts that the registry does not have, oldest first.

    The retraction's schema, which comes with the package, is registered too, unless all types share a subject. What is
    registered already stays as it is, so it can be done again.

    :return: where each version stands.
    :raises ContractError: if classes and contract files do not agree.
    :raises SchemaRefused: if the registry does not take one; those before it are registered.
    :raises RegistryError: if the registry cannot be asked.
    """
    with closing(registry.client()) as client:
        return [
            client.look_up(subject, schema) or client.register(subject, schema)
            for subject, _, _, schema in _versions(registry, topic)
        ]


def diff(registry: Registry, topic: Topic) -> list[Difference]:
    """Compare a topic's contracts with what the registry has under their subjects.

    :raises ContractError: if classes and contract files do not agree.
    :raises RegistryError: if the registry cannot be asked.
    """
    with closing(registry.client()) as client:
        ours = [
            Difference(subject, name, number, client.look_up(subject, schema))
            for subject, name, number, schema in _versions(registry, topic)
        ]
        return ours + list(_only_there(client, ours))


def _only_there(client: RegistryClient, ours: list[Difference]) -> Iterator[Difference]:
    known = {(each.subject, each.registered.version) for each in ours if each.registered is not None}
    for subject in dict.fromkeys(each.subject for each in ours):
        for found in client.versions(subject):
            if (subject, found.version) not in known:
                yield Difference(subject, _name(found.schema), None, found)


def _versions(registry: Registry, topic: Topic) -> Iterator[tuple[str, str, int, Schema]]:
    for contract in topic.contracts:
        subject = subject_of(registry.subjects, topic.name, contract.type)
        for version in contract.versions:
            yield subject, contract.type, version.number, version.schema
    if registry.subjects != "TopicName":
        schema = event_schema(Retracted)
        yield subject_of(registry.subjects, topic.name, _name(schema)), _name(schema), 1, schema


def _name(schema: Schema) -> str:
    name, namespace = str(schema.get("name", "")), schema.get("namespace")
    return name if "." in name or not namespace else f"{namespace}.{name}"
