"""Shim until everybody imports from everwhen.projection.rows."""

from everwhen.projection.rows import Changes, Conflict, Head, Known, Superseded, Version, Withdrawal

__all__ = ["Changes", "Conflict", "Head", "Known", "Superseded", "Version", "Withdrawal"]
