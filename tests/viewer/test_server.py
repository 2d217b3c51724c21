"""The server answers the one who has its address, on this machine, and gives nothing but pixels."""

from __future__ import annotations

import http.client
import json
import socket
import threading

import pytest

from monai_sr.core import OutputError
from monai_sr.viewer import View, ViewServer
from tests.image_factory import pixels, write_raster
from tests.reports.pages import check_page
from tests.viewer.factory import doubled, made_of

TILE = "tile?layer=input&slice=0&level=0&column=0&row=0"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    array = pixels((1, 20, 30))
    view = View(write_raster(folder / "a.tif", array))
    view.run(made_of(doubled(folder / "b.tif", array)))
    with ViewServer(view) as serving:
        thread = threading.Thread(target=serving.serve_forever, daemon=True)
        thread.start()
        yield serving
        serving.shutdown()
        thread.join()
    view.close()


def ask(server, path, method="GET", host=None, token=None):
    """Send a request as it is written here; return status, headers and body."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    token = server.token if token is None else token
    connection.putrequest(method, f"/{token}/{path}", skip_host=True)
    for name in [f"127.0.0.1:{server.server_port}"] if host is None else host:
        connection.putheader("Host", name)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, dict(answer.headers), body


def test_it_listens_on_loopback_alone(server):
    assert server.server_address[0] == "127.0.0.1"
    assert server.address == f"http://127.0.0.1:{server.server_port}/{server.token}/"


def test_the_page_keeps_the_rules_of_all_pages(server):
    status, headers, body = ask(server, "")
    assert status == 200
    page = check_page(body.decode())
    assert "not for primary diagnosis" in body.decode()
    (policy,) = [
        a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy"
    ]
    assert headers["Content-Security-Policy"] == f"{policy}; frame-ancestors 'none'"
    assert "img-src 'self'" in policy
    assert "connect-src 'self'" in policy
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_tiles_values_and_state_are_given(server):
    status, headers, body = ask(server, TILE)
    assert (status, headers["Content-Type"]) == (200, "image/png")
    assert body.startswith(b"\x89PNG")
    status, _, other = ask(server, f"{TILE}&low=100&high=101")
    assert status == 200
    assert other != body
    assert set(json.loads(ask(server, "values?x=1&y=2&slice=0")[2])) == {
        "input", "bicubic", "result", "agreement",
    }  # fmt: skip
    assert json.loads(ask(server, "state")[2])["phase"] == "done"


@pytest.mark.parametrize("token", ["", "x", "../etc", "%2e%2e"])
def test_without_the_token_there_is_nothing(server, token):
    for path in ("", "state", TILE):
        status, _, body = ask(server, path, token=token)
        assert (status, body) == (404, b"Not Found")


def test_the_token_cannot_be_guessed():
    servers = [ViewServer(None) for _ in range(3)]
    tokens = {server.token for server in servers}
    for server in servers:
        server.server_close()
    assert len(tokens) == 3
    assert all(len(token) >= 32 for token in tokens)


@pytest.mark.parametrize(
    "hosts", [[], ["evil.example"], ["127.0.0.1"], ["127.0.0.1:1"], ["a", "b"]]
)
def test_another_name_of_this_machine_is_refused(server, hosts):
    # DNS rebinding: the page of another site whose name points to 127.0.0.1.
    assert ask(server, "", host=hosts)[0] == 403


def test_localhost_is_this_machine(server):
    assert ask(server, "", host=[f"localhost:{server.server_port}"])[0] == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE"])
def test_nothing_but_get_is_answered(server, method):
    assert ask(server, "", method)[0] == 405


@pytest.mark.parametrize(
    "path",
    ["../../etc/passwd", "..%2f..%2fetc%2fpasswd", "/etc/passwd", "view.js", "results", "a.tif",
     "state/x", "tile/../../a.tif?layer=input&slice=0&level=0&column=0&row=0"],
)  # fmt: skip
def test_no_path_leads_to_a_file(server, path):
    assert ask(server, path)[0] == 404


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("tile?layer=input", 400),
        (TILE.replace("level=0", "level=1e400"), 400),
        (TILE.replace("level=0", "level=nan"), 400),
        (TILE.replace("level=0", "level=0.5"), 400),
        (TILE.replace("level=0", "level=99999"), 404),
        (TILE.replace("column=0", "column=-1"), 404),
        (TILE.replace("slice=0", "slice=7"), 404),
        (TILE.replace("input", "..%2f..%2fetc"), 404),
        (TILE + "&low=2&high=1", 400),
        (TILE + "&low=2", 400),
        (TILE + "&a=1&b=2&c=3&d=4&e=5&f=6&g=7", 400),
        ("values?x=1&y=2", 400),
        ("values?x=1&y=inf&slice=0", 400),
        ("values?x=1&y=99&slice=0", 404),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(server, query, status):
    assert ask(server, query)[0] == status


def test_the_address_is_not_logged(server, capfd, caplog):
    ask(server, "state")
    ask(server, "nothing")
    said = capfd.readouterr()
    assert server.token not in said.out + said.err + caplog.text


def test_a_port_in_use_is_named_with_its_remedy(server):
    with pytest.raises(OutputError, match="leave --port out"):
        ViewServer(server.view, server.server_port)
    with pytest.raises(OutputError, match="got 70000"):
        ViewServer(server.view, 70000)


def test_a_request_that_is_no_http_leaves_the_server_alive(server):
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=20) as raw:
        raw.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        assert b"400" in raw.recv(1000)
    assert ask(server, "state")[0] == 200
