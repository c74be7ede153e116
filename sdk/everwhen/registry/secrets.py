"""What of a registry's settings may be shown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import unquote, urlsplit, urlunsplit

HIDDEN: Final = "***"
_SECRET: Final = re.compile(r"user\.info|password|secret|token$|client\.id$")
_URLS: Final = frozenset({"url", "proxy"})


def shown_url(url: str) -> str:
    """Return a URL, or several separated by commas, without user, password and query."""
    return ",".join(_bare(each.strip()) for each in url.split(","))


def hide(settings: Mapping[str, Any], text: str) -> str:
    """Return ``text`` without any secret of the settings."""
    for secret in sorted(set(_secrets(settings)), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


def _secrets(settings: Mapping[str, Any]) -> Iterator[str]:
    for name, value in settings.items():
        if not isinstance(value, str):
            continue
        if name in _URLS:
            for each in value.split(","):
                yield from _pair(each.rpartition("@")[0].rpartition("/")[2])
        elif _SECRET.search(name):
            yield from _pair(value) if name.endswith("user.info") else (value,)


def _pair(info: str) -> Iterator[str]:
    """Yield what hides a ``user:password`` however it is written."""
    password = info.partition(":")[2]
    if password:
        yield from (info, password, unquote(info), unquote(password))


def _bare(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))
