"""Configuration: from options, variables and a file; all that is wrong told at once; nothing that no code reads."""

from __future__ import annotations

import ast
import json
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import everwhen
from everwhen.cli import config_resolve
from everwhen.cli.app import app
from everwhen.cli.config_file import ConfigFile, read_file
from everwhen.cli.config_options import variables_of
from everwhen.cli.config_resolve import Source, resolve
from everwhen.cli.config_settings import DAEMON_SETTINGS, SETTINGS, DaemonSettings, flag_of
from everwhen.cli.exits import Exit
from everwhen.cli.reference import settings_table
from everwhen.kafka.settings import ALLOW_UNVERIFIED
from everwhen.metrics import Limits
from everwhen.worker.setting import FLAG, NUMBERS, SECONDS, SHARE, TEXT, WHOLE, Setting
from everwhen.worker.settings import WORKER_SETTINGS, key_of, variable_of
from tests.cli.workspace import LOG, STORE, Workspace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PACKAGE = Path(everwhen.__file__).parent
PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"
ON_FILES = ("--log", LOG, "--store", STORE)
SECRET = "hunter2"

GOOD = {TEXT: ("a", "b", "c"), WHOLE: ("5", "6", "7"), SECONDS: ("1.5", "2", "3"), SHARE: ("0.25", "0.5", "1")} | {
    FLAG: ("true", "false", "true"),
    NUMBERS: ("0", "1 2", "3"),
}
BAD = {WHOLE: "-1", SECONDS: "nan", SHARE: "2", FLAG: "maybe", NUMBERS: "-1", TEXT: "never"}
SOURCES = (Source.FLAG, Source.ENVIRONMENT, Source.FILE)


def _good(setting: Setting, number: int) -> str:
    return setting.choices[number % 2] if setting.choices else GOOD[setting.kind][number]


def _can_be_bad(setting: Setting) -> bool:
    return setting.kind is not TEXT or bool(setting.choices)


@given(st.fixed_dictionaries({key: st.tuples(*[st.sampled_from(["", "good", "bad"])] * 3) for key in SETTINGS}))
@settings(max_examples=40, deadline=None)
def test_the_strongest_source_counts_and_every_mistake_is_told(plan: dict[str, tuple[str, str, str]]) -> None:
    """For any mixture of options, variables and file: as an oracle of a few lines has it, each mistake in one line."""
    given: dict[Source, dict[str, str]] = {source: {} for source in SOURCES}
    expected: dict[str, tuple[Any, Source]] = {}
    wrong = set()
    for key, what in plan.items():
        setting = SETTINGS[key]
        for number, (source, state) in reversed(list(enumerate(zip(SOURCES, what, strict=True)))):
            if state == "good" or (state == "bad" and not _can_be_bad(setting)):
                given[source][key] = _good(setting, number)
                expected[key] = (setting.read(given[source][key]), source)
            elif state == "bad" and not (setting.kind is FLAG and source is Source.FLAG):
                given[source][key] = BAD[setting.kind]
                wrong.add((source, key))
    flags = {key: _as_flag(SETTINGS[key], text) for key, text in given[Source.FLAG].items()}
    environment = {variable_of(key): text for key, text in given[Source.ENVIRONMENT].items()}
    with tempfile.TemporaryDirectory() as directory:
        file = _written(Path(directory, "x.toml"), given[Source.FILE])
        done = resolve(flags, environment, file, set(map(variable_of, SETTINGS)))
    places = {Source.FLAG: flag_of, Source.ENVIRONMENT: variable_of, Source.FILE: file.where}
    assert {line.partition(": is ")[0].partition(": must ")[0].partition(": '")[0] for line in done.mistakes} == {
        places[source](key) for source, key in wrong
    }
    assert len(done.mistakes) == len(wrong)
    for key, setting in SETTINGS.items():
        value, source = expected.get(key, (setting.default, Source.DEFAULT))
        assert (done.found[key].value, done.found[key].source) == (value, source)
        assert done.found[key].where == (places[source](key) if source in places else None)
    if not wrong:
        assert done.daemon().http == done.found["http"].value
        assert done.worker().batch_records == done.found["batch_records"].value


def _as_flag(setting: Setting, text: str) -> Any:
    if setting.kind is FLAG:
        return setting.read(text)
    return tuple(text.split()) if setting.kind is NUMBERS else text


def _written(path: Path, values: dict[str, str]) -> ConfigFile:
    lines = []
    for key, text in values.items():
        kind = SETTINGS[key].kind
        bare = f"[{text.replace(' ', ', ')}]" if kind is NUMBERS else text
        lines.append(f"{key} = {json.dumps(text) if kind is TEXT or text == 'maybe' else bare}\n")
    path.write_text("".join(lines))
    return read_file(path, "the test")


