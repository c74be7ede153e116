"""``python -m everwhen.cli``."""

from __future__ import annotations

from everwhen.cli.app import main

main()
