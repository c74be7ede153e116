"""``everwhen topic create`` and ``check``, on the local log and on Kafka."""

from __future__ import annotations

import shlex

from confluent_kafka.admin import (  # type: ignore[attr-defined] # documented, not marked as exported
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)
from confluent_kafka.cimpl import NewTopic

from everwhen.cli.exits import Exit
from everwhen.testing.parts import KafkaAddress
from tests.cli.workspace import LOG, STORE, Workspace


def test_create_and_check(workspace: Workspace) -> None:
    """Creating can be repeated, and never pretends that a topic has another number of partitions than it has."""
    create, check = (
        ("topic", "create", "bank:accounts", "--log", LOG),
        ("topic", "check", "bank:accounts", "--log", LOG),
    )
    missing = workspace.run(*check)
    assert (missing.code, missing.out) == (Exit.NOT_FOUND, "")
    assert missing.error.startswith("everwhen: ")
    assert "bank.accounts" in missing.error
    assert workspace.run(*create, "--partitions", "3").out == "topic bank.accounts is created with 3 partitions\n"
    assert workspace.run(*create).out == "topic bank.accounts is there already with 3 partitions\n"
    other = workspace.run(*create, "--partitions", "4")
    assert (other.code, other.out) == (Exit.PROBLEMS, "")
    assert "with 3 partitions; leave --partitions out" in other.error
    assert workspace.run(*check).out == "topic bank.accounts is as it must be, with 3 partitions\n"


def test_wrong_settings(workspace: Workspace, real_kafka: KafkaAddress, kafka_topic_name: str) -> None:
    """Each setting that endangers history is on a line with its remedy, and the worker refuses to start on it.

    Once the commands that are named are carried out, nothing is left to name.
    """
    _rename_topic(workspace, kafka_topic_name)
    settings = {"cleanup.policy": "compact,delete", "retention.ms": "1000", "message.timestamp.type": "CreateTime"}
    admin = AdminClient({"bootstrap.servers": real_kafka.bootstrap})
    admin.create_topics([NewTopic(kafka_topic_name, 1, 1, config=settings)])[kafka_topic_name].result(30)
    log = ("--log", f"kafka://{real_kafka.bootstrap}")
    for command in ("check", "create"):
        done = workspace.run("topic", command, "bank:accounts", *log)
        lines = done.err.splitlines()
        assert (done.code, done.out, len(lines)) == (Exit.PROBLEMS, "", 3)
        for line, setting in zip(lines, settings, strict=True):
            assert line.startswith("everwhen: ")
            assert setting in line
            assert f"set {setting}=" in line
    worker = workspace.run("worker", "bank:account", *log, "--store", STORE)
    assert worker.code == Exit.PROBLEMS
    assert "set cleanup.policy=delete" in worker.error
    checked = workspace.run("topic", "check", "bank:accounts", *log, "--json")
    assert (checked.code, checked.err) == (Exit.PROBLEMS, "")
    found = checked.document
    assert (found["topic"], found["partitions"]) == (kafka_topic_name, 1)
    assert {each["setting"]: each["value"] for each in found["problems"]} == settings
    for each in found["problems"]:
        assert each["command"] in done.err
        _carry_out(admin, each["command"], real_kafka.bootstrap, kafka_topic_name)
    checked = workspace.run("topic", "check", "bank:accounts", *log, "--json")
    assert (checked.code, checked.document["problems"]) == (Exit.DONE, [])


def _carry_out(admin: AdminClient, command: str, brokers: str, topic: str) -> None:
    """Do what Kafka's command would do with these options."""
    words = shlex.split(command)
    where = ["--bootstrap-server", brokers, "--entity-type", "topics", "--entity-name", topic]
    assert words[:-1] == ["kafka-configs.sh", *where, "--alter", "--add-config"]
    setting, _, value = words[-1].partition("=")
    entry = ConfigEntry(setting, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin.incremental_alter_configs([resource])[resource].result(30)


def test_on_servers(workspace: Workspace, real_kafka: KafkaAddress, postgres_url: str, kafka_topic_name: str) -> None:
    """The same commands do on Kafka and PostgreSQL what they do on two files."""
    _rename_topic(workspace, kafka_topic_name)
    log = f"kafka://{real_kafka.bootstrap}"
    created = workspace.run("topic", "create", "bank:accounts", "--log", log, "--replication", "1")
    assert created.out == f"topic {kafka_topic_name} is created with 2 partitions\n"
    checked = workspace.run("topic", "check", "bank:accounts", "--log", log, "--kafka", "socket.timeout.ms=10000")
    assert checked.out == f"topic {kafka_topic_name} is as it must be, with 2 partitions\n"
    workspace.publish("story", log)
    done = workspace.project(log=log, store=postgres_url)
    assert done.code == Exit.DONE, done.err
    answer = workspace.run("get", "account", "acc-1", "--store", postgres_url, "--json")
    assert answer.document["state"] == {"owner": "Ærø", "balance": "13.50"}
    table = workspace.run("snapshot", "account", "--store", postgres_url)
    assert [line.split("\t")[0] for line in table.out.splitlines()] == ["acc\\t3\\x1b[31m", "acc-1"]
    refused = workspace.run("topic", "check", "bank:accounts", "--log", log, EVERWHEN_KAFKA="client.id=x acks=1")
    assert refused.code == Exit.USAGE
    assert "acks" in refused.error


def _rename_topic(workspace: Workspace, name: str) -> None:
    module = workspace.path / "bank.py"
    module.write_text(module.read_text().replace('Topic("bank.accounts"', f'Topic("{name}"'))
