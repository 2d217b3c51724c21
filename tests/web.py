"""A web server on loopback that serves ranges of bytes, counts them, and fails on demand."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Web:
    """What is served and what was asked for.

    Attributes:
        url: where the server is.
        files: path -> content.
        requests: (method, path with query, range) of each request.
        sent: bytes of content that were sent.
        has_versions: whether ETag and Last-Modified are told.
        left: bytes of content until the connection breaks; None: it never does.
    """

    def __init__(self) -> None:
        self.url = ""
        self.files: dict[str, bytes] = {}
        self.requests: list[tuple[str, str, str]] = []
        self.sent = 0
        self.has_versions = True
        self.left: int | None = None

    def forget(self) -> None:
        """Count anew."""
        self.requests.clear()
        self.sent = 0


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Any

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._answer(False)

    def do_GET(self) -> None:
        self._answer(True)

    def _answer(self, with_body: bool) -> None:
        web: Web = self.server.web
        web.requests.append((self.command, self.path, self.headers.get("Range", "")))
        content = web.files.get(self.path.partition("?")[0])
        if content is None:
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        first, last = 0, len(content) - 1
        if found := re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            first, last = int(found[1]), min(int(found[2] or last), last)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(last - first + 1))
        if web.has_versions:
            self.send_header("ETag", f'"{hashlib.md5(content).hexdigest()}"')
            self.send_header("Last-Modified", "Sat, 28 Nov 2026 10:00:00 GMT")
        self.end_headers()
        if with_body:
            self._send(web, content[first : last + 1])

    def _send(self, web: Web, content: bytes) -> None:
        if web.left is not None:
            content, web.left = content[: web.left], max(0, web.left - len(content))
        web.sent += len(content)
        self.wfile.write(content)
        if web.left == 0:
            self.close_connection = True


@contextmanager
def serving() -> Iterator[Web]:
    """Serve on loopback while the block runs."""
    web = Web()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.web = web  # type: ignore[attr-defined]
    server.daemon_threads = True
    web.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
