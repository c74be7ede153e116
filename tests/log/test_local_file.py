"""What is special to a log in a file: other processes, the file itself, the disk, the clock."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everwhen.errors import ArgumentError, ClosedError, LogUnavailable, PublishError, SettingsError, TopicNotFound
from everwhen.local import LocalLog, headers, writer
from everwhen.local.murmur2 import murmur2
from everwhen.testing.log_conformance import (
    JAVA_MURMUR2,
    PARTITIONS,
    PATIENCE,
    Answers,
    Follower,
    poll_until,
    publish,
    read_all,
)

if TYPE_CHECKING:
    from pathlib import Path

    from everwhen.instants import Micros

WRITES_UNTIL_KILLED = """
import sys
from everwhen.local import LocalLog

def acknowledged(position, error):
    sys.stdout.write(f"{position.partition} {position.offset}\\n")

writer = LocalLog(sys.argv[1]).writer("t")
number = 0
while True:
    writer.send(b"k%d" % (number % 10), b"%d" % number, [("name", b"content")], acknowledged)
    number += 1
"""

HOLDS_THE_INDEX = """
import fcntl, sys, time
with open(sys.argv[1] + "-shm", "r+b") as index:
    fcntl.lockf(index, fcntl.LOCK_EX, 4, 124)
    print("held", flush=True)
    time.sleep(11)
"""
"""Holds read marks 1 to 4 a second longer than SQLite waits for them: https://www.sqlite.org/walformat.html#wal_locks"""

OPENS = """
import sys
from everwhen.local import LocalLog
sys.stdin.read()
log = LocalLog(sys.argv[1])
log.create_topic("t", 4)
print(log.describe("t"))
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the log is."""
    return tmp_path / "log.db"


@pytest.fixture
def log(path: Path) -> LocalLog:
    """A log with one topic, ``t``."""
    log = LocalLog(path, session_timeout=1)
    log.create_topic("t", PARTITIONS)
    return log


