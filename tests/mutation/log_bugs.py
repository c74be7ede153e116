"""Bugs in how the log is read and written, on Kafka and in a file."""

from __future__ import annotations

from functools import partial

from tests.mutation.bug import Bug

_settings = partial(Bug, file="kafka/settings.py")
_rules = partial(Bug, file="kafka/rules.py")
_consumer = partial(Bug, file="kafka/consumer.py")
_admin = partial(Bug, file="kafka/admin.py")
_answers = partial(Bug, file="kafka/errors.py")
_topics = partial(Bug, file="kafka/topics.py")
_reading = partial(Bug, file="local/consumer.py")
_writing = partial(Bug, file="local/writer.py")
_sending = partial(Bug, file="kafka/writer.py")
_group = partial(Bug, file="local/group.py")
_file = partial(Bug, file="local/database.py")

_SETTINGS = "tests/log/test_kafka_settings.py::"
_BOUND = "tests/log/test_kafka_bound.py::test_what_keeps_a_guarantee_is_always_told_to_librdkafka"
_BREAKS = _SETTINGS + "test_what_breaks_a_guarantee"
_ERRORS = "tests/log/test_kafka_errors.py::"
_BROKER = "tests/log/test_kafka_broker.py::"
_SENT = "tests/log/test_kafka_log.py::TestKafkaLog::"
_LOCAL = "tests/log/test_local_log.py::TestLocalLog::"
_FILE = "tests/log/test_local_file.py::"

_TOLD = [
    _settings(
        "records of aborted transactions are read",
        before='"isolation.level": "read_committed"',
        after='"isolation.level": "read_uncommitted"',
        tests=(_BOUND + "[isolation.level]",),
    ),
    _settings(
        "a position that is lost becomes the end of the log",
        before='"auto.offset.reset": "error"',
        after='"auto.offset.reset": "latest"',
        tests=(_BOUND + "[auto.offset.reset]",),
    ),
    _settings(
        "the client commits positions by itself",
        before='"enable.auto.commit": "false"',
        after='"enable.auto.commit": "true"',
        tests=(_BOUND + "[enable.auto.commit]",),
    ),
    _settings(
        "the client keeps positions by itself",
        before='    "enable.auto.offset.store": "false",\n',
        after="",
        tests=(_BOUND + "[enable.auto.offset.store]",),
    ),
    _settings(
        "the end of a partition is not told",
        before='    "enable.partition.eof": "true",\n',
        after="",
        tests=(_BOUND + "[enable.partition.eof]",),
    ),
    _settings(
        "a topic is made by whoever asks for it",
        before='    "allow.auto.create.topics": "false",\n',
        after="",
        tests=(_BOUND + "[allow.auto.create.topics]",),
    ),
    _settings(
        "the producer is not idempotent",
        before='"enable.idempotence": "true"',
        after='"enable.idempotence": "false"',
        tests=(_BOUND + "[enable.idempotence]",),
    ),
    _settings(
        "one replica is enough for an acknowledgement",
        before='"acks": "all"',
        after='"acks": "1"',
        tests=(_BOUND + "[acks]",),
    ),
    _settings(
        "an entity lies in another partition than others look for it",
        before='"partitioner": "murmur2_random"',
        after='"partitioner": "consistent_random"',
        tests=(_BOUND + "[partitioner]",),
    ),
    _rules(
        "a caller may read what was aborted",
        before='"isolation.level": (("read_committed",),',
        after='"isolation.level": (("read_committed", "read_uncommitted"),',
        tests=(_BREAKS + "[isolation.level-read_uncommitted]",),
    ),
    _rules(
        "a caller may go on at the end of the log",
        before='"auto.offset.reset": (("error",),',
        after='"auto.offset.reset": (("error", "latest"),',
        tests=(_BREAKS + "[auto.offset.reset-latest]",),
    ),
    _rules(
        "librdkafka's other name of a setting is not looked at",
        before='    "request.required.acks": "acks",\n',
        after="",
        tests=(_BREAKS + "[request.required.acks-1]",),
    ),
    _settings(
        "so many requests are under way that order is lost",
        before="_MOST_IN_FLIGHT = 5",
        after="_MOST_IN_FLIGHT = 6",
        tests=(_SETTINGS + "test_what_cannot_be_meant",),
    ),
    _settings(
        "no certificate is checked, without a word",
        before='        if os.environ.get(ALLOW_UNVERIFIED) != "1":\n',
        after="        if os.environ is None:\n",
        tests=(_SETTINGS + "test_unverified_tls_is_refused_or_told",),
    ),
    _settings(
        "a host's name is not checked, without a word",
        before='        _warn_once(\n            "ssl.endpoint.identification.algorithm=none",\n'
        '            "whoever holds a certificate of the same authority can pose as the broker",\n        )\n',
        after="        pass\n",
        tests=(_SETTINGS + "test_unverified_tls_is_refused_or_told",),
    ),
    _settings(
        "a password may stand among the brokers, which are shown",
        before='        if "@" in str(servers):',
        after='        if "@@" in str(servers):',
        tests=(_SETTINGS + "test_user_in_bootstrap_servers",),
    ),
    _settings(
        "a password may stand in a URL, which is shown",
        before="        if is_secret(name):\n",
        after="        if not name:\n",
        tests=(_SETTINGS + "test_url_refused",),
    ),
    _settings(
        "librdkafka's words are shown with the secrets that they quote",
        before='                    text = text.replace(secret, "***")\n',
        after="                    pass\n",
        tests=(_SETTINGS + "test_parts_of_secrets",),
    ),
]

