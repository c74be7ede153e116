"""Opening a projection's reader for a question."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from everwhen.cli.targets import load_projection, numbered
from everwhen.connect import Reader
from everwhen.errors import NotStored


class Source(NamedTuple):
    """Who answers, and under which name."""

    reader: Reader[Any]
    name: str


@contextmanager
def asking(name: str, store: str | None) -> Iterator[Source]:
    """Open the reader of a projection.

    :param name: the projection's name, or MODULE:PROJECTION; with @N behind it, generation N.
    :raises NotStored: what the block raises of it, with what to type instead.
    """
    target, generation = numbered(name)
    if ":" in target:
        projection = load_projection(target)
        source = Source(Reader(projection, store, generation=generation), projection.name)
    else:
        source = Source(Reader(target, store, generation=generation), target)
    try:
        with source.reader:
            yield source
    except NotStored as error:
        raise NotStored(
            f"what was believed at this basis is not kept as rows; give MODULE:PROJECTION instead of {name}, "
            "then it is folded from the events"
        ) from error