def test_all_mistakes_at_once(workspace: Workspace) -> None:
    """From a broken command line, environment and file: one line for each, and the same from worker and config show."""
    (workspace.path / "everwhen.toml").write_text(
        'batch-records = 5\ndepth = "deep"\nlog = 3\nquarantine_limit_share = 1.5\n[kafka]\n"acks" = [1]\n'
    )
    flags = ("--idle-seconds", "soon", "--http", "127.0.0.1:http", "--processes", "3", "--partition", "0")
    variables = {"EVERWHEN_BACH_RECORDS": "7", "EVERWHEN_CACHE_BYTES": "many", "EVERWHEN_TEST_KAFKA": "x"}
    file = workspace.path / "everwhen.toml"
    told = [
        f"everwhen: {file}: batch-records: there is no such setting; did you mean batch_records?",
        f"everwhen: {file}: depth: is not a whole number",
        f"everwhen: {file}: log: is not a text",
        f"everwhen: {file}: quarantine_limit_share: must be at most 1",
        f"everwhen: {file}: kafka.acks: is not a text, a number or true or false",
        "everwhen: EVERWHEN_BACH_RECORDS: nothing reads this variable; did you mean EVERWHEN_BATCH_RECORDS?",
        "everwhen: EVERWHEN_CACHE_BYTES: 'many' is not a whole number",
        "everwhen: --idle-seconds: 'soon' is not a number of seconds",
        "everwhen: no log is given; set --log, EVERWHEN_LOG or log in everwhen.toml, for example "
        "kafka://localhost:9092 or sqlite:///log.db",
        "everwhen: no store is given; set --store, EVERWHEN_STORE or store in everwhen.toml, for example "
        "postgresql+psycopg://HOST/DATABASE or sqlite:///bank.db",
        "everwhen: --http: '127.0.0.1:http' is not HOST:PORT or PORT, such as 127.0.0.1:9464",
        "everwhen: --processes: 3 processes for 1 named partitions (--partition); "
        "give no more processes than partitions",
    ]
    for command in (("config", "show"), ("worker", "bank:account")):
        done = workspace.run(*command, *flags, **variables)
        assert (done.code, done.out) == (Exit.USAGE, "")
        assert sorted(done.err.splitlines()) == sorted(told)
    machine = workspace.run("worker", "bank:account", *flags, **variables, EVERWHEN_LOG_FORMAT="")
    lines = [json.loads(line) for line in machine.err.splitlines()]
    assert [line["event"] for line in lines] == ["worker.failed"] * len(told)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"log = 'a'\nstore =\n", "is not TOML: Invalid value (at line 2, column 8)"),
        (b"log = '\xff'\n", "is not TOML: it is not in UTF-8"),
        (None, "which --config names: cannot be read: No such file or directory"),
    ],
    ids=["syntax", "encoding", "missing"],
)
def test_a_file_that_cannot_be_read(workspace: Workspace, text: bytes | None, told: str) -> None:
    """Every command that looks into it says so in one line, with the place, and does nothing."""
    if text is not None:
        (workspace.path / "own.toml").write_bytes(text)
    shown = workspace.run("config", "show", *ON_FILES, "--config", "own.toml")
    asked = workspace.run("--config", "own.toml", "get", "account", "acc-1")
    for done in (shown, asked):
        assert (done.code, done.error.startswith("everwhen: own.toml"), told in done.error) == (Exit.USAGE, True, True)


def test_show(workspace: Workspace) -> None:
    """Every setting stands there with its value and where it came from; what the worker needs is not connected to."""
    (workspace.path / "everwhen.toml").write_text(f'log = "{LOG}"\ndepth = 7\ncache_bytes = 1\nuntil_end = true\n')
    flags = ("--depth", "9", "--partition", "1", "--partition", "0", "--no-until-end")
    variables = {"EVERWHEN_STORE": STORE, "EVERWHEN_CACHE_BYTES": "2"}
    done = workspace.run("config", "show", *flags, "--json", **variables)
    shown = done.document
    path = str(workspace.path / "everwhen.toml")
    assert (done.code, shown["file"], shown["chosen_by"]) == (Exit.DONE, path, "found in the working directory")
    assert list(shown["settings"]) == list(SETTINGS)
    expected = {
        "log": (LOG, "file", f"{path}: log"),
        "store": (STORE, "environment", "EVERWHEN_STORE"),
        "until_end": (False, "flag", "--until-end"),
        "partition": ([1, 0], "flag", "--partition"),
        "cache_bytes": (2, "environment", "EVERWHEN_CACHE_BYTES"),
        "depth": (9, "flag", "--depth"),
        "batch_records": (10_000, "default", None),
    }
    assert {key: tuple(shown["settings"][key].values()) for key in expected} == expected
    assert not (workspace.path / "store.db").exists()
    lines = [line.split("\t") for line in workspace.run("config", "show", *flags, **variables).out.splitlines()]
    assert [line[0] for line in lines] == ["config", *SETTINGS]
    assert ["depth", "9", "flag", "--depth"] in lines
    assert ["store_patience_seconds", "(for ever)", "default", ""] in lines


