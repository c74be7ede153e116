"""The publisher on asyncio."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, Concatenate, Final, Generic, ParamSpec, Self

from everwhen.aio.threads import Offloaded, Threads
from everwhen.errors import ClosedError, EverwhenError
from everwhen.publisher import Publisher, Receipt

P = ParamSpec("P")

_POLL_SECONDS: Final = 0.05


class _Sent(Generic[P]):
    """A method that sends one event, as one that returns the future of its receipt: same parameters."""

    def __init__(self, method: Callable[Concatenate[Any, P], Receipt]) -> None:
        self._method = method
        self.__doc__ = method.__doc__

    def __get__(self, instance: AsyncPublisher, owner: Any = None) -> Callable[P, asyncio.Future[Receipt]]:
        if instance is None:
            return self
        return partial(instance.send, partial(self._method, instance.sync))


class AsyncPublisher:
    """Publishes events from asyncio: the methods of :class:`everwhen.Publisher`, to be awaited.

    ::

        async with AsyncPublisher(await asyncio.to_thread(Publisher, accounts, log)) as publisher:
            receipt = await publisher.publish("acc-1", Deposited(amount=5))
            receipt.token   # does not block any more

    :param publisher: the synchronous publisher; it belongs to this object from here on, which closes it.

    ``publish``, ``correct`` and ``retract`` take the event at once, in the order in which they are called, and return a
    future: awaited, it gives the receipt once the log has acknowledged the event, or raises what the synchronous method
    or ``receipt.position`` does. Many may be under way. While the local queue is full, later events wait in memory,
    and the loop does not: await some of the futures to go at the log's pace.

    **A publish that is cancelled is sent all the same**, also by ``asyncio.timeout``: only the waiting ends.

    For one event loop.
    """

    def __init__(self, publisher: Publisher) -> None:
        self.sync = publisher
        # One thread sends, so that events keep their order; another one hands out the log's answers.
        self.threads = Threads(1, "everwhen-aio-publisher")
        self._polling = Threads(1, "everwhen-aio-receipts")
        self._closed = False
        self._lock = threading.Lock()
        self._unsettled = 0
        self._is_polling = False

    publish = _Sent(Publisher.publish)
    correct = _Sent(Publisher.correct)
    retract = _Sent(Publisher.retract)
    flush = Offloaded(Publisher.flush)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close(partial(self.sync.__exit__, kind, error, trace))

    async def aclose(self) -> None:
        """Send what is waiting, flush and free everything. Idempotent. If it is cancelled, that goes on in its thread.

        :raises PublishError: as :meth:`everwhen.Publisher.flush`.
        """
        await self._close(self.sync.close)

    def send(self, publish: Callable[P, Receipt], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[Receipt]:
        """Have an event sent by a method of the publisher; return the future of its receipt."""
        loop = asyncio.get_running_loop()
        receipt: asyncio.Future[Receipt] = loop.create_future()

        def told(settled: Receipt) -> None:
            with self._lock:
                self._unsettled -= 1
            with suppress(RuntimeError):  # nobody waits in a loop that is closed
                loop.call_soon_threadsafe(_settle, receipt, settled)

        def send() -> None:
            sent = publish(*args, **kwargs)
            with self._lock:
                self._unsettled += 1
            sent.when_settled(told)

        def handed_over(sending: asyncio.Future[None]) -> None:
            if (error := sending.exception()) is not None:
                if not receipt.done():
                    receipt.set_exception(error)
            else:
                self._poll()

        # Not cancelled with the receipt: whether it is sent would depend on when.
        self.threads.begin(send).add_done_callback(handed_over)
        return receipt

    async def _close(self, close: Callable[[], None]) -> None:
        if self._closed:
            return
        self._closed = True
        closing = self.threads.begin(close)
        self.threads.close()
        try:
            await asyncio.shield(closing)
        finally:
            self._polling.close()

    def _poll(self) -> None:
        with self._lock:
            if self._closed or self._is_polling or not self._unsettled:
                return  # closing flushes
            self._is_polling = True
        self._polling.begin(self._poll_until_settled)

    def _poll_until_settled(self) -> None:
        with suppress(ClosedError):  # closing flushes, so everything is settled by then
            while self._goes_on():
                self.sync.poll(_POLL_SECONDS)

    def _goes_on(self) -> bool:
        with self._lock:
            self._is_polling = self._unsettled > 0
            return self._is_polling


def _settle(waiting: asyncio.Future[Receipt], receipt: Receipt) -> None:
    if waiting.done():
        return
    try:
        receipt.position  # noqa: B018 - known by now, or the reason why there is none
    except EverwhenError as error:
        waiting.set_exception(error)
    else:
        waiting.set_result(receipt)