_KAFKA = [
    _consumer(
        "a topic that was made anew is read on",
        before="        if found != self._topic_id:\n",
        after="        if found is None:\n",
        tests=(_BROKER + "test_topic_made_anew_while_it_is_read",),
    ),
    _consumer(
        "an offset that the log does not hold is passed over",
        before="            self._failures.append(self._out_of_range(error, partition, offset))\n",
        after="            pass\n",
        tests=(_BROKER + "test_records_deleted_in_front_of_us",),
    ),
    _consumer(
        "what an open transaction holds is not pending",
        before="        if pending:\n",
        after="        if not partitions:\n",
        tests=(_BROKER + "test_transactions",),
    ),
    _admin(
        "pending is what is committed",
        before="IsolationLevel.READ_UNCOMMITTED, within",
        after="IsolationLevel.READ_COMMITTED, within",
        tests=(_BROKER + "test_transactions",),
    ),
    _consumer(
        "a librdkafka that skips records is taken",
        before="    if number < _FIRST_LIBRDKAFKA:\n",
        after="    if number < 0:\n",
        tests=(_SETTINGS + "test_librdkafka_that_skips_is_refused",),
    ),
    _answers(
        "what timed out was surely not sent",
        before="_NEVER_SENT = frozenset({KafkaError._PURGE_QUEUE,",
        after="_NEVER_SENT = frozenset({KafkaError._MSG_TIMED_OUT, KafkaError._PURGE_QUEUE,",
        tests=(_ERRORS + "test_deliveries",),
    ),
    _answers(
        "a log that was cut off is nothing special",
        before="KafkaError._LOG_TRUNCATION, ",
        after="",
        tests=(_ERRORS + "test_kinds",),
    ),
    _answers(
        "what is fatal may pass",
        before="    return not error.fatal() and (",
        after="    return bool(",
        tests=(_ERRORS + "test_fatal_is_never_transient",),
    ),
    _topics(
        "a topic is made to be kept for a week",
        before='    "retention.ms": "-1",\n',
        after='    "retention.ms": "604800000",\n',
        tests=(_BROKER + "test_created_topic",),
    ),
    _topics(
        "a compacted topic is no problem",
        before='    if "compact" in values.get("cleanup.policy", ""):\n',
        after='    if values.get("cleanup.policy", "") == "":\n',
        tests=(_BROKER + "test_topic_problems",),
    ),
    _topics(
        "a producer's own time is no problem",
        before='    if values.get("message.timestamp.type") != "LogAppendTime":\n',
        after='    if values.get("message.timestamp.type") == "":\n',
        tests=(_BROKER + "test_topic_problems",),
    ),
    _sending(
        "who only sends never learns of answers",
        before="if time.monotonic() - self._served >= _SERVE_SECONDS:",
        after="if False:",
        tests=(_SENT + "test_send_hands_out",),
    ),
    _sending(
        "a record may be of any size",
        before="        if size > self._size_limit:\n",
        after="        if size < 0:\n",
        tests=(_SENT + "test_size_limit",),
    ),
]

