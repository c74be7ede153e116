"""The command line: ``everwhen``, and ``python -m everwhen.cli`` where the script is not on the path."""

from __future__ import annotations

from everwhen.cli.app import main

__all__ = ["main"]
