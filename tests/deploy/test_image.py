"""The image: small, not root, and what it takes from the repository is there."""

from __future__ import annotations

import json
import re
import secrets
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
BUILD_SECONDS = 600


def instructions(name: str) -> list[str]:
    """The arguments of an instruction, wherever it stands."""
    return re.findall(rf"^{name} (.*)$", DOCKERFILE, re.MULTILINE)


def test_it_is_not_root_and_takes_no_shell() -> None:
    """Kubernetes can only see that a number is not root; a shell as process 1 would swallow SIGTERM."""
    (user,) = instructions("USER")
    assert all(int(number) > 0 for number in user.split(":"))
    assert [json.loads(each) for each in instructions("ENTRYPOINT")] == [["everwhen"]]
    assert instructions("STOPSIGNAL") == ["SIGTERM"]


def test_what_it_is_made_of_is_there() -> None:
    """A folder, an extra or a version that is not there would be found out by whoever builds it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (extras,) = (each.removeprefix("EXTRAS=").split(",") for each in instructions("ARG") if each.startswith("EXTRAS="))
    assert set(extras) <= project["optional-dependencies"].keys()
    (python,) = (each.removeprefix("PYTHON=") for each in instructions("ARG") if each.startswith("PYTHON="))
    version = re.fullmatch(r"python:(3\.\d+)-slim-\w+", python)
    assert version is not None
    assert f"Programming Language :: Python :: {version[1]}" in project["classifiers"]
    copied = [word for each in instructions("COPY") if "--from" not in each for word in each.split()[:-1]]
    assert copied
    assert all((ROOT / source).exists() for source in copied)


def test_only_what_is_copied_is_sent() -> None:
    """Neither .git nor .venv nor a secret that lies about goes to the engine: what is not named stays here."""
    first, *others = [
        line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")
    ]
    allowed = {line.removeprefix("!") for line in others if line.startswith("!")}
    copied = {word for each in instructions("COPY") if "--from" not in each for word in each.split()[:-1]}
    assert (first, allowed) == ("*", copied)


@pytest.fixture(scope="module")
def docker() -> str:
    """The client of an engine that answers and has, or can get, the image that ours is made from."""
    client = shutil.which("docker")
    if client is None or _run(client, "info").returncode != 0:
        pytest.skip("no Docker engine answers")
    (base,) = (each.removeprefix("PYTHON=") for each in instructions("ARG") if each.startswith("PYTHON="))
    if _run(client, "image", "inspect", base).returncode and _run(client, "pull", base).returncode:
        pytest.skip(f"the Docker engine cannot get {base}")
    return client


@pytest.fixture(scope="module")
def images(docker: str) -> Iterator[dict[str, str]]:
    """The two images, built."""
    tags = {target: f"everwhen-test-{target}:{secrets.token_hex(4)}" for target in ("everwhen", "flights")}
    try:
        for target, tag in tags.items():
            built = _run(docker, "build", "--network", "host", "--target", target, "--tag", tag, str(ROOT))
            assert built.returncode == 0, built.stdout[-3000:] + built.stderr[-3000:]
        yield tags
    finally:
        _run(docker, "image", "rm", "--force", *tags.values())


def test_it_runs_without_a_network_a_right_or_a_place_to_write(docker: str, images: dict[str, str]) -> None:
    """The tightest deployment there is: it says its version, and the contracts of the example are in the image."""
    tight = ("run", "--rm", "--read-only", "--network", "none", "--cap-drop", "ALL")
    said = _run(docker, *tight, images["everwhen"], "--version")
    assert (said.returncode, said.stdout.split()[0]) == (0, "everwhen"), said.stderr
    user = _run(docker, *tight, "--entrypoint", "python", images["everwhen"], "-c", "import os; print(os.getuid())")
    assert int(user.stdout) > 0
    checked = _run(docker, *tight, images["flights"], "schema", "check", "examples.flights.model:flights")
    assert checked.returncode == 0, checked.stderr
    for package in ("psycopg", "prometheus_client", "confluent_kafka"):
        imported = _run(docker, *tight, "--entrypoint", "python", images["everwhen"], "-c", f"import {package}")
        assert imported.returncode == 0, imported.stderr


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False)
