"""Real parts for tests and demos: a Kafka broker, a PostgreSQL server, a schema registry, on loopback, gone with us.

Each is looked for in several places, the best first (see `start_kafka` and `start_postgres`), and says in one line
what it turned out to be. ``python -m everwhen.testing.parts all`` runs them for a person.
"""

from everwhen.testing.parts.errors import PartsError
from everwhen.testing.parts.kafka import Kafka, KafkaAddress, plan_kafka, start_kafka
from everwhen.testing.parts.postgres import Postgres, PostgresAddress, plan_postgres, start_postgres
from everwhen.testing.parts.registry import Registry, RegistryAddress, plan_registry, start_registry
from everwhen.testing.parts.secure_kafka import SecureKafka, SecureKafkaAddress, start_secure_kafka
from everwhen.testing.parts.secure_postgres import SecurePostgres, SecurePostgresAddress, start_secure_postgres
from everwhen.testing.parts.sharing import Endpoint, SharedParts

__all__ = [
    "Endpoint",
    "Kafka",
    "KafkaAddress",
    "PartsError",
    "Postgres",
    "PostgresAddress",
    "Registry",
    "RegistryAddress",
    "SecureKafka",
    "SecureKafkaAddress",
    "SecurePostgres",
    "SecurePostgresAddress",
    "SharedParts",
    "plan_kafka",
    "plan_postgres",
    "plan_registry",
    "start_kafka",
    "start_postgres",
    "start_registry",
    "start_secure_kafka",
    "start_secure_postgres",
]
