"""Contracts: the files under schemas/, what is wrong with them, and how the next version is written."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import avro.schema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import AwareDatetime, create_model

from everwhen.errors import ContractError
from everwhen.event import Event, contracts
from everwhen.event.avro import Schema
from everwhen.event.contracts import Contracts, Version
from everwhen.event.model import event_schema
from tests.event.generated import FIELDS, build, without_logical_types


class Opened(Event, type="bank.opened"):
    owner: str


class Closed(Event, type="bank.closed"):
    pass


ODD_SYMBOL = json.dumps(
    {
        "type": "record",
        "name": "opened",
        "fields": [{"name": "color", "type": {"type": "enum", "name": "Color", "symbols": ["light-red"]}}],
    }
)
"""What fastavro finds and our own walk does not."""


def opened(**fields: Any) -> type[Event]:
    """Return the class Opened as it is after a change."""
    definitions: dict[str, Any] = {name: (kind, *(rest or [...])) for name, (kind, *rest) in fields.items()}
    return create_model("Opened", __base__=Event, __cls_kwargs__={"type": "bank.opened"}, **definitions)


def reference_fingerprint(data: bytes) -> bytes:
    """CRC-64-AVRO as the specification's Java code has it, section "Schema Fingerprints"."""
    empty = 0xC15D213AA4D7A795
    table = []
    for number in range(256):
        for _ in range(8):
            number = (number >> 1) ^ (empty & -(number & 1))
        table.append(number)
    fingerprint = empty
    for byte in data:
        fingerprint = (fingerprint >> 8) ^ table[(fingerprint ^ byte) & 0xFF]
    return fingerprint.to_bytes(8, "little")


def put(directory: Path, number: int, schema: Any, name: str = "bank.opened") -> Path:
    path = directory / name / f"{number}.avsc"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(schema if isinstance(schema, str) else json.dumps(schema))
    return path


def problems(directory: Path, *classes: type[Event]) -> list[str]:
    with pytest.raises(ContractError) as caught:
        contracts.check(directory, classes)
    return str(caught.value).splitlines()


def schema(*fields: tuple[str, Any], name: str = "opened") -> Schema:
    found = [{"name": key, "type": kind} for key, kind in fields]
    return {"type": "record", "name": name, "namespace": "bank", "fields": found}


def test_the_first_version_is_written_and_loads(tmp_path: Path) -> None:
    """write makes 1.avsc of every class, load finds it by class, by type and by fingerprint."""
    paths = contracts.write(tmp_path / "new", [Opened, Closed])
    assert paths == [tmp_path / "new/bank.opened/1.avsc", tmp_path / "new/bank.closed/1.avsc"]
    loaded = Contracts.load(tmp_path / "new", [Opened, Closed])
    contract = loaded.of_class(Opened)
    assert contract is not None
    assert loaded.of_type("bank.opened") is contract
    assert contract.newest.schema == event_schema(Opened)
    assert loaded.match(contract.newest.fingerprint) == (contract, contract.newest)
    assert loaded.match(bytes(8)) is None
    assert loaded.of_class(Event) is None
    assert loaded.of_type("bank") is None


def test_a_file_is_pretty_and_the_same_each_time(tmp_path: Path) -> None:
    """It is JSON with an indent, the keys in Avro's usual order, a line feed at its end, and not executable."""
    (path,) = contracts.write(tmp_path, [Opened])
    assert path.read_bytes() == (
        b'{\n  "type": "record",\n  "name": "opened",\n  "namespace": "bank",\n  "fields": [\n    {\n'
        b'      "name": "owner",\n      "type": "string"\n    }\n  ]\n}\n'
    )
    assert [entry.name for entry in path.parent.iterdir()] == ["1.avsc"]
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask


def test_writing_again_writes_nothing(tmp_path: Path) -> None:
    """A class that has not changed has its version already, however the file is laid out."""
    put(tmp_path, 1, event_schema(Opened))
    assert contracts.write(tmp_path, [Opened]) == []


def test_a_compatible_change_makes_the_next_version(tmp_path: Path) -> None:
    """Only of the class that has changed."""
    contracts.write(tmp_path, [Opened, Closed])
    changed = opened(owner=(str,), limit=(int, 0))
    assert contracts.write(tmp_path, [changed, Closed]) == [tmp_path / "bank.opened/2.avsc"]
    loaded = Contracts.load(tmp_path, [changed, Closed]).of_class(changed)
    assert loaded is not None
    assert [version.number for version in loaded.versions] == [1, 2]
    assert loaded.newest.number == 2


