"""Answers that stream out of one snapshot of the database, for ``async for``."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from itertools import islice
from types import TracebackType
from typing import Any, Concatenate, Final, Generic, ParamSpec, Protocol, Self, TypeVar

from everwhen.aio.threads import Blocking, Threads
from everwhen.positions import Basis

P = ParamSpec("P")
T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")

_FETCHED_AT_ONCE: Final = 200


class BasedStream(Protocol[T_co]):
    """What the synchronous methods give: an iterator over one snapshot."""

    basis: Basis

    def __iter__(self) -> Iterator[T_co]: ...

    def close(self) -> None:
        """Free the connection."""
        ...


class AsyncStream(Generic[T]):
    """An asynchronous iterator that holds a database connection until it is used up or closed.

    ::

        async with reader.snapshot(valid_at=...) as answers:
            async for answer in answers:
                ...

    Iterate once. Without ``async with`` it is closed when it is used up; an iteration that may stop early needs it.
    """

    def __init__(self, threads: Threads, open_: Callable[[], BasedStream[T]]) -> None:
        self._threads = threads
        self._open = open_
        self._stream: BasedStream[T] | None = None
        # A fetch goes on in its thread when its caller is cancelled, and closing must not meet it.
        self._turn = threading.Lock()

    async def __aenter__(self) -> Self:
        opening = self._threads.begin(self._open)
        try:
            self._stream = await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(self._close_unused)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.shield(self._threads.begin(self._close, self._opened()))

    async def __aiter__(self) -> AsyncIterator[T]:
        if self._stream is None:
            async with self:
                async for each in self:
                    yield each
            return
        items = iter(self._stream)
        while fetched := await self._threads.call(self._fetch, items):
            for each in fetched:
                yield each

    @property
    def basis(self) -> Basis:
        """What every answer of this snapshot was computed from; known once it is open, in an ``async with`` block."""
        return self._opened().basis

    def _opened(self) -> BasedStream[T]:
        if self._stream is None:
            raise RuntimeError("this stream is not open; use it in an `async with` block")
        return self._stream

    def _fetch(self, items: Iterator[T]) -> list[T]:
        with self._turn:
            return list(islice(items, _FETCHED_AT_ONCE))

    def _close(self, stream: BasedStream[T]) -> None:
        with self._turn:
            stream.close()

    def _close_unused(self, opening: asyncio.Future[BasedStream[T]]) -> None:
        if not opening.cancelled() and opening.exception() is None:
            self._threads.begin(self._close, opening.result())


class Streamed(Generic[P, T]):
    """A method of a synchronous class that returns a stream, as one that returns an asynchronous stream.

    :param method: the method; type checkers take its signature from it.
    """

    def __init__(self, method: Callable[Concatenate[Any, P], BasedStream[T]]) -> None:
        self._method = method
        self.__doc__ = method.__doc__

    def __get__(self, instance: Blocking, owner: Any = None) -> Callable[P, AsyncStream[T]]:
        if instance is None:
            return self
        threads, method = instance.threads, partial(self._method, instance.sync)

        def stream(*args: P.args, **kwargs: P.kwargs) -> AsyncStream[T]:
            return AsyncStream(threads, partial(method, *args, **kwargs))

        return stream
