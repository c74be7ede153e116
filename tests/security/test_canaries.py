"""Secrets and payloads stay where they belong: whatever is printed, logged or raised is searched for them.

Not searched: what a user's own handler raises, which is chained and may hold anything, and ids, which messages name.
"""

from __future__ import annotations

import io
import logging
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from everwhen import Projection, Publisher, Reader, Worker
from everwhen.connect import open_log, open_store
from everwhen.errors import EverwhenError
from everwhen.event import Event
from everwhen.kafka import KafkaLog, KafkaSettings, admin, logs
from everwhen.ports.log import Record
from everwhen.testing.parts import SecureKafkaAddress
from tests import ledger
from tests.canaries import SECRET as CANARY
from tests.cli.conftest import PROJECT
from tests.ledger import Ledger, Noted

T0 = datetime(2026, 3, 1, tzinfo=UTC)
NOBODY = "127.0.0.1:1"
SECRETS = {
    "sasl.password": CANARY,
    "sasl.oauthbearer.config": f"principal=p extension_token={CANARY} {CANARY}",
    "sasl.oauthbearer.client.secret": CANARY,
    "sasl.oauthbearer.token.endpoint.url": f"https://u:{CANARY}@127.0.0.1:1/token?key={CANARY}",
    "ssl.key.password": CANARY,
    "ssl.keystore.password": CANARY,
    "ssl.key.pem": f"-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----",
}


class Watch:
    """Everything that was seen."""

    def __init__(self) -> None:
        self.text = io.StringIO()

    def see(self, *things: object) -> None:
        """Show something in all its ways."""
        for thing in things:
            self.text.write(f"{thing!r}\n{thing}\n")

    def refused(self, act: Callable[..., object], *arguments: Any) -> None:
        """Do what must fail, and keep the error as a traceback shows it."""
        with pytest.raises(EverwhenError) as caught:
            act(*arguments)
        self.see(caught.value, *traceback.format_exception(caught.value))

    def check(self) -> None:
        """Fail if a canary was seen or logged, with the lines that it is in."""
        lines = self.text.getvalue().splitlines()
        assert [line[:300] for line in lines if CANARY in line] == []


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    """Watch standard output and error and all logs, down to the lowest level."""
    monkeypatch.setattr(logs.logger, "filters", [])
    found = Watch()
    handler, root = logging.StreamHandler(found.text), logging.getLogger()
    monkeypatch.setattr(root, "handlers", [*root.handlers, handler])
    monkeypatch.setattr(logging.getLogger("everwhen"), "level", logging.DEBUG)
    with redirect_stdout(found.text), redirect_stderr(found.text), warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        yield found
    found.see(*(each.message for each in warned))
    found.check()


@pytest.mark.parametrize("name", SECRETS)
def test_settings_that_are_refused(watch: Watch, name: str) -> None:
    """By us, by librdkafka when a client is made, and in a URL, with all that librdkafka can say about itself."""
    target = {"bootstrap.servers": NOBODY, "debug": "all", name: SECRETS[name]}
    watch.see(KafkaSettings(target), KafkaLog(target))
    watch.refused(KafkaLog, target | {"acks": "1"})
    for wrong in ({"no.such": "1"}, {"linger.ms": "soon"}, {"ssl.ca.location": "/nowhere", "security.protocol": "SSL"}):
        watch.refused(KafkaLog(target | wrong).describe, "t")
    watch.refused(open_log, f"kafka://u:{CANARY}@{NOBODY}")
    watch.refused(open_log, f"https://u:{CANARY}@{NOBODY}")
    watch.refused(open_log, {"bootstrap.servers": f"u:{CANARY}@{NOBODY}"})
    if "url" not in name:
        watch.refused(open_log, f"kafka://{NOBODY}?{name}={CANARY}")


