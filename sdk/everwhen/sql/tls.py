"""Whether a connection to PostgreSQL proves who the server is: libpq does not ask by itself."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable

from sqlalchemy import URL, Engine, make_url

from everwhen.sql.expressions import POSTGRESQL

_log = logging.getLogger("everwhen.sql")
_LOCAL = ("localhost", "127.", "::1", "/", "@")
_DEFAULT = "prefer"
_warned: set[str] = set()


def warn_of_unverified(target: str | URL | Engine) -> None:
    """Log a warning, once per process and setting, if whoever is on the way to the server can pose as it.

    https://www.postgresql.org/docs/current/libpq-ssl.html
    """
    url = target.url if isinstance(target, Engine) else make_url(target)
    if url.get_backend_name() != POSTGRESQL or "service" in url.query or "PGSERVICE" in os.environ:
        return
    mode = str(url.query.get("sslmode") or os.environ.get("PGSSLMODE") or _DEFAULT)
    if mode == "verify-full" or mode in _warned or all(map(_is_local, _hosts(url))):
        return
    _warned.add(mode)
    _log.warning(
        "tls.unverified sslmode=%s: anyone on the way can pose as the database; add sslmode=verify-full and "
        "sslrootcert to the store's URL",
        mode,
    )


def _hosts(url: URL) -> Iterable[str]:
    given = url.query.get("host") or url.host or os.environ.get("PGHOST") or ""
    each = (given,) if isinstance(given, str) else given
    return [host for text in each for host in text.split(",")]


def _is_local(host: str) -> bool:
    return not host or host.startswith(_LOCAL)
