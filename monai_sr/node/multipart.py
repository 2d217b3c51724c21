"""Read the body of an HTTP request part by part: multipart/related (RFC 2387, RFC 2046, RFC 9112).

Nothing is held but one block: a part may be as large as a disk. Every length has a limit, because
what arrives was written by others.
"""

from __future__ import annotations

from collections.abc import Iterator
from email.message import Message
from email.parser import BytesHeaderParser
from typing import BinaryIO

_BLOCK = 1 << 16
_MAX_LINE = 256  # of a chunk's length, its extensions and a trailer; longer ones are nobody's
_MAX_TRAILERS = 16
_MAX_PADDING = 256  # blanks after a boundary
_MAX_BOUNDARY = 70  # RFC 2046, 5.1.1


class BrokenBodyError(ValueError):
    """The body is not what its header says: truncated, or without the boundary it names."""


class LargeBodyError(ValueError):
    """The body, a part, a header or the count of parts is beyond its limit."""


class RequestBody:
    """The bytes of one request's body, of a length told before or in chunks (RFC 9112, 7.1).

    Args:
        stream: what follows the header.
        length: Content-Length; None for chunks.
        limit: bytes that the body may have, of chunks without their lengths.

    Raises:
        LargeBodyError: the length is beyond the limit.
    """

    def __init__(self, stream: BinaryIO, length: int | None, limit: int) -> None:
        self._stream = stream
        self._is_chunked = length is None
        self._left = length or 0  # of the body, or of this chunk
        self._allowed = limit
        self._is_at_end = length == 0
        self._is_first = True
        if self._left > limit:
            raise LargeBodyError("body")

    def read(self, size: int = _BLOCK) -> bytes:
        """Return up to ``size`` bytes; none at the end.

        Raises:
            BrokenBodyError: the connection ends too early, or a chunk is none.
            LargeBodyError: there is more than the limit.
        """
        if self._is_chunked and not self._left and not self._is_at_end:
            self._next_chunk()
        if self._is_at_end:
            return b""
        found = self._stream.read(min(size, self._left))
        if not found:
            raise BrokenBodyError("body ends early")
        self._left -= len(found)
        self._is_at_end = not self._is_chunked and not self._left
        return found

    def drain(self) -> None:
        """Read what is left, so that the next request of the connection begins behind it."""
        while self.read():
            pass

    def _next_chunk(self) -> None:
        if not self._is_first and self._line() != b"":
            raise BrokenBodyError("chunk without end")
        self._is_first = False
        digits = self._line().partition(b";")[0].strip()
        if not digits or digits.strip(b"0123456789abcdefABCDEF"):
            raise BrokenBodyError("chunk without length")
        self._left = int(digits, 16)
        self._allowed -= self._left
        if self._allowed < 0:
            raise LargeBodyError("body")
        if not self._left:
            self._is_at_end = True
            self._skip_trailers()

    def _skip_trailers(self) -> None:
        for _ in range(_MAX_TRAILERS):
            if not self._line():
                return
        raise LargeBodyError("trailers")

    def _line(self) -> bytes:
        line = self._stream.readline(_MAX_LINE)
        if not line.endswith(b"\n"):
            raise BrokenBodyError("line without end")
        return line.rstrip(b"\r\n")


class Multipart:
    """The parts of a body, one after another.

    Args:
        body: of the request.
        boundary: the parameter of its Content-Type.
        max_parts: how many there may be.
        max_header: bytes of a part's header.
        max_part: bytes of a part.

    Raises:
        BrokenBodyError: the boundary is none.
    """

    def __init__(
        self, body: RequestBody, boundary: str, *, max_parts: int, max_header: int, max_part: int
    ) -> None:
        if not 1 <= len(boundary) <= _MAX_BOUNDARY or not boundary.isascii():
            raise BrokenBodyError("boundary")
        self._body = body
        self._delimiter = b"\r\n--" + boundary.encode("ascii")
        # The first boundary need not have a line before it.
        self._buffer = b"\r\n"
        self._max_parts, self._max_header, self._max_part = max_parts, max_header, max_part
        self._is_inside = False

    def __iter__(self) -> Iterator[Message]:
        """Yield the header of each part; :meth:`content` has its bytes. What is left is skipped.

        Raises:
            BrokenBodyError: the body ends early, or a header is none.
            LargeBodyError: a limit is exceeded.
        """
        for _ in self._until_delimiter(None):  # a preamble says nothing (RFC 2046, 5.1.1)
            pass
        count = 0
        while self._begins_part():
            count += 1
            if count > self._max_parts:
                raise LargeBodyError("parts")
            header = self._header()
            self._is_inside = True
            yield header
            for _ in self.content():
                pass
        self._body.drain()

    def content(self) -> Iterator[bytes]:
        """Yield the bytes of the part whose header came last, in blocks; nothing a second time.

        Raises:
            BrokenBodyError: the body ends early.
            LargeBodyError: the part is beyond its limit.
        """
        if self._is_inside:
            yield from self._until_delimiter(self._max_part)
            self._is_inside = False

    def _until_delimiter(self, limit: int | None) -> Iterator[bytes]:
        keep = len(self._delimiter) - 1  # what may be the beginning of one
        passed = 0
        while True:
            at = self._buffer.find(self._delimiter)
            ready = at if at >= 0 else max(len(self._buffer) - keep, 0)
            passed += ready
            if limit is not None and passed > limit:
                raise LargeBodyError("part")
            block, self._buffer = self._buffer[:ready], self._buffer[ready:]
            if block:
                yield block
            if at >= 0:
                self._buffer = self._buffer[len(self._delimiter) :]
                return
            self._more()

    def _begins_part(self) -> bool:
        """Pass the end of a boundary's line; tell whether a part begins there."""
        while len(self._buffer) < 2:
            self._more()
        if self._buffer.startswith(b"--"):
            self._buffer = b""
            return False
        padding = self._take(b"\r\n", _MAX_PADDING)
        if padding.strip(b" \t"):
            raise BrokenBodyError("boundary inside a part")
        return True

    def _header(self) -> Message:
        # A part may have no header at all; its empty line then follows at once.
        self._buffer = b"\r\n" + self._buffer
        text = self._take(b"\r\n\r\n", self._max_header)
        return BytesHeaderParser().parsebytes(text[2:] + b"\r\n\r\n")

    def _take(self, end: bytes, limit: int) -> bytes:
        """Take what stands before ``end``, and that with it."""
        while (at := self._buffer.find(end)) < 0:
            if len(self._buffer) > limit:
                raise LargeBodyError("header")
            self._more()
        if at > limit:
            raise LargeBodyError("header")
        taken, self._buffer = self._buffer[:at], self._buffer[at + len(end) :]
        return taken

    def _more(self) -> None:
        block = self._body.read()
        if not block:
            raise BrokenBodyError("body without last boundary")
        self._buffer += block
