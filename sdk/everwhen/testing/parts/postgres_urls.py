"""URLs of PostgreSQL databases, and the few statements that parts need, over psycopg."""

from __future__ import annotations

from urllib.parse import quote, urlsplit, urlunsplit

SUPERUSER = "postgres"
DRIVER = "postgresql+psycopg"


def url_of(user: str, password: str, host: str, port: int, database: str = SUPERUSER) -> str:
    """A SQLAlchemy URL."""
    return f"{DRIVER}://{quote(user)}:{quote(password)}@{host}:{port}/{database}"


def with_database(url: str, database: str) -> str:
    """The same server, another database."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


def database_of(url: str) -> str:
    """The name of the database."""
    return urlsplit(url).path.removeprefix("/")


def without_password(url: str) -> str:
    """``HOST:PORT`` of a URL, for people to read."""
    return urlsplit(url).netloc.rpartition("@")[2]


def execute(url: str, statement: str) -> str:
    """Run one statement in autocommit; return the first value of its first row as text, or nothing."""
    import psycopg

    with psycopg.connect(_for_libpq(url), autocommit=True, connect_timeout=5) as connection:
        cursor = connection.execute(statement.encode())
        row = cursor.fetchone() if cursor.description else None
    return str(row[0]) if row else ""


def answers(url: str) -> bool:
    """Whether the server takes connections."""
    import psycopg

    try:
        execute(url, "select 1")
    except psycopg.OperationalError:
        return False
    return True


def _for_libpq(url: str) -> str:
    """SQLAlchemy names the driver in the scheme, libpq knows no drivers."""
    scheme, colon, rest = url.partition(":")
    return scheme.partition("+")[0] + colon + rest