def test_the_file_is_named_by_option_or_variable(workspace: Workspace) -> None:
    """The option counts before the variable, either before what lies in the working directory."""
    for name in ("everwhen", "variable", "option"):
        (workspace.path / f"{name}.toml").write_text(f'group = "{name}"\n')
    show = ("config", "show", *ON_FILES, "--json")
    seen = [
        workspace.run(*show).document,
        workspace.run(*show, EVERWHEN_CONFIG="variable.toml").document,
        workspace.run(*show, "--config", "option.toml", EVERWHEN_CONFIG="variable.toml").document,
        workspace.run("--config", "option.toml", *show, EVERWHEN_CONFIG="variable.toml").document,
    ]
    assert [(each["settings"]["group"]["value"], each["chosen_by"]) for each in seen] == [
        ("everwhen", "found in the working directory"),
        ("variable", "EVERWHEN_CONFIG"),
        ("option", "--config"),
        ("option", "--config"),
    ]


def test_secrets_are_hidden(workspace: Workspace) -> None:
    """In URLs and in librdkafka's settings, from whichever source; names and what is no secret stay readable."""
    (workspace.path / "everwhen.toml").write_text(
        f'[kafka]\nsasl.password = "{SECRET}1"\n"ssl.key.location" = "/etc/key.pem"\nsasl.mechanism = "PLAIN"\n'
    )
    store = f"postgresql+psycopg://ada:{SECRET}2@127.0.0.1/bank?sslmode=require&sslpassword={SECRET}3"
    variables = {"EVERWHEN_STORE": store, "EVERWHEN_KAFKA": f"ssl.key.password={SECRET}4 client.id=x"}
    for form in ("--json", "--config=everwhen.toml"):
        flags = ("--log", "kafka://127.0.0.1:1", "--kafka", "client.id=y", form)
        done = workspace.run("config", "show", *flags, **variables)
        assert (done.code, SECRET in done.out + done.err) == (Exit.DONE, False)
        assert "postgresql+psycopg://ada:***@127.0.0.1/bank?sslmode=require&sslpassword=***" in done.out
    lines = [line.split("\t") for line in done.out.splitlines() if line.startswith("kafka.")]
    assert [line[:3] for line in lines] == [
        ["kafka.sasl.password", "***", "file"],
        ["kafka.sasl.mechanism", "PLAIN", "file"],
        ["kafka.ssl.key.location", "/etc/key.pem", "file"],
        ["kafka.ssl.key.password", "***", "environment"],
        ["kafka.client.id", "y", "flag"],
    ]


def test_settings_that_break_a_guarantee_are_told_with_their_source(workspace: Workspace) -> None:
    """Also several of them, before anything is connected to."""
    (workspace.path / "everwhen.toml").write_text("[kafka]\nacks = 1\n")
    flags = ("--log", "kafka://127.0.0.1:1", "--store", "mysql://ada@host/bank", "--kafka", "enable.auto.commit=true")
    done = workspace.run("config", "show", *flags)
    path = workspace.path / "everwhen.toml"
    starts = (f"{path}: kafka.acks: acks=1 breaks", "--kafka: enable.auto.commit=true breaks", "--store: mysql://")
    assert done.code == Exit.USAGE
    for line, start in zip(done.err.splitlines(), starts, strict=True):
        assert line.startswith(f"everwhen: {start}")


def test_other_commands_find_log_and_store_in_the_file(workspace: Workspace) -> None:
    """So that nobody types them twice; what is given on the command line still counts first."""
    workspace.publish("story")
    (workspace.path / "everwhen.toml").write_text(f'log = "{LOG}"\nstore = "{STORE}"\n')
    assert workspace.run("worker", "bank:account", "--until-end").code == Exit.DONE
    assert workspace.run("get", "account", "acc-1").code == Exit.DONE
    assert workspace.run("lag", "account", "--json").document["partitions"][0]["gap"] == 0
    assert workspace.run("get", "account", "acc-1", "--store", "sqlite:///other.db").code == Exit.NOT_FOUND
    (workspace.path / "everwhen.toml").write_text('log = "kafka://127.0.0.1:1"\n[kafka]\nacks = 1\n')
    refused = workspace.run("topic", "check", "bank:accounts")
    assert (refused.code, "acks=1 breaks" in refused.error) == (Exit.USAGE, True)


