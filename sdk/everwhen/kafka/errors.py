"""The one place where an error of librdkafka becomes one of ours.

Codes below zero are librdkafka's own, the others the broker's: https://kafka.apache.org/protocol#protocol_error_codes
"""

from __future__ import annotations

from collections.abc import Callable

from confluent_kafka import KafkaError, KafkaException

from everwhen.errors import (
    EventTooLarge,
    EverwhenError,
    LogError,
    LogUnavailable,
    OffsetOutOfRange,
    PublishError,
    SettingsError,
    TopicNotFound,
)
from everwhen.kafka.settings import KafkaSettings

CREATE_REMEDY = "create it with: everwhen topic create MODULE:TOPIC --log ..."

# ruff: noqa: SLF001 - librdkafka's own codes are public; their names begin with an underscore
END_OF_PARTITION = KafkaError._PARTITION_EOF
ALL_BROKERS_DOWN = KafkaError._ALL_BROKERS_DOWN
TIMED_OUT = KafkaError._TIMED_OUT
INVALID_ARGUMENT = KafkaError._INVALID_ARG
SILENCE = frozenset({KafkaError._TIMED_OUT, KafkaError._TIMED_OUT_QUEUE, KafkaError._TRANSPORT})
WRONG_CREDENTIALS = frozenset({KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED})
OUT_OF_RANGE = frozenset(
    {KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._LOG_TRUNCATION, KafkaError._NO_OFFSET}
)
_NO_PERMISSION = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    }
)
_NO_TOPIC = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION})
_TOO_LARGE = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE, KafkaError.INVALID_MSG_SIZE})
_NEVER_SENT = frozenset({KafkaError._PURGE_QUEUE, KafkaError._FATAL})
_TLS_REMEDIES = (
    (
        "certificate verify failed",
        "the broker's certificate is not trusted: ssl.ca.location must be the authority that issued it, its name the "
        "host's in bootstrap.servers, and it must not have expired",
    ),
    (
        "tls alert",
        "the broker broke TLS off; if it asks for a certificate, set ssl.certificate.location and ssl.key.location to "
        "one that it trusts and that has not expired",
    ),
    (
        "ssl connection closed by peer",
        "TLS was not taken up; if this listener has none, set security.protocol=PLAINTEXT or SASL_PLAINTEXT",
    ),
)
"""librdkafka's words in lower case; it does not say which check of a certificate failed."""
NO_LEADERS = KafkaError._NOENT
"""How librdkafka says that no partition of a question has a leader, as while the only broker restarts."""
_BROKER_REMOVED = -137  # _DESTROY_BROKER: the broker that was asked is not in the cluster's list for now
_MAY_PASS = SILENCE | {
    _BROKER_REMOVED,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._RESOLVE,
    KafkaError._MAX_POLL_EXCEEDED,
    KafkaError._SSL,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError.NETWORK_EXCEPTION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.OFFSET_NOT_AVAILABLE,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.KAFKA_STORAGE_ERROR,
    KafkaError.BROKER_NOT_AVAILABLE,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.NOT_COORDINATOR,
}


def error_of(exception: KafkaException) -> KafkaError:
    """Return what a ``KafkaException`` carries."""
    carried = exception.args[0]
    return carried if isinstance(carried, KafkaError) else KafkaError(KafkaError.UNKNOWN, str(carried))


def hiding_secrets(settings: KafkaSettings, handle: Callable[[KafkaError], None]) -> Callable[[KafkaError], None]:
    """Return an ``error_cb``: librdkafka quotes the rest of a ``sasl.oauthbearer.config`` that it cannot read."""

    def call(error: KafkaError) -> None:
        said = settings.hide_secrets(error.str())
        handle(KafkaError(error.code(), said, error.fatal(), error.retriable()))

    return call


def may_pass(error: KafkaError) -> bool:
    """Whether librdkafka goes on trying by itself."""
    return not error.fatal() and (error.retriable() or error.code() in _MAY_PASS)


def said_by(error: KafkaError) -> str:
    """Return librdkafka's own words."""
    return f"{error.str()} ({error.name()})"


def tls_remedy(error: KafkaError) -> str | None:
    """Return what went wrong with TLS and what to do about it; ``None`` if it was something else."""
    said = error.str().lower()
    return next((remedy for words, remedy in _TLS_REMEDIES if words in said), None) or (
        "TLS failed; look at security.protocol and the ssl.* settings" if error.code() == KafkaError._SSL else None
    )


def translate(error: KafkaError, where: str) -> EverwhenError:
    """Return our error for librdkafka's; ``where`` says what was done with which topic of which log."""
    code, said = error.code(), said_by(error)
    if code in WRONG_CREDENTIALS:
        return LogError(
            f"{where}: the broker refused the credentials; look at sasl.mechanism, sasl.username and sasl.password "
            f"(with a token: sasl.oauthbearer.*): {said}"
        )
    if remedy := tls_remedy(error):
        return LogUnavailable(f"{where}: {remedy}: {said}")
    if code in _NO_PERMISSION:
        return LogError(f"{where}: not permitted; have an administrator grant it: {said}")
    if code in _NO_TOPIC:
        return TopicNotFound(f"{where}: there is no such topic or partition; {CREATE_REMEDY}")
    if code in OUT_OF_RANGE:
        return OffsetOutOfRange(f"{where}: the log does not hold the offset that comes next: {said}")
    if may_pass(error):
        return LogUnavailable(f"{where}: the broker does not answer as it should; is it up and reachable? {said}")
    if error.fatal():
        return LogError(f"{where}: the client cannot go on; close it and open a new one: {said}")
    return LogError(f"{where}: {said}")


def translate_delivery(error: KafkaError, topic: str) -> PublishError:
    """Return why a record was not acknowledged."""
    said = said_by(error)
    if error.code() in _TOO_LARGE:
        return EventTooLarge(
            f"topic {topic!r}: the broker refused the record as too large; "
            f"compare the topic's max.message.bytes with message.max.bytes here: {said}"
        )
    if error.code() in _NO_PERMISSION:
        return PublishError(f"topic {topic!r}: writing is not permitted; have an administrator grant it: {said}")
    if error.code() in _NO_TOPIC:
        return PublishError(f"topic {topic!r}: not appended, the topic is gone: {said}")
    if error.code() in _NEVER_SENT:
        return PublishError(f"topic {topic!r}: not sent, the client cannot go on; open a new one: {said}")
    # After a time-out or a purge nobody knows whether the broker has it; the event id makes a second try harmless.
    return PublishError(
        f"topic {topic!r}: not acknowledged, and it may be in the log all the same; publish it again with the same "
        f"event id: {said}"
    )


def translate_settings(error: KafkaError, settings: KafkaSettings) -> SettingsError:
    """Return why librdkafka refused to make a client; it names the setting."""
    return SettingsError(f"Kafka's client refuses a setting: {settings.hide_secrets(error.str())}")
