"""A registry that is away, slow, forgetful, or talks nonsense: what is known goes on, and nothing is skipped."""

from __future__ import annotations

import logging
import threading
import time
import traceback
from pathlib import Path
from typing import Any

import pytest

from everwhen import Publisher, Reader, Status, Topic, Worker, WorkerSettings
from everwhen.errors import (
    RegistryError,
    RegistryRefused,
    RegistryUnavailable,
    SchemaRefused,
    SchemaWithheld,
    SettingsError,
    UnknownSchema,
)
from everwhen.registry import Registry
from everwhen.testing.parts import PartsError, RegistryAddress, start_registry
from tests.registry import bank
from tests.registry.bank import FULL
from tests.registry.stub import Front
from tests.worker.disturbed import until

QUICK = {"timeout": 0.5, "max.retries": 0}


class Scene:
    """A topic with one event, written with a real registry's id, and workers that reach it through a front."""

    def __init__(self, front: Front, directory: Path, real: str) -> None:
        self.front, self.directory = front, directory
        self.topic: Topic = bank.topic(directory / "schemas")
        self.projection = bank.projection(self.topic)
        self.log, self.store = f"sqlite:///{directory}/log.db", f"sqlite:///{directory}/store.db"
        self.real = Registry(real, cache=None, register=True)
        self.raised: BaseException | None = None
        with Publisher(self.topic, self.log, registry=self.real) as publisher:
            publisher.publish("a", FULL)

    def registry(self, cache: str | None = None, **settings: Any) -> Registry:
        """The registry as a worker is told of it."""
        return Registry(
            {"url": self.front.url, **QUICK, **settings}, cache=None if cache is None else self.directory / cache
        )

    def run(self, registry: Registry, patience: float = 0.0) -> None:
        """Project to the end."""
        settings = WorkerSettings(schema_patience_seconds=patience)
        with Worker(self.projection, self.log, self.store, settings=settings, registry=registry) as worker:
            worker.run(until="end")

    def start(self, registry: Registry, patience: float = 60.0) -> threading.Thread:
        """Project to the end in a thread."""

        def run() -> None:
            try:
                self.run(registry, patience)
            except BaseException as error:  # noqa: BLE001 - the test looks at it
                self.raised = error

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def status(self, entity: str = "a") -> Status:
        """What is answered."""
        with Reader(self.projection, self.store) as reader:
            return reader.get(entity).status


