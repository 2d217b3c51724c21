"""Serves a view to the browser of the same person on the same machine, and to nobody else.

It listens on the loopback address alone. Other users of the machine and pages of other sites do
not know the token in the address; a site that lets its own name point here (DNS rebinding) is told
by the Host header. A request names a layer, numbers and nothing else: no path leads to a file.
"""

from __future__ import annotations

import hmac
import json
import math
import re
import secrets
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from monai_sr.core import OutputError, get_logger
from monai_sr.reports import render
from monai_sr.viewer.pyramid import TileId
from monai_sr.viewer.view import View

logger = get_logger(__name__)

ADDRESS = "127.0.0.1"
_HOSTS = (ADDRESS, "localhost")
_TOKEN_BYTES = 24
_IDLE_SECONDS = 60
_MOST_FIELDS = 10
_SECURITY = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_POLICY = re.compile(r'http-equiv="Content-Security-Policy" content="([^"]*)"')


class ViewServer(ThreadingHTTPServer):
    """A server of one view.

    Args:
        view: what is shown.
        port: where to listen; 0: any free port.

    Attributes:
        address: of the page, its token included.

    Raises:
        OutputError: the port is taken or may not be used.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, view: View, port: int = 0) -> None:
        self.view = view
        self.token = secrets.token_urlsafe(_TOKEN_BYTES)
        self.page = render("view.html", "monai_sr.viewer")
        # Inside of the page it cannot say who may frame it.
        found = _POLICY.search(self.page)
        policy = "default-src 'none'" if found is None else found[1].replace("&#39;", "'")
        self.policy = f"{policy}; frame-ancestors 'none'"
        try:
            super().__init__((ADDRESS, port), _Handler)
        except (OSError, OverflowError) as error:
            raise OutputError(
                f"port: must be free and from 0 to 65535, got {port}; leave --port out"
            ) from error
        self.hosts = {f"{host}:{self.server_port}" for host in _HOSTS}
        self.address = f"http://{ADDRESS}:{self.server_port}/{self.token}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing on the terminal: a browser drops connections as it likes."""
        logger.debug("a request failed", exc_info=True)


class _RefusedError(Exception):
    """A request that is not answered."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status.phrase)
        self.status = status


class _Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: ViewServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "monai-sr", ""
    timeout = _IDLE_SECONDS

    def do_GET(self) -> None:
        """Answer."""
        try:
            self._check_host()
            kind, body = self._answer()
        except _RefusedError as refused:
            self._send(refused.status, "text/plain", refused.status.phrase.encode())
        except Exception:
            logger.debug("a request failed", exc_info=True)
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            self._send(status, "text/plain", status.phrase.encode())
        else:
            self._send(HTTPStatus.OK, kind, body)

    def _refuse(self) -> None:
        self.close_connection = True  # what follows the head is not read
        status = HTTPStatus.METHOD_NOT_ALLOWED
        self._send(status, "text/plain", status.phrase.encode())

    do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_HEAD = do_TRACE = _refuse  # noqa: N815

    def _check_host(self) -> None:
        named = self.headers.get_all("Host") or []
        if len(named) != 1 or named[0].lower() not in self.server.hosts:
            raise _RefusedError(HTTPStatus.FORBIDDEN)

    def _answer(self) -> tuple[str, bytes]:
        parts = urlsplit(self.path)
        _, token, *rest = f"{parts.path}/".split("/")
        if not hmac.compare_digest(token.encode(), self.server.token.encode()):
            raise _RefusedError(HTTPStatus.NOT_FOUND)
        try:
            query = parse_qs(parts.query, max_num_fields=_MOST_FIELDS)
        except ValueError:
            raise _RefusedError(HTTPStatus.BAD_REQUEST) from None
        given = {name: values[-1] for name, values in query.items()}
        view = self.server.view
        match rest:
            case ["", ""]:
                return "text/html; charset=utf-8", self.server.page.encode()
            case ["state", ""]:
                return _json(view.state())
            case ["tile", ""]:
                which = TileId(*(_whole(given, name) for name in ("slice", *TileId._fields[1:])))
                tile = view.tile(given.get("layer", ""), which, _window(given))
                if tile is None:
                    raise _RefusedError(HTTPStatus.NOT_FOUND)
                return "image/png", tile
            case ["values", ""]:
                found = view.values(
                    _number(given, "x"), _number(given, "y"), _whole(given, "slice")
                )
                if found is None:
                    raise _RefusedError(HTTPStatus.NOT_FOUND)
                return _json(found)
        raise _RefusedError(HTTPStatus.NOT_FOUND)

    def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", self.server.policy)
        for name, value in _SECURITY.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log nothing: the address holds the token."""


def _json(content: Any) -> tuple[str, bytes]:
    return "application/json", json.dumps(content, allow_nan=False).encode()


def _number(given: dict[str, str], name: str) -> float:
    try:
        value = float(given[name])
    except (KeyError, ValueError):
        raise _RefusedError(HTTPStatus.BAD_REQUEST) from None
    if not math.isfinite(value):
        raise _RefusedError(HTTPStatus.BAD_REQUEST)
    return value


def _whole(given: dict[str, str], name: str) -> int:
    value = _number(given, name)
    if value != int(value):
        raise _RefusedError(HTTPStatus.BAD_REQUEST)
    return int(value)


def _window(given: dict[str, str]) -> tuple[float, float] | None:
    if "low" not in given and "high" not in given:
        return None
    low, high = _number(given, "low"), _number(given, "high")
    if not low < high:
        raise _RefusedError(HTTPStatus.BAD_REQUEST)
    return low, high
