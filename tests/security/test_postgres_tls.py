"""PostgreSQL by TLS."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from everwhen import Publisher, Reader, Worker
from everwhen.errors import ProjectionNotFound, StoreError
from everwhen.sql import tls
from everwhen.testing.parts import SecurePostgresAddress
from tests import ledger
from tests.ledger import Noted
from tests.security.conftest import HANDSHAKE_SECONDS

T0 = datetime(2026, 3, 1, tzinfo=UTC)


def test_publish_project_ask(secure_postgres: SecurePostgresAddress, tmp_path: Path) -> None:
    """The parameters of libpq in the store's URL reach the driver, in a worker and in a reader."""
    store = f"{secure_postgres.url}?sslmode=verify-full&sslrootcert={secure_postgres.authority}"
    projection = ledger.projection(ledger.topic(tmp_path))
    log = f"sqlite:///{tmp_path}/log.db"
    with Publisher(projection.topic, log) as publisher:
        publisher.publish("e", Noted(text="by TLS"), occurred_at=T0)
    Worker(projection, log, store).run(until="end")
    with Reader(projection, store) as reader:
        assert reader.get("e").require().notes == ["by TLS"]


@pytest.mark.parametrize(
    ("url", "authority", "says"),
    [
        ("url", "stranger", "certificate verify failed"),
        ("localhost", "authority", 'does not match host name "localhost"'),
    ],
    ids=["unknown authority", "wrong host"],
)
def test_refused(secure_postgres: SecurePostgresAddress, url: str, authority: str, says: str) -> None:
    """A server that cannot prove who it is gets neither the password nor a second try."""
    target = f"{getattr(secure_postgres, url)}?sslmode=verify-full&sslrootcert={getattr(secure_postgres, authority)}"
    before = time.monotonic()
    with pytest.raises(StoreError, match=says) as caught, Reader("ledger", target) as reader:
        reader.get("e")
    assert type(caught.value) is StoreError
    assert time.monotonic() - before < HANDSHAKE_SECONDS


@pytest.mark.parametrize(
    ("url", "mode"),
    [
        ("postgresql://db.example/bank", "prefer"),
        ("postgresql://db.example/bank?sslmode=require", "require"),
        ("postgresql:///bank?host=/run/postgresql,db.example&sslmode=verify-ca", "verify-ca"),
        ("postgresql://db.example/bank?sslmode=verify-full", None),
        ("postgresql://db.example/bank?service=bank", None),
        ("postgresql://localhost/bank", None),
        ("postgresql://127.0.0.1/bank", None),
        ("postgresql:///bank", None),
        ("sqlite:///bank.db", None),
    ],
)
def test_warning(url: str, mode: str | None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A server on another machine that does not prove who it is is warned of, once."""
    monkeypatch.setattr(tls, "_warned", set())
    for variable in ("PGSSLMODE", "PGHOST", "PGSERVICE"):
        monkeypatch.delenv(variable, raising=False)
    with caplog.at_level(logging.WARNING, logger="everwhen.sql"):
        tls.warn_of_unverified(url)
        tls.warn_of_unverified(url)
    found = [record.getMessage().partition(":")[0] for record in caplog.records]
    assert found == ([f"tls.unverified sslmode={mode}"] if mode else [])


def test_warning_where_a_store_is_opened(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever opens a reader or a worker by a URL is told; without the password."""
    monkeypatch.setattr(tls, "_warned", set())
    monkeypatch.setattr(tls, "_LOCAL", ("/",))
    with pytest.raises(ProjectionNotFound), Reader("ledger", postgres_url) as reader:
        reader.get("e")
    assert "tls.unverified" in caplog.text
    assert postgres_url.partition("//")[2].partition("@")[0] not in caplog.text
