"""Publishing events, and knowing that they arrived."""

from __future__ import annotations

from everwhen.publisher.publisher import Publisher
from everwhen.publisher.receipt import Receipt

__all__ = ["Publisher", "Receipt"]