def test_variables_of_a_service_named_everwhen_are_no_mistakes() -> None:
    """Kubernetes puts them into every pod; a deployment must not break because somebody makes a Service."""
    theirs = {
        "EVERWHEN_SERVICE_HOST": "10.0.0.1",
        "EVERWHEN_SERVICE_PORT": "9464",
        "EVERWHEN_SERVICE_PORT_METRICS": "9464",
        "EVERWHEN_PORT": "tcp://10.0.0.1:9464",
        "EVERWHEN_PORT_9464_TCP": "tcp://10.0.0.1:9464",
        "EVERWHEN_PORT_9464_TCP_ADDR": "10.0.0.1",
        "EVERWHEN_BANK_WORKER_SERVICE_HOST": "10.0.0.2",
        "EVERWHEN_BANK_WORKER_PORT_9464_TCP_PORT": "9464",
        "EVERWHEN_TEST_ANYTHING": "x",
        "EVERWHEN_ALLOW_UNVERIFIED_TLS": "1",
    }
    assert resolve({}, theirs, ConfigFile(), set()).mistakes == ()
    ours = {"EVERWHEN_PROT": "1", "EVERWHEN_SERVICE": "x", "EVERWHEN_Port_TCP": "x"}
    assert len(resolve({}, ours, ConfigFile(), set()).mistakes) == len(ours)


def test_every_setting_is_read_by_some_code() -> None:
    """A setting that nobody reads would be a promise that nobody keeps."""
    trees = [ast.parse(path.read_text()) for path in _sources()]
    names = {*DAEMON_SETTINGS, *WORKER_SETTINGS}
    assert _unread(names, trees) == set()
    assert _unread({"depth", "nobody_reads_this"}, trees) == {"nobody_reads_this"}


def _sources() -> Iterator[Path]:
    declaring = {"worker/settings.py", "worker/setting.py", "cli/config_settings.py"}
    for path in PACKAGE.rglob("*.py"):
        place = path.relative_to(PACKAGE).as_posix()
        if place not in declaring and not place.startswith("testing/"):
            yield path


def _unread(names: set[str], trees: Iterable[ast.Module]) -> set[str]:
    """The names that are no attribute of anything called settings, or of what is made of them in connect."""
    read = {
        node.attr
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Load)
        and ast.unparse(node.value).rpartition(".")[2].lstrip("_") in ("settings", "worker_settings", "merged")
    }
    return names - read


def test_every_variable_that_the_package_names_is_known() -> None:
    """A variable that code reads and no command knows would be refused as a mistake."""
    known = set(variables_of(app)) | config_resolve.OUTSIDE
    named = {name for path in _sources() for name in re.findall(r'"(EVERWHEN_[A-Z_]*[A-Z])"', path.read_text())}
    assert {name for name in named if not name.startswith(config_resolve.RESERVED)} <= known
    assert {variable_of(key) for key in SETTINGS} <= known
    assert ALLOW_UNVERIFIED in config_resolve.OUTSIDE


def test_defaults_stand_in_one_place() -> None:
    """Where a part of the package has defaults of its own they are the same."""
    ours = DaemonSettings()
    assert Limits() == Limits(fetch=ours.live_fetch, loop=ours.live_loop, lag=ours.ready_lag)


def test_the_page_has_every_setting() -> None:
    """Name, option, variable, default and meaning, as the table of settings has them."""
    assert settings_table() in PAGE.read_text(), "run: python -m everwhen.cli.reference settings"
    assert all(f"| `{key_of(name)}` |" in settings_table() for name in (*DAEMON_SETTINGS, *WORKER_SETTINGS))


def test_the_example_on_the_page_is_right(workspace: Workspace) -> None:
    """It can be copied: nothing in it is refused."""
    (example,) = re.findall(r"^```toml\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    (workspace.path / "everwhen.toml").write_text(example)
    done = workspace.run("config", "show", "--json")
    assert (done.code, done.err) == (Exit.DONE, "")
    given = [key for key, each in done.document["settings"].items() if each["source"] == "file"]
    assert len(given) == len(re.findall(r"^[\w.\"]+ = ", example, re.MULTILINE))
