"""``everwhen schema register`` and ``diff``, and a worker that is told of a registry, as processes."""

from __future__ import annotations

import json
import secrets
import sys
from pathlib import Path

import pytest
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient

from everwhen.cli.exits import Exit
from everwhen.testing.parts import RegistryAddress
from tests.cli.workspace import Finished, Workspace

CODE = """
from everwhen import Event, Projection, Topic
from pydantic import BaseModel

class Opened(Event, type="shop.opened"):
    owner: str{more}

shops = Topic("{topic}", events=[Opened], schemas="shops", partitions=1)

class Shop(BaseModel):
    owner: str

shop = Projection("shop", version=1, topic=shops, state=Shop)

@shop.on(Opened)
def opened(state: Shop | None, event: Opened) -> Shop:
    return Shop(owner=event.owner)
"""
PUBLISH = """
from everwhen import Publisher
from shop import Opened, shops
with Publisher(shops, "sqlite:///shops.db") as publisher:
    publisher.publish("s-1", Opened(owner="acme"))
"""


class Shops:
    """A directory with a program, whose environment names the registry."""

    def __init__(self, directory: Path, url: str) -> None:
        self.code = directory / "shop.py"
        self._workspace = Workspace(directory)
        self._variables = {"EVERWHEN_REGISTRY": url, "XDG_CACHE_HOME": str(directory / "cache")}

    def run(self, *arguments: str) -> Finished:
        """Run a command."""
        return self._workspace.run(*arguments, **self._variables)

    def publish(self) -> None:
        """Run the program that publishes."""
        done = self._workspace.run_new(program=(sys.executable, "-c", PUBLISH), **self._variables)
        assert done.code == 0, done.err


@pytest.fixture
def shops(tmp_path: Path, registry: RegistryAddress) -> Shops:
    """A directory of its own."""
    return Shops(tmp_path, registry.url)


def test_a_contract_goes_from_its_file_to_the_registry_and_into_records(
    shops: Shops, registry: RegistryAddress
) -> None:
    """Written, registered, compared, published with its id, projected; twice with a change between."""
    topic = f"shops-{secrets.token_hex(6)}"
    subject = f"{topic}-shop.opened"
    shops.code.write_text(CODE.format(topic=topic, more=""))
    assert shops.run("schema", "write", "shop:shops").code == Exit.DONE
    before = shops.run("schema", "diff", "shop:shops")
    assert (before.code, before.out.split("\n")[0]) == (Exit.DIFFERENT, f"{subject}\t1.avsc\t-\t-\tnot registered")
    done = shops.run("schema", "register", "shop:shops")
    assert (done.code, done.out.split("\t")[:2]) == (Exit.DONE, [subject, "1"]), done.err
    shops.publish()
    shops.code.write_text(CODE.format(topic=topic, more='\n    branch: str = ""'))
    assert shops.run("schema", "write", "shop:shops").code == Exit.DONE
    done = shops.run("schema", "register", "shop:shops")
    assert [line.split("\t")[:2] for line in done.out.splitlines()][:2] == [[subject, "1"], [subject, "2"]]
    client = SchemaRegistryClient({"url": registry.url})
    fields = [{"name": name, "type": "string", "default": ""} for name in ("owner", "town")]
    by_hand = {"type": "record", "name": "shop.opened", "fields": fields}
    client.register_schema(subject, Schema(json.dumps(by_hand), "AVRO"))
    after = shops.run("schema", "diff", "shop:shops")
    assert after.code == Exit.DIFFERENT
    verdicts = [line.split("\t")[-1] for line in after.out.splitlines()]
    assert sorted(verdicts) == ["only in the registry", "same", "same", "same"]
    done = shops.run("worker", "shop:shop", "--log", "sqlite:///shops.db", "--store", "sqlite:///s.db", "--until-end")
    assert done.code == Exit.DONE, done.err
    assert "acme" in shops.run("get", "shop", "s-1", "--store", "sqlite:///s.db").out


def test_what_the_registry_refuses_ends_the_pipeline(shops: Shops, registry: RegistryAddress) -> None:
    """With a code of its own, and what the registry says about it."""
    topic = f"shops-{secrets.token_hex(6)}"
    shops.code.write_text(CODE.format(topic=topic, more=""))
    assert shops.run("schema", "write", "shop:shops").code == Exit.DONE
    client = SchemaRegistryClient({"url": registry.url})
    before = {"type": "record", "name": "shop.opened", "fields": [{"name": "owner", "type": "int"}]}
    client.register_schema(f"{topic}-shop.opened", Schema(json.dumps(before), "AVRO"))
    done = shops.run("schema", "register", "shop:shops")
    assert done.code == Exit.PROBLEMS
    assert "409" in done.err


def test_a_password_behind_the_url_is_not_shown(shops: Shops) -> None:
    """``config show`` is made to be pasted into a ticket."""
    named = "http://u:crettt@localhost:9 proxy=http://p:hiddenword@localhost:8"
    shown = shops.run("config", "show", "--log", "sqlite:///a.db", "--store", "sqlite:///b.db", "--registry", named)
    assert "localhost:9" in shown.out, shown.err
    assert "crettt" not in shown.out + shown.err
    assert "hiddenword" not in shown.out + shown.err
