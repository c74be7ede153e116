"""What the tests of outages share."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from everwhen.testing.parts.postgres import PostgresAddress
from tests.proxy import Proxy


@pytest.fixture
def proxy(postgres: PostgresAddress) -> Iterator[Proxy]:
    """A proxy in front of the server that all tests share."""
    parts = urlsplit(postgres.url)
    assert parts.hostname is not None
    assert parts.port is not None
    with Proxy(parts.hostname, parts.port) as proxy:
        yield proxy


@pytest.fixture
def undisturbed(postgres: PostgresAddress) -> Iterator[str]:
    """An empty database to project the same log into."""
    url = postgres.database()
    yield url
    postgres.drop(url)
