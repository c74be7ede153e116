"""Ids of entities and events: what can be one, and random ones."""

from __future__ import annotations

import os
import random
from typing import Any

from everwhen.errors import ArgumentError
from everwhen.event import headers


def check_id(name: str, value: Any) -> bytes:
    """Return an id as bytes.

    :param name: the argument that it was given as, for the message.
    :raises ArgumentError: if it is not 1 to 512 bytes of UTF-8 without NUL.
    """
    if not isinstance(value, str) or not value:
        raise ArgumentError(f"{name} must be a non-empty str")
    try:
        data = value.encode()
    except UnicodeEncodeError:
        raise ArgumentError(f"{name} holds a lone surrogate, which is not text") from None
    if len(data) > headers.ID_LIMIT:
        raise ArgumentError(f"{name} is {len(data)} bytes long; the limit is {headers.ID_LIMIT}")
    if b"\0" in data:
        raise ArgumentError(f"{name} holds a NUL character, which no database text can hold")
    return data


class RandomIds:
    """Makes UUIDs of version 4 (RFC 9562, section 5.4). Thread-safe."""

    def __init__(self) -> None:
        # Ids must be unique, not secret: one draw from the system's entropy, then no system call per event.
        self._bits = random.Random(os.urandom(32)).getrandbits  # noqa: S311 - see above

    def next(self) -> str:
        """Return one more."""
        digits = self._bits(128).to_bytes(16).hex()
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{_VARIANT[digits[16]]}{digits[17:20]}-{digits[20:]}"


_VARIANT = {f"{digit:x}": f"{digit & 0b0011 | 0b1000:x}" for digit in range(16)}
