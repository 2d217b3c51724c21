"""The node's HTTP door: DICOM by STOW-RS (PS3.18 10.5), its health, its Prometheus metrics.

One thread a connection, the standard library's server. Who may call is decided by address before
a byte is read, and by a bearer token (RFC 6750) for what stores. Logs name no path: it has UIDs.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import Any, Protocol

from monai_sr.core import OptionError, OutputError, get_logger
from monai_sr.node.config import HttpConfig, Limits
from monai_sr.node.dimse import server_context
from monai_sr.node.multipart import BrokenBodyError, LargeBodyError, RequestBody

_LOG = get_logger(__name__)
_WATCHERS = 4  # connections for health and metrics beside those that store
_POLL_SECONDS = 0.1
_DRAIN_BYTES = 1 << 20
_DRAIN_SECONDS = 2.0
_STUDIES = re.compile(r"/studies(?:/([^/?]+))?/?(?:\?.*)?")


@dataclass(frozen=True)
class Answer:
    """What is sent back: status, body, its media type, and fields of the header."""

    status: int
    body: bytes = b""
    kind: str = "text/plain; charset=utf-8"
    fields: Mapping[str, str] = field(default_factory=dict)


class Refused(Exception):  # noqa: N818  it is an answer, not a fault
    """A request that is answered with a status and one line.

    Args:
        status: of HTTP.
        line: what must hold, without identifiers.
        fields: of the answer's header.
    """

    def __init__(self, status: int, line: str, **fields: str) -> None:
        super().__init__(line)
        self.status = status
        self.fields = {name.replace("_", "-"): value for name, value in fields.items()}


class Store(Protocol):
    """What takes the instances of a request."""

    def admit(self, length: int | None) -> None:
        """Raise :class:`Refused` (503, 413) where a body of this length cannot be taken now."""

    def post(self, body: RequestBody, content_type: Any, study_uid: str | None) -> Answer:
        """Store the instances of a body; the answer is PS3.18's, after they are on the disk."""


@dataclass(frozen=True)
class Door:
    """How the HTTP server listens, and to whom.

    Args:
        host: address to listen on.
        port: 0 for any free one.
        prefix: path before ``/studies``.
        peers: addresses and networks that may call.
        token: what ``Authorization: Bearer`` must hold to store; "" for nothing.
        tls: context of the server's side; None for plain HTTP.
        limit: bytes of a body.
        connections: at a time; more are answered 503.
        seconds: that a peer may be silent.
    """

    host: str = "127.0.0.1"
    port: int = 0
    prefix: str = "/dicom-web"
    peers: tuple[str, ...] = ("127.0.0.0/8", "::1")
    token: str = field(default="", repr=False)
    tls: ssl.SSLContext | None = None
    limit: int = 1 << 34
    connections: int = 16
    seconds: float = 30.0

    @classmethod
    def of(cls, config: HttpConfig, limits: Limits) -> Door:
        """Return what a configuration says.

        Args:
            config: of the HTTP side.
            limits: of the node; each association it allows is one connection here, too.

        Raises:
            OptionError: a certificate or the token's file cannot be used.
        """
        return cls(
            config.host, config.port, config.prefix, config.peers,
            token="" if config.token_file is None else read_token(config.token_file),
            tls=None if config.tls is None else server_context(config.tls, "http"),
            limit=limits.spool_bytes, connections=limits.associations + _WATCHERS,
            seconds=limits.idle_seconds,
        )  # fmt: skip


