"""What a worker says of itself over HTTP: ``/metrics``, ``/livez``, ``/readyz``."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Final, Protocol

from everwhen.cli.place import place_of
from everwhen.errors import SettingsError

if TYPE_CHECKING:
    from everwhen.metrics import Limits

_log = logging.getLogger("everwhen.worker")
_TEXT: Final = "text/plain; charset=utf-8"
_CLIENT_SECONDS: Final = 10.0


class Served(Protocol):
    """What can be asked of a worker or a relay while it runs."""

    @property
    def content_type(self) -> str:
        """Of what :meth:`expose` returns."""
        ...

    def expose(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        ...

    def deaths(self, limits: Limits) -> list[str]:
        """Say which threads have taken no turn for too long."""
        ...

    def obstacles(self, limits: Limits) -> list[str]:
        """Say what keeps it from being ready."""
        ...


@contextmanager
def serving(address: str, metrics: Served, limits: Limits, *, step: int = 0) -> Iterator[int]:
    """Answer questions while the context is open, in threads of its own; yield the port.

    Answers come from memory: no request waits for log, store or batch.

    :param address: ``HOST:PORT``, or only a port on the loopback interface; port 0 takes any that is free.
    :param step: how many ports further on, as the processes of a machine cannot share one.
    :raises SettingsError: if nobody can listen there.
    """
    server = _listen(address, metrics, limits, step)
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="everwhen-http", daemon=True)
    thread.start()
    host, port = server.server_address[:2]
    shown = f"[{host!s}]" if ":" in str(host) else str(host)
    _log.info("http.listening http://%s:%d/metrics, /livez, /readyz", shown, port)
    try:
        yield int(port)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a client that says nothing must not keep the worker from ending

    def __init__(self, family: socket.AddressFamily, place: tuple[str, int], metrics: Served, limits: Limits) -> None:
        self.address_family = family
        self.metrics = metrics
        self.limits = limits
        super().__init__(place, _Answers)

    def server_bind(self) -> None:
        """Bind, without asking a name server for the host's name as the library would."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def handle_error(self, request: object, client_address: object) -> None:
        """Log in one line that a client went away or was too slow."""
        _log.debug("http.failed %s", client_address, exc_info=True)


class _Answers(BaseHTTPRequestHandler):
    server: _Server
    timeout = _CLIENT_SECONDS

    def do_GET(self) -> None:
        """Answer."""
        metrics, limits = self.server.metrics, self.server.limits
        path = self.path.partition("?")[0]
        if path == "/metrics":
            self._send(HTTPStatus.OK, metrics.content_type, metrics.expose())
        elif path == "/livez":
            self._judge(metrics.deaths(limits))
        elif path == "/readyz":
            self._judge(metrics.obstacles(limits))
        else:
            self._send(HTTPStatus.NOT_FOUND, _TEXT, b"there are /metrics, /livez and /readyz\n")

    def do_HEAD(self) -> None:
        """Answer without a body."""
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Log no request: they come every few seconds."""

    def version_string(self) -> str:
        """Tell nobody which Python this is."""
        return "everwhen"

    def _judge(self, complaints: list[str]) -> None:
        status = HTTPStatus.SERVICE_UNAVAILABLE if complaints else HTTPStatus.OK
        self._send(status, _TEXT, "".join(f"{line}\n" for line in complaints or ["ok"]).encode())

    def _send(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _listen(address: str, metrics: Served, limits: Limits, step: int) -> _Server:
    host, port = place_of(address, step)
    try:
        family, *_, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return _Server(family, (str(place[0]), int(place[1])), metrics, limits)
    except OSError as error:
        raise SettingsError(
            f"--http {host}:{port}: cannot listen there: {error.strerror}; choose another one"
        ) from error
