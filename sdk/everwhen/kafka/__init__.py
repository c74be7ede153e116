"""The log on Kafka. The only package that imports ``confluent_kafka``."""

from everwhen.kafka.log import KafkaLog
from everwhen.kafka.settings import KafkaSettings

__all__ = ["KafkaLog", "KafkaSettings"]
