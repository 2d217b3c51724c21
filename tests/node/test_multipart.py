"""Bodies of HTTP requests are read part by part, in any blocks, within their limits."""

from __future__ import annotations

import io
from email.generator import BytesGenerator
from email.mime.application import MIMEApplication
from email.mime.multipart import MIMEMultipart

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_sr.node.multipart import BrokenBodyError, LargeBodyError, Multipart, RequestBody

LIMITS = {"max_parts": 10, "max_header": 200, "max_part": 100_000}


class Trickle(io.BytesIO):
    """A connection that gives as many bytes as it likes."""

    def __init__(self, data: bytes, most: int) -> None:
        super().__init__(data)
        self.most = most

    def read(self, size=-1):
        return super().read(min(size, self.most) if size >= 0 else self.most)


def parts_of(data, boundary="b", most=1 << 20, **limits):
    body = RequestBody(Trickle(data, most), len(data), 1 << 20)
    parts = Multipart(body, boundary, **(LIMITS | limits))
    return [(part.get_content_type(), b"".join(parts.content())) for part in parts]


def encoded(contents, boundary=b"b", kind=b"application/dicom"):
    """As clients of DICOMweb write it."""
    whole = b"".join(
        b"\r\n--" + boundary + b"\r\nContent-Type: " + kind + b"\r\n\r\n" + content
        for content in contents
    )
    return whole + b"\r\n--" + boundary + b"--"


def chunked(data, size, extension=b"", trailer=b""):
    pieces = [data[i : i + size] for i in range(0, len(data), size)]
    return (
        b"".join(b"%x%s\r\n%s\r\n" % (len(p), extension, p) for p in pieces)
        + b"0\r\n" + trailer + b"\r\n"
    )  # fmt: skip


CONTENTS = st.lists(
    st.one_of(st.binary(max_size=40), st.sampled_from([b"\r\n--", b"\r\n", b"--", b"\r\n-", b""])),
    max_size=5,
)


@given(contents=CONTENTS, most=st.integers(1, 30))
def test_parts_come_out_as_they_went_in_whatever_the_blocks(contents, most):
    data = encoded(contents, b"unlikely0123456789")
    found = parts_of(data, "unlikely0123456789", most)
    assert found == [("application/dicom", content) for content in contents]


def test_what_the_standard_library_writes_is_read():
    message = MIMEMultipart("related", boundary="xyz")
    for content in (b"one\n", b"two"):
        message.attach(MIMEApplication(content, "dicom", lambda part: None))
    stream = io.BytesIO()
    BytesGenerator(stream, policy=message.policy.clone(linesep="\r\n")).flatten(message)
    data = b"a preamble\r\n" + stream.getvalue().partition(b"\r\n\r\n")[2] + b"an epilogue"
    assert [kind for kind, _ in parts_of(data, "xyz")] == ["application/dicom"] * 2


def test_a_part_without_header_and_blanks_after_a_boundary_are_read():
    assert parts_of(b"--b \t\r\n\r\ncontent\r\n--b--\r\n") == [("text/plain", b"content")]


def test_a_part_that_nobody_reads_is_passed():
    data = encoded([b"first", b"second"])
    parts = Multipart(RequestBody(io.BytesIO(data), len(data), 1000), "b", **LIMITS)
    assert len(list(parts)) == 2


@pytest.mark.parametrize(
    "data",
    [
        b"", b"--b\r\n", b"--b\r\nContent-Type: a/b\r\n\r\nno end", b"nothing of the kind",
        b"--b\r\n\r\ncontent\r\n--b", b"--bc\r\n\r\ncontent\r\n--bc--", encoded([b"1"])[:-1],
    ],
)  # fmt: skip
def test_a_truncated_body_is_refused(data):
    with pytest.raises(BrokenBodyError):
        parts_of(data)


@pytest.mark.parametrize("boundary", ["", "a" * 71, "ä"])
def test_a_boundary_must_be_one(boundary):
    with pytest.raises(BrokenBodyError, match="boundary"):
        parts_of(b"", boundary)


@pytest.mark.parametrize(
    ("limits", "what"),
    [({"max_parts": 1}, "parts"), ({"max_header": 5}, "header"), ({"max_part": 5}, "part")],
)
@pytest.mark.parametrize("most", [1, 1 << 20])
def test_limits_hold(limits, what, most):
    data = encoded([b"123456", b"2"])
    with pytest.raises(LargeBodyError, match=what):
        parts_of(data, most=most, **limits)


def test_a_part_of_exactly_the_limit_is_read():
    assert parts_of(encoded([b"12345"]), max_part=5) == [("application/dicom", b"12345")]


def read_chunks(data, limit=1000, most=1 << 20):
    body = RequestBody(Trickle(data, most), None, limit)
    return b"".join(iter(body.read, b""))


@given(data=st.binary(max_size=60), size=st.integers(1, 20), most=st.integers(1, 9))
def test_chunks_come_out_whole(data, size, most):
    text = chunked(data, size, b";name=value", b"Trailer: 1\r\n")
    stream = Trickle(text + b"next request", most)
    body = RequestBody(stream, None, 1000)
    assert b"".join(iter(body.read, b"")) == data
    assert body.read() == b""
    assert io.BytesIO.read(stream) == b"next request"


@pytest.mark.parametrize(
    "data",
    [
        b"", b"3\r\nabc", b"3\r\nabcd\r\n0\r\n\r\n", b"-3\r\nabc\r\n0\r\n\r\n", b"\r\n",
        b"x\r\n", b"3" * 300, b"+3\r\nabc\r\n0\r\n\r\n", b"0x3\r\nabc\r\n0\r\n\r\n", b"0\r\n",
    ],
)  # fmt: skip
def test_broken_chunks_are_refused(data):
    with pytest.raises(BrokenBodyError):
        read_chunks(data)


def test_the_limit_of_a_body_holds_before_it_is_read():
    with pytest.raises(LargeBodyError, match="body"):
        RequestBody(io.BytesIO(b""), 11, 10)
    assert read_chunks(chunked(b"0123456789", 5), limit=10) == b"0123456789"
    with pytest.raises(LargeBodyError, match="body"):
        read_chunks(b"b\r\n", limit=10)
    with pytest.raises(LargeBodyError, match="trailers"):
        read_chunks(b"0\r\n" + b"A: b\r\n" * 20 + b"\r\n")


def test_a_body_that_ends_early_is_told():
    body = RequestBody(io.BytesIO(b"12"), 3, 10)
    assert body.read() == b"12"
    with pytest.raises(BrokenBodyError, match="ends early"):
        body.read()
