"""The store in an SQLite file."""

from __future__ import annotations

from pathlib import Path

import pytest

from everwhen.sql import SqlStore
from everwhen.testing.store_conformance import StoreConformance
from everwhen.testing.store_samples import OpenStore
from tests.longer import times


class TestSqliteStore(StoreConformance):
    """The suite that every store passes."""

    examples = times(StoreConformance.examples)

    @pytest.fixture
    def open_store(self, tmp_path: Path) -> OpenStore:
        """One file for each test."""
        return lambda: SqlStore(f"sqlite:///{tmp_path}/store.db")
