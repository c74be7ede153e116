"""What a registry is said to be: settings, subjects, and what is shown of them. Nothing is asked here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from everwhen.connect import find_registry
from everwhen.errors import SettingsError, UnknownSchema
from everwhen.registry import Registry
from everwhen.registry.cache import DiskCache
from everwhen.registry.references import inlined
from everwhen.registry.subjects import subject_of

SCHEMA: Any = {"type": "record", "name": "a.b", "fields": []}


def test_a_text_holds_a_url_and_the_clients_own_settings() -> None:
    """Passed through unchanged, numbers as numbers, and with a bound on waiting."""
    named = Registry("http://h:1 max.retries=2 basic.auth.user.info=u:p=q timeout=1.5")
    assert named.settings == {
        "url": "http://h:1",
        "max.retries": 2,
        "basic.auth.user.info": "u:p=q",
        "timeout": 1.5,
    }
    assert Registry({"url": "http://h"}).settings == {"url": "http://h", "timeout": 10}


@pytest.mark.parametrize(
    "target", ["", "h:1", "ftp://h", "http://", "http://h timeout=x", "http://h secret", "http://h =secret", {"a": "b"}]
)
def test_what_names_no_registry_is_refused(target: Any) -> None:
    """Before anything is connected to, and without showing what may be a secret."""
    with pytest.raises(SettingsError) as raised:
        Registry(target)
    assert "secret" not in str(raised.value)


def test_the_environment_names_the_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing else does; an empty variable names none."""
    monkeypatch.setenv("EVERWHEN_REGISTRY", "http://u:secret@h:1/path?x=secret")
    assert repr(find_registry()) == "Registry(http://h:1/path)"
    assert repr(find_registry("http://other")) == "Registry(http://other)"
    monkeypatch.setenv("EVERWHEN_REGISTRY", "")
    assert find_registry() is None


def test_subjects_are_named_as_confluents_strategies_name_them() -> None:
    """Another name would be another subject, with another history."""
    names = [subject_of(each, "t", "a.b") for each in ("TopicRecordName", "TopicName", "RecordName")]
    assert names == ["t-a.b", "t-value", "a.b"]


def test_a_cache_gives_back_what_it_was_given_and_nothing_that_is_broken(tmp_path: Path) -> None:
    """A file that was cut off, or that somebody else wrote, is asked for again."""
    cache, other = DiskCache(tmp_path, "http://a"), DiskCache(tmp_path, "http://b")
    cache.keep_schema(7, SCHEMA)
    cache.keep_id("s", SCHEMA, 7)
    assert (cache.schema(7), cache.id("s", SCHEMA)) == (SCHEMA, 7)
    assert (other.schema(7), cache.schema(8), cache.id("t", SCHEMA)) == (None, None, None)
    for file in tmp_path.rglob("*.json"):
        file.write_text(file.read_text()[:-1] or "{")
    assert (cache.schema(7), cache.id("s", SCHEMA)) == (None, None)


def test_a_directory_that_cannot_be_written_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is no reason to stop."""
    (tmp_path / "file").write_text("")
    cache = DiskCache(tmp_path / "file", "http://a")
    cache.keep_schema(7, SCHEMA)
    cache.keep_schema(8, SCHEMA)
    assert (cache.schema(7), caplog.text.count("registry.uncached")) == (None, 1)


class Found:
    """What a client gives of a schema."""

    def __init__(self, text: str, *references: tuple[str, str]) -> None:
        self.schema_str = text
        self.references = [Reference(*each) for each in references]


class Reference:
    """One schema that another refers to."""

    def __init__(self, name: str, subject: str) -> None:
        self.name, self.subject, self.version = name, subject, 1


def test_references_that_go_round_or_on_without_end_are_refused_or_end() -> None:
    """They come from outside: neither may take a worker down."""
    whole = '{"type": "record", "name": "a.b", "fields": [{"name": "x", "type": "c.d"}]}'
    part = '{"type": "record", "name": "c.d", "fields": [{"name": "y", "type": "a.b"}]}'
    there = {"p": Found(part, ("a.b", "w")), "w": Found(whole, ("c.d", "p"))}
    assert inlined(there["w"], lambda subject, version: there[subject])["name"] == "a.b"
    endless = (Found(part, ("c.d", f"s{number}")) for number in range(10_000))
    with pytest.raises(UnknownSchema, match="more than 100"):
        inlined(Found(whole, ("c.d", "s")), lambda subject, version: next(endless))
