"""The HTTP door: who may call, what is refused before a body is read, and how."""

from __future__ import annotations

import http.client
import logging
import socket
import ssl
import threading
import time
from contextlib import closing, contextmanager, suppress
from dataclasses import replace

import pytest

from monai_sr.core import OutputError
from monai_sr.node.config import HttpConfig, Limits
from monai_sr.node.http import Answer, Door, HttpServer, Refused
from tests.node.certificates import make_certificates

STUDIES = "/dicom-web/studies"


class Kept:
    """Keeps the bodies that it is given."""

    def __init__(self):
        self.bodies, self.studies, self.is_full, self.lengths = [], [], False, []

    def admit(self, length):
        self.lengths.append(length)
        if self.is_full:
            raise Refused(503, "spool: must have room", Retry_After="30")

    def post(self, body, headers, study_uid):
        self.bodies.append(b"".join(iter(body.read, b"")))
        self.studies.append(study_uid)
        return Answer(200, b"{}", "application/dicom+json")


@contextmanager
def serving(door=None, store=None, pages=None):
    health = {"/health": lambda: Answer(200, b'{"ok":true}', "application/json")}
    server = HttpServer(door or Door(), store or Kept(), health if pages is None else pages)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def ask(server, method, path, body=None, headers=None, **options):
    address = ("127.0.0.1", server.server_port)
    with closing(http.client.HTTPConnection(*address, timeout=10)) as connection:
        connection.request(method, path, body, headers or {}, **options)
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers


def say(server, text):
    """Send bytes as they are; return the whole answer."""
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=10) as peer:
        peer.sendall(text)
        return b"".join(iter(lambda: peer.recv(1 << 16), b""))


def test_a_body_reaches_the_store_with_its_length_or_in_chunks():
    store = Kept()
    with serving(store=store) as server:
        assert ask(server, "POST", STUDIES, b"abc")[0] == 200
        whole = iter([b"ab", b"", b"cd"])
        assert ask(server, "POST", f"{STUDIES}/1.2.3", whole, encode_chunked=True)[:2] == (
            200, b"{}",
        )  # fmt: skip
    assert store.bodies == [b"abc", b"abcd"]
    assert store.studies == [None, "1.2.3"]
    assert store.lengths == [3, None]


def test_one_connection_serves_many_requests():
    store = Kept()
    with serving(store=store) as server:
        address = ("127.0.0.1", server.server_port)
        with closing(http.client.HTTPConnection(*address, timeout=10)) as connection:
            for content in (b"1", b"22"):
                connection.request("POST", STUDIES, content)
                assert connection.getresponse().read() == b"{}"
            connection.request("GET", "/health")
            assert connection.getresponse().read() == b'{"ok":true}'
    assert store.bodies == [b"1", b"22"]


def test_a_full_spool_is_told_before_the_body_is_sent():
    store = Kept()
    store.is_full = True
    head = f"POST {STUDIES} HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n".encode()
    with serving(store=store) as server:
        for expect in (b"", b"Expect: 100-continue\r\n"):
            answer = say(server, head + expect + b"\r\n")
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"\r\nRetry-After: 30\r\n" in answer
            assert answer.endswith(b"spool: must have room\n")
    assert store.bodies == []


def test_a_refusal_arrives_although_the_peer_is_still_sending():
    store = Kept()
    store.is_full = True
    with serving(store=store) as server:
        assert ask(server, "POST", STUDIES, b"a" * 700_000)[0] == 503


