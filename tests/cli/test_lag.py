"""``everwhen lag``: how far each partition is behind, by store and log."""

from __future__ import annotations

import json
import signal
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from everwhen.cli.exits import Exit
from tests.cli.workspace import LOG, STORE, Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from everwhen.testing.parts import KafkaAddress

BOTH = ("--log", LOG, "--store", STORE)


@pytest.fixture
def behind(workspace: Workspace) -> Workspace:
    """The story is published and projected, and then published once more."""
    workspace.publish("story")
    assert workspace.project().code == Exit.DONE
    workspace.publish("story")
    return workspace


def ends(workspace: Workspace) -> dict[int, int]:
    """How many records are in each partition of the log."""
    with closing(sqlite3.connect(workspace.path / "log.db")) as log:
        counted = log.execute("SELECT partition, count(*) FROM records GROUP BY partition").fetchall()
    return {0: 0, 1: 0} | dict(counted)


def test_gap_lag_claim_and_trouble(behind: Workspace) -> None:
    """Half of the log is not applied; once it is, nothing is behind; who stopped a partition is said by the store."""
    look = behind.run("lag", "account", *BOTH, "--json").document
    assert (look["projection"], look["topic"]) == ("account", "bank.accounts")
    for each in look["partitions"]:
        end = ends(behind)[each["partition"]]
        assert (each["end"], each["next_offset"], each["gap"]) == (end, end // 2, end - end // 2)
        assert 0 <= each["lag_seconds"] < 300 if each["gap"] else each["lag_seconds"] == 0
        assert (each["epoch"], each["stopped_by"], each["per_second"]) == (1, None, None)
        assert (each["retention_seconds"], each["retention_records"], each["retention_close"]) == (None, None, False)
        assert len(each["owner"]) > 8
    with closing(sqlite3.connect(behind.path / "store.db", isolation_level=None)) as store:
        store.execute("UPDATE everwhen_checkpoints SET trouble = 'LogGap', trouble_from = 1 WHERE partition = 1")
    rows = [line.split("\t") for line in behind.run("lag", "bank:account", *BOTH).out.splitlines()]
    assert [(row[0], row[6], row[-1]) for row in rows] == [
        (str(each["partition"]), each["owner"][:8], "LogGap" if each["partition"] == 1 else "-")
        for each in look["partitions"]
    ]
    assert behind.project().code == Exit.DONE
    look = behind.run("lag", "account", *BOTH, "--json").document
    assert [(each["gap"], each["lag_seconds"], each["epoch"]) for each in look["partitions"]] == [(0, 0.0, 2)] * 2


def test_a_store_alone_says_what_it_knows(behind: Workspace) -> None:
    """Where each partition stands and until when it is complete, and nothing of the log."""
    look = behind.run("lag", "account", "--store", STORE, "--json").document
    for each in look["partitions"]:
        assert (each["next_offset"], each["end"], each["gap"]) == (ends(behind)[each["partition"]] // 2, None, None)
        assert 0 < each["lag_seconds"] < 300 if each["next_offset"] else each["lag_seconds"] is not None
    assert behind.run("lag", "nothing", "--store", STORE).code == Exit.NOT_FOUND


def test_a_topic_that_forgets(workspace: Workspace, real_kafka: KafkaAddress, kafka_topic_name: str) -> None:
    """How long unread records have until they may be deleted, how many are deleted before, and that it is soon."""
    module = workspace.path / "bank.py"
    module.write_text(module.read_text().replace('Topic("bank.accounts"', f'Topic("{kafka_topic_name}"'))
    settings = {"retention.ms": "1000", "message.timestamp.type": "LogAppendTime"}
    admin = AdminClient({"bootstrap.servers": real_kafka.bootstrap})
    admin.create_topics([NewTopic(kafka_topic_name, 2, 1, config=settings)])[kafka_topic_name].result(30)
    both = ("--log", f"kafka://{real_kafka.bootstrap}", "--store", STORE)
    workspace.publish("story", both[1])
    done = workspace.run("worker", "bank:account", *both, "--until-end", EVERWHEN_ACCEPT_TOPIC="1")
    assert done.code == Exit.DONE, done.err
    workspace.publish("story", both[1])
    look: list[Any] = []
    while not any(each["retention_seconds"] == 0 for each in look):
        look = workspace.run("lag", "account", *both, "--json").document["partitions"]
    for each in look:
        assert each["retention_records"] == each["next_offset"]
        assert each["retention_close"] == (each["gap"] > 0)
        assert each["retention_seconds"] < 1 if each["gap"] else each["retention_seconds"] == 1
    expires = [line.split("\t")[9] for line in workspace.run("lag", "account", *both).out.splitlines()]
    assert expires == ["0.0 !" if each["gap"] else "1.0" for each in look]


def test_watching_tells_how_fast_it_goes(behind: Workspace) -> None:
    """From the second look on; the rate is that of what was applied in between."""
    process = behind.start("lag", "account", *BOTH, "--json", "--watch", "0.2")

    def looks() -> Iterator[Any]:
        assert process.stdout is not None
        for line in process.stdout:
            yield json.loads(line)["partitions"]

    seen = looks()
    assert all(each["per_second"] is None for each in next(seen))
    assert all((each["per_second"], each["seconds_left"]) == (0, None if each["gap"] else 0) for each in next(seen))
    assert behind.project().code == Exit.DONE
    rates = {each["partition"]: 0.0 for each in next(seen)}
    for look in seen:
        rates = {each["partition"]: max(rates[each["partition"]], each["per_second"]) for each in look}
        if all(each["gap"] == 0 and each["seconds_left"] == 0 for each in look):
            break
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == Exit.INTERRUPTED
    process.communicate()