class HttpServer(ThreadingHTTPServer):
    """The server; :meth:`start` begins, :meth:`stop` ends.

    Args:
        door: how it listens.
        store: takes instances.
        pages: what a GET of a path is answered, such as ``/health``.

    Raises:
        OutputError: the port cannot be had.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, door: Door, store: Store, pages: Mapping[str, Callable[[], Answer]]) -> None:
        self.door, self.store, self.pages = door, store, dict(pages)
        self._peers = [ipaddress.ip_network(peer) for peer in door.peers]
        self._thread: threading.Thread | None = None
        self._working: set[int] = set()  # threads that answer a request
        self._free = threading.BoundedSemaphore(door.connections)
        if ":" in door.host:
            self.address_family = socket.AF_INET6
        try:
            super().__init__((door.host, door.port), _Handler)
        except OSError as error:
            raise OutputError(
                f"{door.host}:{door.port}: cannot be listened on, got '{error.strerror}'; "
                "choose another host or port"
            ) from error

    def start(self) -> None:
        """Serve in a thread."""
        self._thread = threading.Thread(
            target=self.serve_forever, args=(_POLL_SECONDS,), name="http", daemon=True
        )
        self._thread.start()

    def stop(self, grace_seconds: float = 10.0) -> None:
        """Take no new connections; requests that have begun may finish.

        Args:
            grace_seconds: for how long.
        """
        if self._thread is not None:
            self.shutdown()
            self._thread.join()
        self.server_close()
        end = time.monotonic() + grace_seconds
        while self._working and time.monotonic() < end:
            time.sleep(_POLL_SECONDS)

    @contextmanager
    def working(self) -> Iterator[None]:
        """Be waited for by :meth:`stop`."""
        thread = threading.get_ident()
        self._working.add(thread)
        try:
            yield
        finally:
            self._working.discard(thread)

    def server_bind(self) -> None:
        """Bind without the reverse look-up of names, which may wait for a network."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.door.host, self.server_address[1]

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Close connections of addresses that are not listed, before a byte is read."""
        address = _plain_address(client_address[0])
        is_listed = any(address in network for network in self._peers)
        if not is_listed:
            _LOG.warning("HTTP: a call from an address that is not listed was closed")
        return is_listed

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give a connection its thread, or say that there are too many."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
            return
        if self.door.tls is None:
            request.settimeout(1.0)
            with suppress(OSError):
                request.sendall(_TOO_MANY)
        self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection; its place is free afterwards."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Shake hands in the connection's own thread: a slow peer makes nobody else wait."""
        if self.door.tls is None:
            super().finish_request(request, client_address)
            return
        request.settimeout(self.door.seconds)
        with self.door.tls.wrap_socket(request, server_side=True) as secure:
            super().finish_request(secure, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log the kind of what went wrong; its text may hold what was sent."""
        error = sys.exc_info()[1]
        level = _LOG.info if isinstance(error, OSError) else _LOG.error
        level("HTTP: a connection ended with %s", type(error).__name__)


_TOO_MANY = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\n"
    b"Connection: close\r\n\r\n"
)


def _plain_address(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return an IPv4 address that came through an IPv6 socket as IPv4, without a zone."""
    found = ipaddress.ip_address(address.partition("%")[0])
    return getattr(found, "ipv4_mapped", None) or found


def read_token(file: Path) -> str:
    """Return the first line of a file that holds a token.

    Raises:
        OptionError: it cannot be read, or holds none.
    """
    try:
        token = file.read_text(encoding="ascii").partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(
            f"{file}: must be a readable file with a token, got {type(error).__name__}; "
            "write one, such as that of openssl rand -hex 32"
        ) from error
    if not token:
        raise OptionError(
            f"{file}: must hold a token in its first line, got none; "
            "write one, such as that of openssl rand -hex 32"
        )
    return token


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: HttpServer
    server_version = "monai-sr"
    sys_version = ""
    default_request_version = "HTTP/1.0"  # 0.9 has no status

    def setup(self) -> None:
        super().setup()
        self.connection.settimeout(self.server.door.seconds)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base's name
        """Say nothing: the line has the path, which has UIDs."""

    def handle_expect_100(self) -> bool:
        """Wait with it until the body is wanted (RFC 9110, 10.1.1)."""
        return True

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what cannot be parsed without its text."""
        self._refuse(Refused(code, HTTPStatus(code).phrase))

    def do_GET(self) -> None:
        """Answer a page."""
        page = self.server.pages.get(self.path.partition("?")[0])
        if page is None:
            self._refuse(Refused(HTTPStatus.NOT_FOUND, "path: must be one of this node"))
        elif self.headers.get("Content-Length", "0") != "0" or self.headers["Transfer-Encoding"]:
            self._refuse(Refused(HTTPStatus.BAD_REQUEST, "body: must be absent"))
        else:
            self._send(page())

    def do_POST(self) -> None:
        """Store what is sent."""
        try:
            with self.server.working():
                answer = self._post()
        except Refused as refused:
            self._refuse(refused)
        except LargeBodyError as error:
            self._refuse(Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"{error}: is too large"))
        except (BrokenBodyError, TimeoutError) as error:
            self._refuse(Refused(HTTPStatus.BAD_REQUEST, f"body: must be whole, got '{error}'"))
        except Exception as error:  # the peer must not wait for an answer that never comes
            _LOG.error("HTTP: a request failed with %s", type(error).__name__)
            self._refuse(Refused(HTTPStatus.INTERNAL_SERVER_ERROR, "node: has failed"))
        else:
            self._send(answer)

    def _post(self) -> Answer:
        door = self.server.door
        path = self.path.removeprefix(door.prefix) if self.path.startswith(door.prefix) else ""
        match = _STUDIES.fullmatch(path)
        if match is None:
            raise Refused(HTTPStatus.NOT_FOUND, "path: must be that of studies")
        self._check_token(door.token)
        length = self._length()
        body_of = self.server.store
        body_of.admit(length)
        body = RequestBody(self.rfile, length, door.limit)  # type: ignore[arg-type]
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.send_response_only(HTTPStatus.CONTINUE)
            self.end_headers()
        return body_of.post(body, self.headers, match[1])

    def _check_token(self, token: str) -> None:
        given = self.headers.get("Authorization", "")
        if token and not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
            raise Refused(
                HTTPStatus.UNAUTHORIZED, "Authorization: must be the bearer token of this node",
                WWW_Authenticate="Bearer",
            )  # fmt: skip

    def _length(self) -> int | None:
        """Return Content-Length, None for chunks; both at once is an attack (RFC 9112, 6.3)."""
        lengths = self.headers.get_all("Content-Length", [])
        encoding = self.headers.get("Transfer-Encoding")
        if encoding is not None:
            if encoding.strip().lower() != "chunked":
                raise Refused(HTTPStatus.NOT_IMPLEMENTED, "Transfer-Encoding: must be chunked")
            if lengths:
                raise Refused(HTTPStatus.BAD_REQUEST, "Content-Length: must be absent with chunks")
            return None
        if not lengths:
            raise Refused(HTTPStatus.LENGTH_REQUIRED, "Content-Length: must be given")
        if len(lengths) > 1 or not re.fullmatch(r"[0-9]{1,18}", lengths[0].strip()):
            raise Refused(HTTPStatus.BAD_REQUEST, "Content-Length: must be one number")
        return int(lengths[0])

    def _refuse(self, refused: Refused) -> None:
        """Answer without having read the body: the connection cannot go on."""
        self.close_connection = True
        self._send(Answer(refused.status, f"{refused}\n".encode(), fields=refused.fields))
        self._linger()

    def _linger(self) -> None:
        """Take what still comes for a moment: closing at once would lose the answer on its way."""
        left = _DRAIN_BYTES
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(_DRAIN_SECONDS)
            while left > 0 and (block := self.connection.recv(1 << 16)):
                left -= len(block)

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        for name, value in answer.fields.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(answer.body)
