"""Results are sent by STOW-RS as they are; only what the server confirms counts as sent."""

from __future__ import annotations

import json
import logging
import ssl

import pydicom
import pytest

from monai_sr.core import OptionError, OutputError
from monai_sr.node import dicomweb
from monai_sr.node.config import ClientTls, DestinationConfig
from monai_sr.node.dicomweb import DicomWebDestination
from monai_sr.node.http import Answer, Door, Refused
from monai_sr.node.multipart import Multipart
from tests.dicom_factory import dataset
from tests.node.certificates import make_certificates
from tests.node.test_http import serving

LIMITS = {"max_parts": 100, "max_header": 1000, "max_part": 1 << 30}


def _items(keyword, entries):
    found = pydicom.Dataset()
    items = []
    for uid, reason in entries:
        item = pydicom.Dataset()
        if uid:
            item.ReferencedSOPInstanceUID = uid
        if reason is not None:
            item.FailureReason = reason
        items.append(item)
    setattr(found, keyword, items)
    return found


class Pacs:
    """Keeps what it is sent; answers as it is told."""

    def __init__(self, answer=None):
        self.requests, self.answer, self.tokens = [], answer, []

    @property
    def received(self):
        return [part for request in self.requests for part in request]

    def admit(self, length):
        assert length is not None  # no chunks

    def post(self, body, headers, study_uid):
        assert study_uid is None
        self.tokens.append(headers["Authorization"])
        assert headers.get_param("type") == "application/dicom"
        parts = Multipart(body, headers.get_param("boundary"), **LIMITS)
        self.requests.append([b"".join(parts.content()) for _ in parts])
        uids = [pydicom.dcmread(_io(part)).SOPInstanceUID for part in self.requests[-1]]
        if self.answer is not None:
            return self.answer(uids)
        found = _items("ReferencedSOPSequence", [(uid, None) for uid in uids])
        return as_json(200, found)


def _io(content):
    from io import BytesIO

    return BytesIO(content)


def as_json(status, *datasets, kind="application/dicom+json"):
    merged = pydicom.Dataset()
    for each in datasets:
        merged.update(each)
    return Answer(status, json.dumps(merged.to_json_dict()).encode(), kind)


@pytest.fixture
def files(tmp_path):
    made = []
    for number in range(3):
        file = tmp_path / f"{number}.dcm"
        dataset(InstanceNumber=number).save_as(file, enforce_file_format=True)
        made.append(file)
    return made


def destination(server, **options):
    return DicomWebDestination(
        DestinationConfig(
            "pacs", url=f"http://127.0.0.1:{server.server_port}/dicom-web/", **options
        )
    )


def test_files_arrive_byte_for_byte(files, tmp_path):
    token = tmp_path / "token"
    token.write_text("s3cret\n")
    pacs = Pacs()
    with serving(store=pacs) as server:
        destination(server, token_file=token).send(files)
    assert sorted(pacs.received) == sorted(file.read_bytes() for file in files)
    assert len(pacs.requests) == 1
    assert pacs.tokens == ["Bearer s3cret"]


def test_large_series_are_sent_in_several_requests(files, monkeypatch):
    monkeypatch.setattr(dicomweb, "_BATCH_BYTES", files[0].stat().st_size + 1)
    pacs = Pacs()
    with serving(store=pacs) as server:
        destination(server).send(files)
    assert [len(request) for request in pacs.requests] == [1, 1, 1]