def test_an_incompatible_change_writes_nothing_at_all(tmp_path: Path) -> None:
    """Not even for the other classes, and the message names the field, the file and the rule."""
    (path,) = contracts.write(tmp_path, [Opened])
    with pytest.raises(ContractError) as caught:
        contracts.write(tmp_path, [Closed, opened(owner=(str,), limit=(int,))])
    assert str(caught.value) == (
        f"Opened cannot read what was written with {path}: limit: the writer lacks the field, and the "
        "reader a default for it (writer: nothing; reader: long); keep the old field, give the new one a default, "
        "bridge the two with an upcaster, or declare another event type"
    )
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["bank.opened"]


def test_every_earlier_version_counts(tmp_path: Path) -> None:
    """A field that went and comes back as another type is fine with the version between, not with the first."""
    first = put(tmp_path, 1, schema(("owner", "string"), ("limit", "string")))
    put(tmp_path, 2, schema(("owner", "string")))
    found = problems(tmp_path, opened(owner=(str,), limit=(int, 0)))
    assert found[0].startswith(f"Opened cannot read what was written with {first}: limit: the type is another one")
    assert len(found) == 2
    assert "limit is new" in found[1]


@pytest.mark.parametrize(
    ("fields", "difference"),
    [
        ({"owner": (str,), "limit": (int, 0)}, "the field limit is new"),
        ({}, "the field owner is gone"),
        ({"owner": (str, "x")}, 'the field owner was {"name": "owner", "type": "string"} and is {"name": "owner", '),
    ],
)
def test_a_class_that_has_drifted_is_named(tmp_path: Path, fields: Any, difference: str) -> None:
    """The first field that differs, the file, and the command that helps."""
    (path,) = contracts.write(tmp_path, [Opened])
    (found,) = problems(tmp_path, opened(**fields))
    assert found.startswith(f"Opened is not what {path} says: {difference}")
    assert found.endswith("; run `everwhen schema write MODULE:TOPIC`")


def test_another_order_of_the_fields_is_drift(tmp_path: Path) -> None:
    """The bytes follow the order, so it belongs to the contract."""
    put(tmp_path, 1, schema(("a", "long"), ("b", "long")))
    (found,) = problems(tmp_path, opened(b=(int,), a=(int,)))
    assert "its name or the order of its fields differs" in found
    assert contracts.write(tmp_path, [opened(b=(int,), a=(int,))]) == [tmp_path / "bank.opened/2.avsc"]


def test_a_version_that_cannot_be_meant_is_no_version(tmp_path: Path) -> None:
    """A thousand million missing versions are not listed one by one."""
    put(tmp_path, 1, schema(("owner", "string")))
    (tmp_path / "bank.opened/999999999.avsc").touch()
    assert problems(tmp_path, Opened) == [
        f"{tmp_path}/bank.opened/999999999.avsc is not named by a version; name it 1.avsc, 2.avsc, …"
    ]


def test_all_problems_are_listed(tmp_path: Path) -> None:
    """One line each, over all classes."""
    put(tmp_path, 2, "{")
    put(tmp_path, 3, schema(("owner", "string"), name="other"))
    put(tmp_path, 4, schema(("next", ["null", "opened"])))
    (tmp_path / "bank.opened/v5.avsc").touch()
    found = problems(tmp_path, Opened, Closed)
    directory = tmp_path / "bank.opened"
    assert found == [
        f"{directory}/v5.avsc is not named by a version; name it 1.avsc, 2.avsc, …",
        f"{directory}/1.avsc is missing below newer versions; restore it",
        f"{directory}/2.avsc cannot be read as JSON (JSONDecodeError); restore it",
        f"{directory}/4.avsc: bank.opened contains itself, which is refused for the safety of readers; restore it",
        f"Opened cannot read what was written with {directory}/3.avsc: the event: the type has another name "
        "(writer: bank.other; reader: bank.opened); keep the old field, "
        "give the new one a default, bridge the two with an upcaster, or declare another event type",
        f"Closed has no contract, as there is no {tmp_path}/bank.closed/1.avsc; "
        "run `everwhen schema write MODULE:TOPIC`",
    ]
    with pytest.raises(ContractError):
        contracts.write(tmp_path, [Opened, Closed])


