"""The store on PostgreSQL and SQLite. Nothing else in Everwhen imports SQLAlchemy."""

from everwhen.sql.engine import Timeouts
from everwhen.sql.store import SqlStore

__all__ = ["SqlStore", "Timeouts"]