@pytest.fixture
def scene(registry: RegistryAddress, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Any:
    """A scene, whose workers are listened to."""
    caplog.set_level(logging.INFO, "everwhen")
    with Front(registry.url) as front:
        yield Scene(front, tmp_path, registry.url)


WRONG = {
    "nonsense": (200, b"<html>hello</html>"),
    "another answer": (200, b'{"schema": 7}'),
    "a list": (200, b"[1]"),
    "an error": (500, b'{"error_code": 50001, "message": "busy"}'),
    "a page that is not there": (404, b"<html>no such page</html>"),
}


@pytest.mark.parametrize("how", WRONG)
def test_an_answer_that_is_none_is_waited_out(scene: Scene, how: str, caplog: pytest.LogCaptureFixture) -> None:
    """However long it takes, and patience with unknown schemas does not run meanwhile."""
    scene.front.answer(*WRONG[how])
    thread = scene.start(scene.registry(), patience=0.0)
    until(lambda: "schema.awaited for as long as its registry is away" in caplog.text)
    scene.front.flow()
    thread.join(20)
    assert (thread.is_alive(), scene.raised, scene.status()) == (False, None, Status.FOUND)


def test_a_registry_that_keeps_silent_holds_up_its_own_partition_only(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    """Records that need no registry go on; an answer that comes late is used."""
    with Publisher(scene.topic, scene.log) as publisher:
        names = [f"e{number}" for number in range(6)]
        homes = {name: publisher.publish(name, FULL).position.partition for name in names}
    with Publisher(scene.topic, scene.log, registry=scene.real) as publisher:
        home = publisher.publish("a", FULL).position.partition
    free = [name for name, partition in homes.items() if partition != home]
    assert free
    scene.front.hold()
    thread = scene.start(scene.registry(timeout=60))
    until(lambda: "schema.awaited" in caplog.text)
    until(lambda: all(scene.status(name) is Status.FOUND for name in free))
    assert scene.status() is Status.NEVER_EXISTED
    assert len(scene.front.asked) == 1
    scene.front.flow()
    thread.join(20)
    assert (scene.raised, scene.status(), len(scene.front.asked)) == (None, Status.FOUND, 1)


def test_an_unknown_id_is_waited_for_and_then_stops_the_partition(scene: Scene) -> None:
    """The error says which id, and nothing was skipped."""
    scene.front.answer(404, b'{"error_code": 40403, "message": "Schema not found"}')
    began = time.monotonic()
    with pytest.raises(UnknownSchema, match=r"does not know the schema \d+.*0\.5 s by schema_patience"):
        scene.run(scene.registry(), patience=0.5)
    assert time.monotonic() - began >= 0.5
    assert len(scene.front.asked) > 1
    scene.front.flow()
    scene.run(scene.registry())
    assert scene.status() is Status.FOUND


def test_what_was_known_is_known_during_an_outage(
    scene: Scene, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Another process starts while the registry is away, reads and publishes."""
    registry = scene.registry("cache")
    scene.run(registry)
    with Publisher(scene.topic, scene.log, registry=registry):
        pass
    scene.front.answer(503, b"")
    with Publisher(scene.topic, scene.log, registry=registry) as publisher:
        publisher.publish("b", FULL)
    other = f"sqlite:///{tmp_path}/other.db"
    with Worker(scene.projection, scene.log, other, registry=registry) as worker:
        worker.run(until="end")
    with Reader(scene.projection, other) as reader:
        assert {reader.get(entity).status for entity in "ab"} == {Status.FOUND}
    assert "registry.away" in caplog.text


def test_a_publisher_that_knows_nothing_does_not_open(scene: Scene) -> None:
    """It cannot know which id to write."""
    scene.front.answer(503, b"")
    with pytest.raises(RegistryUnavailable, match="answered 503"):
        Publisher(scene.topic, scene.log, registry=scene.registry())


REMEDY = "check the credentials in EVERWHEN_REGISTRY"
SHUT = {401: b'{"error_code": 40101, "message": "Unauthorized"}', 403: b"<html>Forbidden</html>"}


def test_a_wrong_password_is_no_outage(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """It does not pass: the worker ends, a publisher does not open, both name the settings; the right one is let in."""
    scene.front.lock("bank:right")
    wrong = {"basic.auth.user.info": "bank:wrong"}
    with pytest.raises(SchemaWithheld, match=rf"\]@0, entity .a.: .*answered 401.*{REMEDY}"):
        scene.run(scene.registry(**wrong), patience=5.0)
    with pytest.raises(RegistryRefused, match=f"answered 401.*{REMEDY}"):
        Publisher(scene.topic, scene.log, registry=scene.registry(**wrong))
    assert "schema.awaited" not in caplog.text
    assert scene.status() is Status.NEVER_EXISTED
    scene.run(scene.registry(**{"basic.auth.user.info": "bank:right"}))
    assert scene.status() is Status.FOUND


@pytest.mark.parametrize("status", SHUT)
def test_known_schemas_go_on_where_the_password_is_refused_now(
    scene: Scene, tmp_path: Path, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    """A password that ran out stops what needs an answer, and nothing else."""
    registry = scene.registry("cache")
    scene.run(registry)
    scene.front.answer(status, SHUT[status])
    other = f"sqlite:///{tmp_path}/other.db"
    with Worker(scene.projection, scene.log, other, registry=registry) as worker:
        worker.run(until="end")
    with Reader(scene.projection, other) as reader:
        assert reader.get("a").status is Status.FOUND
    assert "registry.refused" in caplog.text
    assert "registry.away" not in caplog.text


@pytest.mark.parametrize(("said", "raised"), [("invalid_client", RegistryRefused), ("busy", RegistryUnavailable)])
def test_a_tokens_server_that_knows_no_such_client_is_no_outage(
    scene: Scene, said: str, raised: type[RegistryError]
) -> None:
    """The client's own error for a missing token does not tell; the reason inside it does."""
    with Front(scene.front.url) as tokens:
        tokens.answer(400, f'{{"error": "{said}"}}'.encode())
        client = scene.registry(
            **{
                "bearer.auth.credentials.source": "OAUTHBEARER",
                "bearer.auth.client.id": "bank",
                "bearer.auth.client.secret": "hiddenword",
                "bearer.auth.scope": "schemas",
                "bearer.auth.issuer.endpoint.url": tokens.url,
                "bearer.auth.logical.cluster": "one",
                "bearer.auth.identity.pool.id": "one",
            }
        ).client()
        with pytest.raises(raised, match=said) as refused:
            client.versions("x")
        assert type(refused.value) is raised
        assert "hiddenword" not in str(refused.value)
        client.close()


def test_a_registry_that_was_replaced_is_noticed(scene: Scene) -> None:
    """Its ids mean other schemas, and bytes read with them would be wrong without a sign."""
    registry = scene.registry("cache")
    scene.run(registry)
    scene.front.answer(
        200, b'{"schema": "{\\"type\\":\\"record\\",\\"name\\":\\"bank.account.closed\\",\\"fields\\":[]}"}'
    )
    ids = registry.ids(scene.topic.name)
    (kept,) = (path for path in (scene.directory / "cache").rglob("schema-*.json"))
    with pytest.raises(UnknownSchema, match="the registry was replaced"):
        ids.schema_for(int(kept.stem.removeprefix("schema-")))
    ids.close()


def test_a_schema_that_breaks_the_registrys_rule_is_refused(scene: Scene) -> None:
    """409 of a real registry: its rule of compatibility has the last word."""
    client = scene.real.client()
    subject = f"{scene.topic.name}-bank.account.opened"
    broken = {"type": "record", "name": "opened", "namespace": "bank.account", "fields": [{"name": "x", "type": "int"}]}
    assert not client.reads_older(subject, broken)
    with pytest.raises(SchemaRefused, match="answered 409"):
        client.register(subject, broken)
    client.close()


def test_no_secret_is_shown(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """Neither in errors, nor in logs, nor in what an object looks like; a server may send back what it was told."""
    url = scene.front.url.replace("//", "//user:s%40crettt@")
    in_settings = {"url": scene.front.url, "basic.auth.user.info": "other:hiddenword"}
    for status in (401, 500, 422):
        scene.front.answer(status, b'{"error_code": 40101, "message": "user:s@crettt s%40crettt hiddenword is wrong"}')
        for named, secret in (({"url": url}, "crettt"), (in_settings, "hiddenword")):
            registry = Registry({**named, **QUICK}, cache=None)
            client = registry.client()
            with pytest.raises(RegistryError) as raised:
                client.register("x", {"type": "string"})
            told = "".join(traceback.format_exception(raised.value))
            assert secret not in f"{raised.value!r}{told}{registry!r}{client!r}{caplog.text}"
            client.close()
    with pytest.raises(SettingsError) as refused:
        Registry({"url": url, "basic.auth.user.info": "other:hiddenword"}).client()
    assert "crettt" not in str(refused.value)


def test_a_registry_that_was_restarted_is_used_on(scene: Scene, tmp_path: Path) -> None:
    """The same client goes on: an answer before, none meanwhile, one afterwards."""
    try:
        own = start_registry()
    except PartsError as error:
        pytest.skip(str(error))
    with own:
        if own.server is None:
            pytest.skip("the registry of the environment is not ours to restart")
        named = Registry({"url": own.address.url, "max.retries": 0}, cache=None, register=True)
        topic = bank.topic(tmp_path / "others")
        client = named.client()
        before = client.register(topic.name, topic.contracts.of_class(bank.Opened).newest.schema)  # type: ignore[union-attr]
        own.server.stop()
        with pytest.raises(RegistryUnavailable):
            client.versions(topic.name)
        own.server.start()
        assert [each.id for each in client.versions(topic.name)] == [before.id]
        client.close()
