"""An admin port that says whatever a test wants it to: the status page, and a /status.json of the test's own."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from mcproxy.observe.verdict import verdict
from mcproxy.server.status_page import page


class StatusServer:
    """On a port of 127.0.0.1 that the kernel chose. `status` is what /status.json holds, its verdict apart.

    Bytes are sent as they are; with None the connection is closed without an answer. `code` is its HTTP status.
    """

    def __init__(self) -> None:
        self.status: dict[str, Any] | bytes | None = None
        self.code = 200
        self.asked: list[str] = []
        """The paths of all requests."""
        served = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                served.asked.append(self.path)
                served._answer(self)

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        code, content_type, policy = self.code, "application/json", "default-src 'none'"
        if request.path == "/":
            code = 200
            body, content_type, policy = page()
        elif request.path != "/status.json":
            code, body = 404, b"not found\n"
        elif self.status is None:
            return
        elif isinstance(self.status, bytes):
            body = self.status
        else:
            body = json.dumps(self.status | {"verdict": verdict(self.status)}).encode()
        request.send_response(code)
        request.send_header("Content-Type", content_type)
        request.send_header("Content-Security-Policy", policy)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)
