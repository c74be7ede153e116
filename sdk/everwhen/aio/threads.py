"""Running what blocks in threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, cast

from everwhen.errors import ClosedError

P = ParamSpec("P")
R = TypeVar("R")


class Threads:
    """A few threads. One that is busy when a caller is cancelled finishes what it does, and its result is dropped.

    :param count: how many; calls beyond that wait for their turn, and those that are cancelled meanwhile are not made.
    :param name: what the threads' names begin with.
    """

    def __init__(self, count: int, name: str) -> None:
        self._executor = ThreadPoolExecutor(count, thread_name_prefix=name)
        self._closed = False

    async def call(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a function in one of the threads, with the context variables of the caller."""
        return await self.begin(function, *args, **kwargs)

    def begin(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[R]:
        """As :meth:`call`; the call is in line when this returns.

        :raises ClosedError: after :meth:`close`.
        """
        if self._closed:
            raise ClosedError("this object is closed; open a new one")
        calling = partial(copy_context().run, function, *args, **kwargs)
        return asyncio.get_running_loop().run_in_executor(self._executor, calling)

    def close(self) -> None:
        """Let the threads end when they are done. Does not block; idempotent."""
        self._closed = True
        self._executor.shutdown(wait=False)


class Blocking(Protocol):
    """What stands over a synchronous object."""

    @property
    def sync(self) -> Any:
        """The synchronous object."""
        ...

    @property
    def threads(self) -> Threads:
        """The threads that call it."""
        ...


class Offloaded(Generic[P, R]):
    """A method of a synchronous class as a coroutine of the class that stands over it: same parameters, same result.

    :param method: the method, such as ``Reader[S].history``; type checkers take its signature from it.
    """

    def __init__(self, method: Callable[Concatenate[Any, P], R]) -> None:
        self._method = method
        self.__doc__ = method.__doc__

    def __get__(self, instance: Any, owner: Any = None) -> Callable[P, Coroutine[Any, Any, R]]:
        if instance is None:
            return cast("Callable[P, Coroutine[Any, Any, R]]", self)  # for help() and for documentation
        return partial(instance.threads.call, partial(self._method, instance.sync))
