"""The log in one SQLite file: the embedded default for development, tests and a first try. It is no broker."""

from everwhen.local.log import LocalLog

__all__ = ["LocalLog"]
