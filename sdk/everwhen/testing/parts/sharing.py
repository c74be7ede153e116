"""Parts that are started once, on demand, and shared by several processes such as pytest-xdist's workers.

The process that owns the parts runs a `SharedParts`; the others get its `Endpoint` and ask there. The answer to a
question for a part is its address, and it comes when the part is ready. So nothing is started that nobody asks for,
and an owner that dies takes its parts with it.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener
from typing import TYPE_CHECKING, Any, Protocol

from everwhen.testing.parts.errors import PartsError
from everwhen.testing.parts.process import HOST

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Shareable(Protocol):
    """A part that is running, with an address that can be sent to other processes."""

    @property
    def address(self) -> object:
        """Where it answers."""

    def stop(self) -> None:
        """End it."""


@dataclass(frozen=True)
class Endpoint:
    """Where to ask for parts. The key keeps other users of the machine out: answers are pickles."""

    port: int
    key: str

    def prepare(self, name: str) -> None:
        """Have the part started if nobody has asked for it yet, without waiting for it."""
        self._ask("prepare", name)

    def get(self, name: str) -> Any:
        """The address of the part, once it is ready. Raises `PartsError` if it cannot be had."""
        answer, value = self._ask("get", name)
        if answer == "error":
            raise PartsError(value)
        return value

    def _ask(self, verb: str, name: str) -> Any:
        with Client((HOST, self.port), authkey=self.key.encode()) as connection:
            connection.send((verb, name))
            return connection.recv()


class SharedParts:
    """The owner's side: a thread that answers, and the parts that were asked for."""

    def __init__(self, starters: Mapping[str, Callable[[], Shareable]]) -> None:
        self._starters = starters
        self._started: dict[str, Future[Shareable]] = {}
        self._seconds: dict[str, float] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._pool = ThreadPoolExecutor(len(starters))
        key = secrets.token_hex(16)
        self._listener = Listener((HOST, 0), authkey=key.encode())
        self.endpoint = Endpoint(self._listener.address[1], key)
        threading.Thread(target=self._accept, daemon=True).start()

    def started(self) -> dict[str, tuple[Any, float]]:
        """The address of each part that is ready, and the seconds it took."""
        with self._lock:
            ready = {name: future for name, future in self._started.items() if future.done() and not future.exception()}
        return {name: (future.result().address, self._seconds[name]) for name, future in ready.items()}

    def close(self) -> None:
        """Stop answering and stop all parts; one that is just starting is waited for."""
        self._closed.set()
        self._listener.close()
        self._pool.shutdown()
        for future in self._started.values():
            if not future.exception():
                future.result().stop()

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                connection = self._listener.accept()
            except (OSError, EOFError, AuthenticationError):  # we are closed, or somebody came without the key
                continue
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: Connection[Any, Any]) -> None:
        with connection, contextlib.suppress(EOFError, OSError):  # whoever asked may be gone
            verb, name = connection.recv()
            future = self._future(name)
            if verb == "prepare":
                connection.send(("ok", None))
                return
            error = future.exception()
            connection.send(("error", str(error)) if error else ("ok", future.result().address))

    def _future(self, name: str) -> Future[Shareable]:
        with self._lock:
            if name not in self._started:
                self._started[name] = self._pool.submit(self._start, name)
            return self._started[name]

    def _start(self, name: str) -> Shareable:
        begin = time.monotonic()
        part = self._starters[name]()
        self._seconds[name] = time.monotonic() - begin
        return part
