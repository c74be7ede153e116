"""The partition of a key, as Kafka's Java client, Kafka Streams and librdkafka's ``murmur2_random`` compute it.

Source: ``org.apache.kafka.common.utils.Utils.murmur2`` and ``Utils.toPositive`` of Apache Kafka, with the test
vectors of its ``UtilsTest``.
"""

from __future__ import annotations

from functools import lru_cache
from struct import unpack_from

_SEED = 0x9747B28C
_M = 0x5BD1E995
_WORD = 0xFFFFFFFF
_SIGN_OFF = 0x7FFFFFFF

# An entity's events come in runs, and hashing in Python costs more than all else in a send.
_REMEMBERED_KEYS = 65_536


def murmur2(data: bytes) -> int:
    """Return the 32-bit murmur2 hash of ``data`` as an unsigned number."""
    length = len(data)
    words = length // 4
    h = (_SEED ^ length) & _WORD
    for k in unpack_from(f"<{words}I", data):
        k = (k * _M) & _WORD
        k = ((k ^ (k >> 24)) * _M) & _WORD
        h = ((h * _M) & _WORD) ^ k
    if rest := data[words * 4 :]:
        h = ((h ^ int.from_bytes(rest, "little")) * _M) & _WORD
    h = ((h ^ (h >> 13)) * _M) & _WORD
    return h ^ (h >> 15)


@lru_cache(_REMEMBERED_KEYS)
def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition, out of ``partitions`` many, that records with ``key`` go to."""
    return (murmur2(key) & _SIGN_OFF) % partitions