def test_a_200_without_a_dataset_is_a_receipt(files):
    pacs = Pacs(lambda uids: Answer(200, b""))
    with serving(store=pacs) as server:
        destination(server).send(files)
    assert len(pacs.received) == 3


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (  # some, by the standard
            lambda uids: as_json(
                202, _items("ReferencedSOPSequence", [(uids[0], None)]),
                _items("FailedSOPSequence", [(uid, 0xA700) for uid in uids[1:]]),
            ), r"2 of 3 instances were not stored \(0xA700\)",
        ),
        (  # none
            lambda uids: as_json(409, _items("FailedSOPSequence", [(u, 0xC000) for u in uids])),
            r"3 of 3 instances were not stored \(0xC000\)",
        ),
        (  # a server that answers 200 and names failures
            lambda uids: as_json(
                200, _items("ReferencedSOPSequence", [(uids[0], None), (uids[1], None)]),
                _items("FailedSOPSequence", [(uids[2], 0x0110)]),
            ), r"1 of 3 .* \(0x0110\)",
        ),
        (  # it could not tell which
            lambda uids: as_json(202, _items("OtherFailuresSequence", [(None, 0xC000)])),
            r"3 of 3 .* \(0xC000\)",
        ),
        (  # one is named as stored and as failed
            lambda uids: as_json(
                202, _items("ReferencedSOPSequence", [(uid, None) for uid in uids]),
                _items("FailedSOPSequence", [(uids[0], 0xA900)]),
            ), r"1 of 3 .* \(0xA900\)",
        ),
        (  # it forgot one
            lambda uids: as_json(200, _items("ReferencedSOPSequence", [(uids[0], None)])),
            r"2 of 3 .* \(no reason\)",
        ),
        (lambda uids: Answer(202, b"accepted"), r"3 of 3 .* \(no reason\)"),
        (lambda uids: Answer(409, b"conflict"), r"3 of 3 .* \(no reason\)"),
        (lambda uids: Answer(500, b"Doe^Jane"), "status 500"),
        (lambda uids: Answer(503, fields={"Retry-After": "9"}), "status 503"),
        (lambda uids: Answer(302, fields={"Location": "/health"}), "status 302"),
    ],
)  # fmt: skip
def test_what_is_not_confirmed_is_not_sent(files, answer, words, caplog):
    caplog.set_level(logging.DEBUG)
    with (
        serving(store=Pacs(answer)) as server,
        pytest.raises(OutputError, match=f"^destination pacs: .*{words}") as told,
    ):
        destination(server).send(files)
    for file in files:
        assert pydicom.dcmread(file).SOPInstanceUID not in str(told.value) + caplog.text
    assert "Doe" not in str(told.value) + caplog.text


def test_other_spellings_of_the_media_type_are_understood(files):
    kind = "application/dicom+json; charset=utf-8"
    failed = Pacs(lambda uids: as_json(202, _items("FailedSOPSequence", [(uids[0], 1)]), kind=kind))
    with serving(store=failed) as server, pytest.raises(OutputError, match="0x0001"):
        destination(server).send(files)


def test_a_server_that_is_down_or_silent_is_told_in_one_line(files):
    with serving() as server:
        address = destination(server, timeout_seconds=0.2)

        class Silent(Pacs):
            def admit(self, length):
                import time

                time.sleep(0.5)
                raise Refused(503, "late")

        server.store = Silent()
        with pytest.raises(OutputError, match="ReadTimeout"):
            address.send(files)
    with pytest.raises(OutputError, match="ConnectionError") as told:
        address.send(files)
    assert "127.0.0.1" not in str(told.value)


def test_the_environment_sends_nothing_elsewhere(files, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    pacs = Pacs()
    with serving(store=pacs) as server:
        destination(server).send(files)
    assert len(pacs.received) == 3


def test_tls_with_a_certificate_of_ours(files, tmp_path):
    made = make_certificates(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.certificate, made.key)
    context.load_verify_locations(made.authority)
    context.verify_mode = ssl.CERT_REQUIRED
    pacs = Pacs()
    with serving(Door(tls=context), pacs) as server:
        url = f"https://localhost:{server.server_port}/dicom-web"

        def send(tls):
            DicomWebDestination(DestinationConfig("pacs", url=url, tls=tls)).send(files)

        send(ClientTls(made.authority, made.certificate, made.key))
        assert len(pacs.received) == 3
        with pytest.raises(OutputError, match="SSLError"):  # it is nobody that we know
            send(None)
        with pytest.raises(OutputError, match=r"SSLError|ConnectionError"):  # we are nobody
            send(ClientTls(made.authority))
    with pytest.raises(OptionError, match="pacs: tls: must name certificates"):
        send(ClientTls(files[0]))


def test_check_asks_for_a_study():
    pages = {"/dicom-web/studies": lambda: Answer(200, b"[]", "application/dicom+json")}
    with serving(pages=pages) as server:
        destination(server).check()
    for status in (404, 409):
        pages["/dicom-web/studies"] = lambda status=status: Answer(status)
        with (
            serving(pages=pages) as server,
            pytest.raises(OutputError, match=f"status {status}"),
        ):
            destination(server).check()


@pytest.mark.parametrize("text", ["", "\nx", "ä", None])
def test_a_token_file_must_hold_a_token(tmp_path, text):
    file = tmp_path / "token"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    with pytest.raises(OptionError, match=r"token.*openssl rand"):
        DicomWebDestination(DestinationConfig("pacs", url="http://a:1", token_file=file))