def test_a_peer_that_waits_is_told_to_go_on():
    store = Kept()
    with serving(store=store) as server:
        address = ("127.0.0.1", server.server_port)
        with socket.create_connection(address, timeout=10) as peer:
            peer.sendall(
                f"POST {STUDIES} HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n"
                "Expect: 100-continue\r\n\r\n".encode()
            )
            assert peer.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
            peer.sendall(b"abc")
            assert peer.recv(100).startswith(b"HTTP/1.1 200 ")
    assert store.bodies == [b"abc"]


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        ("GET /nothing HTTP/1.1\r\n\r\n", 404),
        ("GET /health HTTP/1.1\r\nContent-Length: 3\r\n\r\n", 400),
        ("POST /studies HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 404),
        (f"POST {STUDIES}/1.2/series HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 404),
        (f"POST {STUDIES} HTTP/1.1\r\n\r\n", 411),
        (f"POST {STUDIES} HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (f"POST {STUDIES} HTTP/1.1\r\nContent-Length: 1_0\r\n\r\n", 400),
        (f"POST {STUDIES} HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (
            f"POST {STUDIES} HTTP/1.1\r\nContent-Length: 1\r\n"
            "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400,
        ),
        (f"POST {STUDIES} HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
        (f"POST {STUDIES} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
        (f"POST {STUDIES} HTTP/1.1\r\nContent-Length: 1001\r\n\r\n", 413),
        (f"POST {STUDIES} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n", 413),
        (f"DELETE {STUDIES} HTTP/1.1\r\n\r\n", 501),
        ("nonsense\r\n\r\n", 400),
        (f"GET /{'a' * 70_000} HTTP/1.1\r\n\r\n", 414),
        ("GET / HTTP/1.1\r\n" + "A: b\r\n" * 200 + "\r\n", 431),
    ],
)  # fmt: skip
def test_wrong_requests_are_refused_with_their_status(request_text, status):
    store = Kept()
    with serving(Door(limit=1000), store) as server:
        answer = say(server, request_text.encode())
    assert int(answer.split()[1]) == status, answer
    assert b"Traceback" not in answer
    assert store.bodies == []


def test_a_truncated_body_is_no_success():
    with serving() as server, socket.create_connection(("127.0.0.1", server.server_port)) as peer:
        peer.sendall(f"POST {STUDIES} HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc".encode())
        peer.shutdown(socket.SHUT_WR)
        assert peer.recv(100).startswith(b"HTTP/1.1 400 ")


def test_an_address_that_is_not_listed_hears_nothing(caplog):
    with serving(Door(peers=("10.0.0.1",))) as server, suppress(ConnectionResetError):
        assert say(server, b"GET /health HTTP/1.1\r\n\r\n") == b""
    assert "not listed" in caplog.text


def test_storing_needs_the_token_and_watching_does_not():
    store = Kept()
    with serving(Door(token="s3cret"), store) as server:
        for given in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "s3cret"}):
            status, _, headers = ask(server, "POST", STUDIES, b"abc", given)
            assert (status, headers["WWW-Authenticate"]) == (401, "Bearer")
        assert ask(server, "POST", STUDIES, b"abc", {"Authorization": "Bearer s3cret"})[0] == 200
        assert ask(server, "GET", "/health")[0] == 200
    assert store.bodies == [b"abc"]
    assert "s3cret" not in repr(Door(token="s3cret"))


def test_too_many_connections_are_told_so_and_later_ones_are_served():
    with serving(Door(connections=1)) as server:
        held = socket.create_connection(("127.0.0.1", server.server_port), timeout=10)
        held.sendall(b"GET /health HTTP/1.1\r\n")
        time.sleep(0.1)
        assert b"503 Service Unavailable" in say(server, b"")
        held.close()
        for _ in range(100):
            time.sleep(0.02)
            with socket.create_connection(("127.0.0.1", server.server_port)) as peer:
                peer.sendall(b"GET /health HTTP/1.0\r\n\r\n")
                if b" 200 " in peer.recv(1000):
                    return
    pytest.fail("the place was not given back")


def test_stopping_waits_for_a_request_that_has_begun():
    begun = threading.Event()

    class Slow(Kept):
        def post(self, body, headers, study_uid):
            begun.set()
            time.sleep(0.3)
            return super().post(body, headers, study_uid)

    answers = []
    with serving(store=Slow()) as server:
        peer = threading.Thread(target=lambda: answers.append(ask(server, "POST", STUDIES, b"a")))
        peer.start()
        begun.wait(5)
    peer.join(5)
    assert [status for status, _, _ in answers] == [200]


def test_a_port_that_is_taken_is_told():
    with serving() as server, pytest.raises(OutputError, match="choose another host or port"):
        HttpServer(Door(port=server.server_port), Kept(), {})


def test_a_configuration_opens_the_door(tmp_path):
    (tmp_path / "token").write_text("s3cret\n")
    config = HttpConfig(1, prefix="/a", peers=("10.0.0.0/8",), token_file=tmp_path / "token")
    door = Door.of(config, Limits(associations=3, spool_bytes=9, idle_seconds=2.0))
    assert (door.port, door.prefix, door.peers, door.token) == (1, "/a", ("10.0.0.0/8",), "s3cret")
    assert (door.limit, door.connections, door.seconds, door.tls) == (9, 7, 2.0, None)


def test_a_silent_peer_is_let_go():
    with serving(Door(seconds=0.1)) as server:
        assert say(server, b"GET /health HTTP/1.1\r\n") == b""
        assert say(server, f"POST {STUDIES} HTTP/1.1\r\nContent-Length: 9\r\n\r\n".encode()) != b""


def test_a_store_that_fails_tells_nobody_what_it_was_given(caplog, capsys):
    class Broken(Kept):
        def post(self, body, headers, study_uid):
            raise RuntimeError("Doe^Jane 1.2.3")

    caplog.set_level(logging.DEBUG)
    with serving(store=Broken()) as server:
        assert say(
            server, f"POST {STUDIES}/1.2.3 HTTP/1.1\r\nContent-Length: 0\r\n\r\n".encode()
        ).startswith(b"HTTP/1.1 500 ")
    written = caplog.text + "".join(capsys.readouterr())
    assert "RuntimeError" in written
    assert "Doe" not in written
    assert "1.2.3" not in written


def test_tls_wants_a_certificate_of_the_client(tmp_path):
    files = make_certificates(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    context.load_verify_locations(files.authority)
    context.verify_mode = ssl.CERT_REQUIRED
    with serving(replace(Door(), tls=context)) as server:
        peer = ssl.create_default_context(cafile=str(files.authority))
        with pytest.raises(OSError, match=r"(?i)certificate|reset|eof"):
            say_safely(server, peer)
        peer.load_cert_chain(files.certificate, files.key)
        assert say_safely(server, peer).endswith(b'{"ok":true}')


def say_safely(server, context):
    with (
        socket.create_connection(("127.0.0.1", server.server_port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        secure.sendall(b"GET /health HTTP/1.0\r\n\r\n")
        answer = b"".join(iter(lambda: secure.recv(1000), b""))
    if not answer:
        raise ConnectionResetError("reset")
    return answer