@pytest.mark.parametrize("method", ["default", "oidc"])
def test_tokens(watch: Watch, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration that cannot be read is quoted by librdkafka, and an endpoint that is down is named."""
    monkeypatch.setattr(admin, "ANSWER_SECONDS", 1.0)
    target = {
        "bootstrap.servers": NOBODY,
        "debug": "all",
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "OAUTHBEARER",
        "sasl.oauthbearer.method": method,
        "sasl.oauthbearer.client.id": "id",
        "enable.sasl.oauthbearer.unsecure.jwt": method == "default",
        **{name: value for name, value in SECRETS.items() if "oauthbearer" in name},
    }
    watch.refused(KafkaLog(target).describe, "t")
    assert "sasl.oauthbearer.client.id = id" in watch.text.getvalue()  # librdkafka did tell of its settings


def test_brokers_that_refuse(watch: Watch, scram: dict[str, str], secure_kafka: SecureKafkaAddress) -> None:
    """The password was sent, in clear text inside TLS, and is in no line of librdkafka's."""
    for changed in (
        {"sasl.mechanism": "PLAIN"},
        {"sasl.mechanism": "SCRAM-SHA-512"},
        {"bootstrap.servers": secure_kafka.elsewhere},
    ):
        watch.refused(KafkaLog(scram | {"sasl.password": CANARY, "debug": "all"} | changed).describe, "t")


@pytest.mark.parametrize(
    "store",
    [
        f"postgresql+psycopg://u:{CANARY}@{NOBODY}/db",
        f"postgresql+psycopg://{NOBODY}/db?user=u&password={CANARY}",
        f"postgresql+psycopg://{NOBODY}/db?sslpassword={CANARY}",
        f"postgresql+psycopg://u:{CANARY}@{NOBODY}/db?no_such_parameter=1",
        f"postgresql+psycopg://u:{CANARY}@[{NOBODY}/db",
        f"mysql://u:{CANARY}@{NOBODY}/db",
        f"postgresql+asyncpg://u:{CANARY}@{NOBODY}/db",
        f"no url but {CANARY}",
    ],
)
def test_stores_that_are_refused(watch: Watch, store: str) -> None:
    """A password stands in most of their URLs."""

    def ask() -> None:
        watch.see(open_store(store))
        with Reader("ledger", store) as reader:
            watch.see(reader, reader.get("e"))

    watch.refused(ask)


def test_wrong_password_of_the_database(watch: Watch, postgres_url: str) -> None:
    """The server knows the user, and says so in its own words."""
    user, _, rest = postgres_url.partition("//")[2].partition(":")
    store = f"postgresql+psycopg://{user}:{CANARY}@{rest.partition('@')[2]}"
    watch.refused(lambda: Reader("ledger", store).get("e"))


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Both databases."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.db"
    return str(request.getfixturevalue("postgres_url"))


class Scene:
    """A topic, and what is published there."""

    def __init__(self, directory: Path) -> None:
        self.topic = ledger.topic(directory / "schemas", partitions=1)
        self.log = f"sqlite:///{directory}/log.db"
        self.projection = ledger.projection(self.topic)

    def publish(self, watch: Watch, event: Event) -> None:
        """Publish, and look at all that comes of it."""
        with Publisher(self.topic, self.log) as publisher:
            receipt = publisher.publish("e", event, occurred_at=T0)
            watch.see(publisher, receipt, receipt.position)

    def append(self, value: bytes, header: bytes) -> None:
        """Append a record that no publisher of ours wrote."""
        log: Any = open_log(self.log)
        log.create_topic(self.topic.name, 1)
        writer = log.writer(self.topic.name)
        writer.send(b"e", value, [("ce_id", header), ("ce_time", header)], lambda *_: None)
        writer.close()
        log.close()


def test_what_is_told_of_success(watch: Watch, store: str, tmp_path: Path) -> None:
    """Answers, events and records are printed by their ids and times; who wants a state asks for it."""
    scene = Scene(tmp_path)
    scene.publish(watch, Noted(text=CANARY))
    worker = Worker(scene.projection, scene.log, store)
    watch.see(worker, worker.run(until="end"))
    with Reader(scene.projection, store) as reader:
        answer = reader.get("e")
        assert answer.require().notes == [CANARY]
        explained, audit = reader.explain("e"), reader.history("e", audit=True)
        watch.see(reader, answer, answer.version, reader.history("e"), audit, explained, explained.events)
        watch.see(reader.diff("e", datetime(2026, 1, 1, tzinfo=UTC), answer), *reader.snapshot(valid_at=T0))
    record = Record(0, 0, 0, b"e", CANARY.encode(), [("h", CANARY.encode())])
    watch.see(record, [record])


@pytest.mark.parametrize(
    "after",
    [
        lambda event: event.text,
        lambda event: Ledger(notes=event.text),
        lambda event: Ledger.model_construct(notes={"wrong": event.text}),  # type: ignore[arg-type]
        lambda event: Ledger(notes=[f"\0{event.text}"]),
        lambda event: Ledger(notes=[f"\ud800{event.text}"]),
    ],
    ids=["no state", "invalid", "of another type", "with NUL", "with a surrogate"],
)
def test_poison(watch: Watch, store: str, tmp_path: Path, after: Callable[[Noted], Any]) -> None:
    """A handler's result that cannot be kept is refused without a word about what is in it."""
    scene = Scene(tmp_path)
    projection = Projection("ledger", version=1, topic=scene.topic, state=Ledger, ignore=ledger.EVENTS[1:])

    @projection.on(Noted)
    def noted(state: Ledger | None, event: Noted) -> Ledger:
        result: Ledger = after(event)
        return result

    scene.publish(watch, Noted(text=CANARY))
    watch.see(Worker(projection, scene.log, store).run(until="end"))
    see_what_is_kept(watch, store)


@pytest.mark.parametrize("value", [CANARY.encode(), b"\xc3\x01" + CANARY.encode(), b"\x00" + CANARY.encode()])
def test_malformed_records(watch: Watch, tmp_path: Path, value: bytes) -> None:
    """Bytes and headers of others are described, and not shown."""
    scene = Scene(tmp_path)
    scene.append(value, CANARY.encode() + b"\xff")
    store = f"sqlite:///{tmp_path}/store.db"
    watch.see(Worker(scene.projection, scene.log, store).run("end"))
    assert see_what_is_kept(watch, store) == 1


def see_what_is_kept(watch: Watch, store: str) -> int:
    """Look at the records that were kept aside, also whole; return how many. What they hold is for those who ask."""
    opened = open_store(store)
    kept = opened.quarantine("ledger")
    rows = kept.records()
    watch.see(*rows, *(kept.record(row.partition, row.offset) for row in rows))
    opened.close()
    return len(rows)


def test_events_that_are_refused(watch: Watch, tmp_path: Path) -> None:
    """What does not fit the schema, is too large, or is of no class of the topic."""
    scene = Scene(tmp_path)
    with Publisher(scene.topic, scene.log) as publisher:
        watch.refused(publisher.publish, "e", Noted.model_construct(text=[CANARY]))  # type: ignore[arg-type]
        watch.refused(publisher.publish, "e", Noted(text=CANARY * 100_000))
        watch.refused(publisher.publish, "e", Ledger(notes=[CANARY]))


@pytest.mark.parametrize("flags", [(), ("--traceback",)], ids=["plain", "traceback"])
def test_command_line(watch: Watch, tmp_path: Path, flags: tuple[str, ...]) -> None:
    """Targets with passwords, where they belong and where they were put by mistake."""
    workspace = PROJECT.copy(tmp_path / "project")
    store, log = f"postgresql+psycopg://u:{CANARY}@{NOBODY}/db", f"kafka://u:{CANARY}@{NOBODY}"
    secret_log = f"kafka://{NOBODY}?sasl.password={CANARY}"
    for arguments in (
        ("get", "account", "a", "--store", store),
        ("get", "account", "a", "--store", store.replace("postgresql", "nosql")),
        ("get", "account", "a", store),
        ("get", store, "a", "--store", "sqlite:///none.db"),
        ("worker", "bank:account", "--log", log, "--store", store),
        ("worker", "bank:account", "--log", secret_log, "--store", store),
        ("worker", "bank:account", "--log", f"kafka://{NOBODY}", "--kafka", CANARY, "--store", store),
        ("worker", "bank:account", "--log", secret_log, "--store", store, "--log-format", "json"),
        ("worker", store, "--log", log, "--store", store),
    ):
        done = workspace.run(*flags, *arguments, EVERWHEN_STORE_PATIENCE_SECONDS="0")
        assert done.code not in (0, 1), done
        watch.see(done.out, done.err)
