"""Opening a projection's reader for a question."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from everwhen.cli.targets import load_projection
from everwhen.connect import Reader
from everwhen.errors import NotStored


class Source(NamedTuple):
    """Who answers, and under which name."""

    reader: Reader[Any]
    name: str


@contextmanager
def asking(name: str, store: str | None) -> Iterator[Source]:
    """Open the reader of a projection.

    :param name: the projection's name, or MODULE:PROJECTION.
    :raises NotStored: what the block raises of it, with what to type instead.
    """
    if ":" in name:
        projection = load_projection(name)
        source = Source(Reader(projection, store), projection.name)
    else:
        source = Source(Reader(name, store), name)
    try:
        with source.reader:
            yield source
    except NotStored as error:
        raise NotStored(
            f"what was believed at this basis is not kept as rows; give MODULE:PROJECTION instead of {name}, "
            "then it is folded from the events"
        ) from error
