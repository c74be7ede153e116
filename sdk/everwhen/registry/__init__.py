"""A schema registry: Confluent's, or one that speaks its API.

``confluent_kafka.schema_registry`` is imported only in :mod:`everwhen.registry.client`, and only when a registry is
asked something.
"""

from everwhen.registry.registry import Registry, RegistryTarget
from everwhen.registry.subjects import Subjects

__all__ = ["Registry", "RegistryTarget", "Subjects"]