def test_kill_loses_nothing_acknowledged(log: LocalLog, path: Path) -> None:
    """After ``kill -9`` in the middle of writing, what was acknowledged is there, without holes."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", WRITES_UNTIL_KILLED, path], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    told = [process.stdout.readline() for _ in range(5000)]
    process.send_signal(signal.SIGKILL)
    told += process.stdout.readlines()
    process.wait(PATIENCE)
    process.stdout.close()
    acknowledged = {tuple(map(int, line.split())) for line in told if line.endswith("\n")}
    records = read_all(log, "t")
    assert acknowledged <= {(record.partition, record.offset) for record in records}
    for partition in range(PARTITIONS):
        offsets = [record.offset for record in records if record.partition == partition]
        assert offsets == list(range(len(offsets)))
    assert len(publish(log, "t", [(b"k", b"after", [])])) == 1


def test_many_open_at_once(tmp_path: Path) -> None:
    """Whoever comes first makes the file, and its directory; all see the same one."""
    path = tmp_path / "new" / "log.db"
    processes = [
        subprocess.Popen([sys.executable, "-c", OPENS, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(5)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
    said = {process.communicate(timeout=PATIENCE)[0] for process in processes}
    assert len(said) == 1
    assert "TopicDescription" in said.pop()


def test_silent_member_is_dropped(log: LocalLog) -> None:
    """Who does not poll for a session's length loses its partitions, and is told of it when it polls again."""
    followers = [Follower(), Follower()]
    consumers = [log.consumer("t", follower, group="g") for follower in followers]
    poll_until(consumers, lambda: all(len(follower.held) == PARTITIONS // 2 for follower in followers), lambda _: None)
    before = sorted(followers[0].held)
    poll_until(consumers[1:], lambda: len(followers[1].held) == PARTITIONS, lambda _: None)
    consumers[0].poll(1, 0)
    assert followers[0].given_up[-1] == (before, True)
    poll_until(consumers, lambda: all(len(follower.held) == PARTITIONS // 2 for follower in followers), lambda _: None)
    for consumer in consumers:
        consumer.close()


def test_member_of_before_a_restart_is_dropped(log: LocalLog, path: Path) -> None:
    """The monotonic clock begins anew with the machine: a time in the future is nobody's."""
    follower = Follower()
    consumer = log.consumer("t", follower, group="g")
    with closing(sqlite3.connect(path)) as file:
        file.execute(
            "INSERT INTO members SELECT number, 'g', 'ghost', 1, ?, 1.0 FROM topics", (time.monotonic() + 1e6,)
        )
        file.execute("INSERT INTO shares SELECT number, 'g', 2, 'ghost' FROM topics")
        file.commit()
    consumer.poll(1, 0)
    assert follower.held == set(range(PARTITIONS))
    consumer.close()


def test_hints_are_written_down(log: LocalLog, path: Path) -> None:
    """One row for each partition of each group, the last one."""
    consumer = log.consumer("t", Follower(), group="g", partitions=[0])
    consumer.hint({0: 5, 1: 6})
    consumer.hint({0: 7})
    consumer.close()
    with closing(sqlite3.connect(path)) as file:
        rows = file.execute("SELECT group_name, partition, next_offset FROM hints ORDER BY partition").fetchall()
    assert rows == [("g", 0, 7), ("g", 1, 6)]


# The file


def test_not_a_database(path: Path) -> None:
    """It is left alone."""
    path.write_text("dear diary, " * 1000)
    with pytest.raises(SettingsError, match=r"log\.db: the file is no SQLite database"):
        LocalLog(path).describe("t")
    assert path.read_text().startswith("dear diary")


def test_another_database(path: Path) -> None:
    """It is left alone."""
    with closing(sqlite3.connect(path)) as file:
        file.execute("CREATE TABLE diary (entry TEXT)")
    with pytest.raises(SettingsError, match="something else"):
        LocalLog(path).create_topic("t", 1)
    with closing(sqlite3.connect(path)) as file:
        assert file.execute("SELECT name FROM sqlite_schema").fetchall() == [("diary",)]


def test_newer_format(log: LocalLog, path: Path) -> None:
    """Says what to do."""
    log.close()
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA user_version = 99")
    with pytest.raises(SettingsError, match=r"format 99.*upgrade everwhen"):
        LocalLog(path).describe("t")


def test_no_file_for_a_question(path: Path) -> None:
    """A mistyped path leaves nothing behind."""
    log = LocalLog(path)
    for ask in (log.describe, log.writer, log.topic_problems):
        with pytest.raises(TopicNotFound):
            ask("t")
    assert not path.exists()


@pytest.mark.parametrize("path", ["", ":memory:"])
def test_no_file(path: str) -> None:
    """Nobody could share it."""
    with pytest.raises(SettingsError, match="file"):
        LocalLog(path)


def test_directory_in_its_place(tmp_path: Path) -> None:
    """A directory cannot be opened, nor can one be made below a file."""
    with pytest.raises(LogUnavailable, match="cannot be opened"):
        LocalLog(tmp_path).describe("t")
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="directory cannot be made"):
        LocalLog(tmp_path / "file" / "log.db").create_topic("t", 1)


def test_settings_that_cannot_be(path: Path) -> None:
    """Are refused at once."""
    for settings in ({"session_timeout": 0}, {"queued_records": 0}):
        with pytest.raises(SettingsError, match="greater than 0"):
            LocalLog(path, **settings)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="at least one partition"):
        LocalLog(path).create_topic("t", 0)


def test_path_is_kept_over_chdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path means where we were when it was given."""
    monkeypatch.chdir(tmp_path)
    log = LocalLog("log.db")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    log.create_topic("t", 1)
    assert (tmp_path / "log.db").exists()
    assert log.address == f"sqlite:///{tmp_path / 'log.db'}"


# The disk


def test_full_disk(log: LocalLog, path: Path) -> None:
    """Every record of the batch is refused, with the reason; when there is room again, writing goes on."""
    writing = log.writer("t")
    pages = writing._connection.execute("PRAGMA page_count").fetchone()[0]
    writing._connection.execute(f"PRAGMA max_page_count = {pages + 10}")
    answers = Answers()
    for number in range(50):
        writing.send(b"k%d" % number, bytes(10_000), [], answers)
    assert writing.flush(PATIENCE) == 0
    refused = len(answers.errors)
    assert refused + len(answers.positions) == 50
    assert refused
    assert all(isinstance(error, PublishError) and "disk is full" in str(error) for error in answers.errors)
    writing._connection.execute("PRAGMA max_page_count = 1000000")
    writing.send(b"k", b"v", [], answers)
    assert writing.flush(PATIENCE) == 0
    writing.close()
    assert len(answers.errors) == refused
    assert len(read_all(log, "t")) == 51 - refused


def test_file_locked_for_long(log: LocalLog, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The batch is refused and may be sent again; nothing hangs for ever."""
    monkeypatch.setattr("everwhen.local.database._BUSY_TIMEOUT", 0.1)
    answers = Answers()
    writing = log.writer("t")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        writing.send(b"k", b"v", [], answers)
        assert writing.flush(PATIENCE) == 0
        other.execute("ROLLBACK")
    assert "locked" in str(answers.errors[0])
    writing.send(b"k", b"v", [], answers)
    writing.close()
    assert len(answers.positions) == 1


def test_process_stopped_while_it_holds_the_index(log: LocalLog, path: Path) -> None:
    """Who writes and who reads wait until it goes on; found by the torture, where SQLite gave up after 10 s."""
    answers = Answers()
    writing = log.writer("t")
    with closing(log.consumer("t", Follower(), group="g")) as consumer:
        with subprocess.Popen([sys.executable, "-c", HOLDS_THE_INDEX, str(path)], stdout=subprocess.PIPE) as stopped:
            assert stopped.stdout is not None
            assert stopped.stdout.readline() == b"held\n"
            writing.send(b"k", b"v", [], answers)
            consumer.poll(1, 0)
        writing.close()
        assert answers.errors == []
        assert len(read_all(log, "t")) == 1


# The clock


class Hands:
    """A clock that is set by hand, or broken."""

    def __init__(self) -> None:
        self.at: Micros | None = 1_700_000_000_000_000

    def now(self) -> Micros:
        if self.at is None:
            raise RuntimeError("stopped")
        return self.at


def test_clock(path: Path) -> None:
    """What it says is the recorded time, also when it goes backwards; a broken one refuses the batch."""
    clock = Hands()
    log = LocalLog(path, clock=clock)
    log.create_topic("t", PARTITIONS)
    times = [1_700_000_000_000_007, 1_600_000_000_000_000]
    for clock.at in times:
        publish(log, "t", [(b"k", b"", [])])
    assert [record.timestamp for record in read_all(log, "t")] == times
    clock.at = None
    answers = Answers()
    writing = log.writer("t")
    writing.send(b"k", b"", [], answers)
    writing.close()
    assert isinstance(answers.errors[0], PublishError)
    assert len(read_all(log, "t")) == 2


# Topics that go


def test_topic_deleted_while_open(log: LocalLog) -> None:
    """Writers and readers are told, also when there is a new topic of the name."""
    writing = log.writer("t")
    reading = log.consumer("t", Follower(), group="g", partitions=[0])
    reading.poll(1, 0)
    log.delete_topic("t")
    log.create_topic("t", PARTITIONS)
    answers = Answers()
    writing.send(b"k", b"", [], answers)
    writing.close()
    assert isinstance(answers.errors[0], TopicNotFound)
    for _ in range(2):
        with pytest.raises(TopicNotFound, match="deleted"):
            reading.poll(1, 0)
    reading.close()
    assert read_all(log, "t") == []


# Closing


def test_sender_that_waits_while_another_closes(log: LocalLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told, and does not wait for ever."""
    monkeypatch.setattr(writer, "_QUEUED_BYTES", 0)
    writing = log.writer("t")

    def send() -> None:
        while True:
            writing.send(b"k", b"v", [], Answers())

    with ThreadPoolExecutor(1) as thread:
        sending = thread.submit(send)
        writing.close()
        with pytest.raises(ClosedError):
            sending.result(PATIENCE)


# Bytes


def test_murmur2_is_javas() -> None:
    """Test vectors of Apache Kafka."""
    for data, signed in JAVA_MURMUR2.items():
        assert murmur2(data) == signed & 0xFFFFFFFF


@given(st.lists(st.tuples(st.text(max_size=20), st.none() | st.binary(max_size=300)), max_size=20))
def test_headers_round_trip(given_headers: list[tuple[str, bytes | None]]) -> None:
    """Any names and values, any number; and the framing is what is neither."""
    encoded = headers.encode(given_headers)
    assert headers.decode(encoded) == given_headers
    content = sum(len(name.encode()) + len(value or b"") for name, value in given_headers)
    assert len(encoded) == content + headers.framing(len(given_headers))


def test_name_of_a_header_is_too_long(log: LocalLog) -> None:
    """The file's format has an end."""
    writing = log.writer("t")
    with pytest.raises(PublishError, match="65535 bytes"):
        writing.send(b"k", b"", [("n" * 65_535, b"")], Answers())
    writing.close()
