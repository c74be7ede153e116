"""A server in front of a registry, or in its place, which answers late, wrongly, or not at all."""

from __future__ import annotations

import base64
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self


class Front:
    """Passes requests on to a registry, until it is told otherwise.

    :param url: the registry's.
    :ivar asked: the path of each request.
    """

    def __init__(self, url: str) -> None:
        self.asked: list[str] = []
        self._target = url
        self._answer: tuple[int, bytes] | None = None
        self._admitted: str | None = None
        self._flowing = threading.Event()
        self._flowing.set()
        front = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                front._serve(self)

            do_POST = do_GET

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class calls it so
                """Keep silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.flow()
        self._server.shutdown()
        self._server.server_close()

    def answer(self, status: int, body: bytes) -> None:
        """Answer everything so from now on."""
        self._answer = status, body

    def lock(self, user_info: str) -> None:
        """Let only this ``user:password`` in from now on, as a gateway in front of a registry does."""
        self._admitted = "Basic " + base64.b64encode(user_info.encode()).decode()

    def hold(self) -> None:
        """Answer nothing from now on."""
        self._flowing.clear()

    def flow(self) -> None:
        """Pass everything on again, also what was held."""
        self._answer = None
        self._flowing.set()

    def _serve(self, request: BaseHTTPRequestHandler) -> None:
        self.asked.append(request.path)
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        self._flowing.wait()
        if self._admitted not in (None, request.headers.get("Authorization")):
            status, answer = 401, b'{"error_code": 401, "message": "Unauthorized"}'
        else:
            status, answer = self._answer or self._passed_on(request, body)
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(answer)))
        request.end_headers()
        request.wfile.write(answer)

    def _passed_on(self, request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, bytes]:
        passed = urllib.request.Request(
            self._target + request.path, body or None, {"Content-Type": "application/json"}, method=request.command
        )
        try:
            with urllib.request.urlopen(passed, timeout=10) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
