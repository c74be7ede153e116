"""The reader on asyncio."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, cast

from everwhen.aio.streams import Streamed
from everwhen.aio.threads import Offloaded, Threads
from everwhen.reader import Reader
from everwhen.tokens import Written

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")


class _Waited(Offloaded[P, R]):
    """A method that may wait for a token: the waiting is done in the loop, and the method called when it is over.

    :param written: the parameter that says what to wait for, beside one that is called ``timeout``.
    """

    def __init__(self, method: Callable[Concatenate[Any, P], R], written: str) -> None:
        super().__init__(method)
        self._written = written
        self._signature = inspect.signature(method)

    def __get__(self, instance: Any, owner: Any = None) -> Callable[P, Coroutine[Any, Any, R]]:
        return super().__get__(instance, owner) if instance is None else partial(self._wait_and_call, instance)

    async def _wait_and_call(self, instance: AsyncReader[Any], *args: P.args, **kwargs: P.kwargs) -> R:
        bound = self._signature.bind(instance.sync, *args, **kwargs)
        bound.apply_defaults()
        given = bound.arguments
        if given[self._written] is not None and given.get("basis") is None:
            given[self._written] = await instance.pass_time(given[self._written], given["timeout"])
            given["timeout"] = 0
        return await instance.threads.call(cast("Callable[..., R]", self._method), *bound.args, **bound.kwargs)


class AsyncReader(Generic[S]):
    """Asks a projection's store from asyncio: the methods of :class:`everwhen.Reader`, as coroutines.

    ::

        async with AsyncReader(Reader(account, store)) as reader:
            answer = await reader.get("acc-1", at_least=token, timeout=2)

    :param reader: the synchronous reader; it belongs to this object from here on, which closes it.
    :param threads: how many questions are under way at once. Those that wait for a token take none meanwhile.

    For one event loop. A question that is cancelled finishes in its thread, within one or two round trips to the
    database; a wait that is cancelled ends at its next look. ``asyncio.timeout`` works around all of them.
    """

    def __init__(self, reader: Reader[S], *, threads: int = 8) -> None:
        self.sync = reader
        self.threads = Threads(threads, "everwhen-aio-reader")

    get = _Waited(Reader[S].get, "at_least")
    wait_for = _Waited(Reader[S].wait_for, "written")
    as_believed = Offloaded(Reader[S].as_believed)
    history = Offloaded(Reader[S].history)
    explain = Offloaded(Reader[S].explain)
    diff = Offloaded(Reader[S].diff)
    snapshot = Streamed(Reader[S].snapshot)
    join = Streamed(Reader[S].join)
    changes = Streamed(Reader[S].changes)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Free the connections to the store. Idempotent."""
        try:
            await asyncio.to_thread(self.sync.close)
        finally:
            self.threads.close()

    async def call(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call something else that blocks in one of the threads: ``call(reader.sync.history, "acc-1", audit=True)``."""
        return await self.threads.call(function, *args, **kwargs)

    async def pass_time(self, written: Written, seconds: float | None) -> Written:
        """Return when the projection has reached what was written or the time is up; the token of it.

        Errors are those of :meth:`everwhen.Reader.wait_for`, but for that of the time.
        """
        waiting = await self.threads.call(self.sync.waiting, written, seconds)
        if await self.threads.call(waiting.look) is not None:
            return waiting.token
        loop, heard = asyncio.get_running_loop(), asyncio.Event()

        def tell() -> None:
            with suppress(RuntimeError):  # the loop may be closed in this very moment
                loop.call_soon_threadsafe(heard.set)

        with waiting.listening(tell) as listening:
            while await self.threads.call(waiting.look) is None and (pause := waiting.pause(listening)) > 0:
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):  # before Python 3.12, wait_for() may swallow a cancellation
                        await heard.wait()
                heard.clear()
        return waiting.token
