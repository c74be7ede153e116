"""A TCP proxy in front of a PostgreSQL server, which loses what a network loses."""

from __future__ import annotations

import contextlib
import enum
import re
import socket
import threading
import time
from types import TracebackType
from typing import Self

_CHUNK = 65_536
_COMMIT = b"COMMIT\0"
_PREPARED_COMMIT = re.compile(rb"P....([^\0]*)\0COMMIT\0", re.DOTALL)
"""``Parse`` of the protocol: psycopg prepares what it sends often, and names it from then on."""


class Lost(enum.Enum):
    """What becomes of a commit whose answer the client never sees."""

    UNSENT = "it does not reach the server"
    DONE = "the server has committed"
    LATE = "it reaches the server when the client has long been cut off"


class Proxy:
    """Forwards connections to ``host:port``; every change takes effect on connections that are open too.

    :ivar port: where it listens, on the loopback interface.
    :ivar lost: how many commits went without an answer.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.lost = 0
        self._links: set[_Link] = set()
        self._lock = threading.Lock()
        self._flowing = threading.Event()
        self._flowing.set()
        self._refusing = False
        self._delay = 0.0
        self._lose: Lost | None = None
        self._cut_after: int | None = None
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Closing alone would leave the thread in its accept.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.flow()
        self.cut()

    def cut(self) -> None:
        """Break every connection."""
        with self._lock:
            links = list(self._links)
        for link in links:
            link.cut()

    def cut_after(self, chunks: int) -> None:
        """Break the connection on which the client sends its ``chunks``-th piece from now on, instead of passing it."""
        with self._lock:
            self._cut_after = chunks

    @property
    def has_cut(self) -> bool:
        """Whether :meth:`cut_after` has done its work."""
        return self._cut_after is None

    def refuse(self, refusing: bool = True) -> None:
        """Break every connection, and every new one at once, until told otherwise."""
        self._refusing = refusing
        if refusing:
            self.cut()

    def hold(self) -> None:
        """Pass nothing on, and go on acknowledging: a black hole."""
        self._flowing.clear()

    def flow(self) -> None:
        """Pass everything on again, also what was held."""
        self._flowing.set()

    def delay(self, seconds: float) -> None:
        """Pass everything on so much later."""
        self._delay = seconds

    def lose_commit(self, how: Lost) -> None:
        """Break the connection of the next commit, so that its answer is never seen."""
        with self._lock:
            self._lose = how

    def lose_nothing(self) -> None:
        """Take :meth:`lose_commit` back."""
        with self._lock:
            self._lose = None

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._refusing:
                client.close()
                continue
            try:
                server = socket.create_connection(self._target)
            except OSError:
                # Or the client would wait for a server that is not there until its own patience is over.
                client.close()
                continue
            with contextlib.suppress(OSError):
                _Link(self, client, server).start()

    # -- asked by the links --------------------------------------------------------------------------------------

    def _opened(self, link: _Link) -> None:
        with self._lock:
            self._links.add(link)

    def _closed(self, link: _Link) -> None:
        with self._lock:
            self._links.discard(link)

    def _pass(self) -> None:
        time.sleep(self._delay)
        self._flowing.wait()

    def _is_cut_here(self) -> bool:
        with self._lock:
            if self._cut_after is None:
                return False
            self._cut_after -= 1
            if self._cut_after > 0:
                return False
            self._cut_after = None
            return True

    def _is_lost(self, *hows: Lost) -> Lost | None:
        with self._lock:
            how = self._lose
            if how not in hows:
                return None
            self._lose = None
            self.lost += 1
            return how


class _Link:
    """One connection: two threads, one for each direction."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._prepared: bytes | None = None
        proxy._opened(self)

    def start(self) -> None:
        for pump in (self._to_server, self._to_client):
            threading.Thread(target=pump, daemon=True).start()

    def cut(self) -> None:
        self._end(self._client)
        self._end(self._server)
        self._proxy._closed(self)

    def _to_server(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._client.recv(_CHUNK):
                self._proxy._pass()
                if self._proxy._is_cut_here():
                    break
                if self._commits(data) and (how := self._proxy._is_lost(Lost.UNSENT, Lost.LATE)) is not None:
                    if how is Lost.LATE:
                        self._commit_late(data)
                    break
                self._server.sendall(data)
        self.cut()

    def _to_client(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._server.recv(_CHUNK):
                self._proxy._pass()
                if _COMMIT in data and self._proxy._is_lost(Lost.DONE) is not None:
                    break
                self._client.sendall(data)
        self.cut()

    def _commits(self, data: bytes) -> bool:
        if (parse := _PREPARED_COMMIT.search(data)) is not None:
            self._prepared = parse[1]
            return False
        return _COMMIT in data or (self._prepared is not None and data[:1] == b"B" and self._prepared + b"\0" in data)

    def _commit_late(self, data: bytes) -> None:
        """Let the client see the end of its connection, and come back, before the server sees its commit."""
        self._end(self._client)
        time.sleep(0.5)
        self._server.sendall(data)
        # Not closed before the server has read it, or it might roll back first.
        self._server.recv(_CHUNK)

    def _end(self, side: socket.socket) -> None:
        with contextlib.suppress(OSError):
            side.shutdown(socket.SHUT_RDWR)
        side.close()
