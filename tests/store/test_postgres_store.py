"""The store in PostgreSQL."""

from __future__ import annotations

import pytest

from everwhen.sql import SqlStore
from everwhen.testing.store_conformance import StoreConformance
from everwhen.testing.store_samples import OpenStore


class TestPostgresStore(StoreConformance):
    """The suite that every store passes."""

    examples = 10

    @pytest.fixture
    def open_store(self, postgres_url: str) -> OpenStore:
        """One database for each test."""
        return lambda: SqlStore(postgres_url)