_LOCALLY = [
    _reading(
        "a start is taken for the last record that was read",
        before='AND "offset" >= ? ORDER BY',
        after='AND "offset" > ? ORDER BY',
        tests=(_LOCAL + "test_starts_where_the_listener_says",),
    ),
    _reading(
        "the last record is given again by the next poll",
        before="self._next[partition] = rows[-1][1] + 1",
        after="self._next[partition] = rows[-1][1]",
        tests=(_LOCAL + "test_max_records",),
    ),
    _reading(
        "a start beyond the end is waited for",
        before="        beyond = [p for p in partitions if starts[p] > ends[p]]\n",
        after="        beyond = [p for p in partitions if starts[p] < 0]\n",
        tests=(_LOCAL + "test_beyond_the_end",),
    ),
    _reading(
        "a topic that was made anew is read on, in a file",
        before="        check_topic(self._connection, self._topic, self._where)\n        self._seen_version",
        after="        self._seen_version",
        tests=(_FILE + "test_topic_deleted_while_open",),
    ),
    _reading(
        "the position of a lost partition is kept and read on from",
        before="            self._next.pop(partition, None)\n",
        after="            pass\n",
        tests=(_LOCAL + "test_group_applies_each_record_once",),
    ),
    _reading(
        "nobody is told which partitions were lost",
        before="            self._give_up(shares.lost, lost=True)\n",
        after="",
        tests=(_FILE + "test_silent_member_is_dropped",),
    ),
    _group(
        "a partition is given to another before it was given up",
        before="free = sorted(set(range(self._partitions)) - owned.keys())",
        after="free = sorted(set(range(self._partitions)) - mine)",
        tests=(_LOCAL + "test_group_shares",),
    ),
    _group(
        "a member that fell silent keeps its partitions",
        before="            self._drop_the_silent(now)\n",
        after="",
        tests=(_FILE + "test_silent_member_is_dropped",),
    ),
    _group(
        "a member of before a restart keeps its partitions",
        before="NOT ? - beat_at BETWEEN 0 AND session",
        after="? - beat_at > session",
        tests=(_FILE + "test_member_of_before_a_restart_is_dropped",),
    ),
    _writing(
        "what was not appended is acknowledged",
        before='            refusal = PublishError(f"topic {self._topic.name!r}: not appended: '
        '{translate(error, self._where)}")\n',
        after="            return [0] * len(batch)\n",
        tests=(_FILE + "test_full_disk",),
    ),
    _writing(
        "records of one partition get one offset in a batch",
        before="            following[partition] = offset + 1\n",
        after="            following.setdefault(partition, offset + 1)\n",
        tests=(_LOCAL + "test_records_of_a_key_keep_their_order",),
    ),
    _file(
        "processes give out offsets without taking turns",
        before='    connection.execute("BEGIN IMMEDIATE")\n',
        after='    connection.execute("BEGIN")\n',
        tests=(
            "tests/log/test_local_turns.py::test_nobody_else_can_write_between_the_choice_of_offsets_and_the_commit",
        ),
    ),
    _file(
        "the number of a topic that is gone is given out again",
        before="INTEGER PRIMARY KEY AUTOINCREMENT",
        after="INTEGER PRIMARY KEY",
        tests=(_FILE + "test_topic_deleted_while_open",),
    ),
    Bug(
        "a file's partitions are not Kafka's",
        "local/murmur2.py",
        "(murmur2(key) & _SIGN_OFF)",
        "(murmur2(key) >> 1)",
        (_LOCAL + "test_partition_is_javas",),
    ),
]

BUGS = [*_TOLD, *_KAFKA, *_LOCALLY]
