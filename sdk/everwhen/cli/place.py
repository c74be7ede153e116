"""``HOST:PORT``: where something is served."""

from __future__ import annotations

from typing import Final

from everwhen.errors import SettingsError

_LOOPBACK: Final = "127.0.0.1"


def place_of(address: str, step: int = 0) -> tuple[str, int]:
    """Read ``HOST:PORT``, or only a port on the loopback interface.

    :param step: how many ports further on; port 0, which is any free one, stays what it is.
    :raises SettingsError: if it is neither.
    """
    host, _, port = address.rpartition(":")
    if not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise SettingsError(f"{address!r} is not HOST:PORT or PORT, such as 127.0.0.1:9464")
    return host.removeprefix("[").removesuffix("]") or _LOOPBACK, int(port) + (step if int(port) else 0)