@pytest.mark.parametrize("content", ["", "\xff", "[" * 100_000, "null", '"string"', '{"type": "record"}', ODD_SYMBOL])
def test_a_file_that_is_no_schema_is_named(tmp_path: Path, content: str) -> None:
    """Whatever it holds."""
    path = put(tmp_path, 1, {})
    path.write_bytes(content.encode("latin-1"))
    (found,) = problems(tmp_path, Opened)
    assert found.startswith(f"{path}")
    assert found.endswith("; restore it")


def test_a_missing_directory_is_named_in_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path is shown as the absolute one that was tried, with advice."""
    monkeypatch.chdir(tmp_path)
    (found,) = problems(Path("schemas"), Opened)
    assert found == (
        f"there is no directory {tmp_path}/schemas of contract files; run `everwhen schema write MODULE:TOPIC` to "
        "create it. A relative schemas= starts at the working directory; in a package an absolute one is safer: "
        'Path(__file__).parent / "schemas"'
    )


def test_versions_that_no_reader_could_tell_apart_are_refused(tmp_path: Path) -> None:
    """Logical types are not in the fingerprint, so a value could be a number or an instant."""
    put(tmp_path, 1, schema(("at", "long")))
    put(tmp_path, 2, schema(("at", {"type": "long", "logicalType": "timestamp-micros"})))
    found = problems(tmp_path, opened(at=(AwareDatetime,)))
    assert "1.avsc and 2.avsc have the same fingerprint, but their values mean different things" in found[0]
    assert "at: the logical type is another one" in found[1]


def test_versions_that_differ_in_defaults_share_a_fingerprint(tmp_path: Path) -> None:
    """They write the same bytes, and the newest stands for both."""
    contracts.write(tmp_path, [Opened])
    changed = opened(owner=(str, "nobody"))
    contracts.write(tmp_path, [changed])
    loaded = Contracts.load(tmp_path, [changed])
    contract = loaded.of_class(changed)
    assert contract is not None
    assert contract.versions[0].fingerprint == contract.versions[1].fingerprint
    assert loaded.match(contract.versions[0].fingerprint) == (contract, contract.versions[1])


def test_a_version_that_appears_meanwhile_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two people at once: the second is told to run it again, and leaves nothing behind."""
    hardlink = Path.hardlink_to

    def late(self: Path, target: Path) -> None:
        self.write_text("theirs")
        hardlink(self, target)

    monkeypatch.setattr(Path, "hardlink_to", late)
    with pytest.raises(ContractError, match=r"1\.avsc was created by someone else just now; run it again"):
        contracts.write(tmp_path, [Opened])
    assert (tmp_path / "bank.opened/1.avsc").read_text() == "theirs"
    assert len(list((tmp_path / "bank.opened").iterdir())) == 1


@settings(deadline=None, max_examples=50)
@given(FIELDS)
def test_fingerprints_follow_the_specification(slots: Any) -> None:
    """Our fingerprint is the specification's algorithm over Apache Avro's canonical form, byte for byte.

    Without logical types, which the specification drops and Apache's Python package keeps in some.
    """
    found = event_schema(build(slots).event)
    apache = avro.schema.parse(json.dumps(without_logical_types(found)))
    assert Version.of(1, found).fingerprint == reference_fingerprint(apache.canonical_form.encode())


def test_the_fingerprint_of_a_known_schema() -> None:
    """The example of Apache Avro's own tests: "int" is 7275d51a3f395c8f."""
    assert reference_fingerprint(b'"int"')[::-1].hex() == "7275d51a3f395c8f"


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["record", "enum", "array", "map", "fixed", "string", "long", "A", "uuid", "decimal", "null"]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "name",
                    "namespace",
                    "fields",
                    "items",
                    "values",
                    "symbols",
                    "size",
                    "logicalType",
                    "precision",
                ]
            ),
            inner,
            max_size=6,
        ),
    ),
    max_leaves=20,
)


@settings(max_examples=200)
@given(_JSON | st.lists(_JSON, max_size=3).map(lambda found: {"type": "record", "name": "A", "fields": found}))
def test_any_json_is_a_version_or_a_contract_error(found: Any) -> None:
    """Neither our own walk nor fastavro's lets another error through."""
    try:
        version = Version.of(1, found)
    except ContractError:
        return
    assert version.node.kind == "record"
