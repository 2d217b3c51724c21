"""STOW-RS into the spool: what is called stored is on the disk, what is refused says why."""

from __future__ import annotations

import io
import json

import pydicom
import pytest
from dicomweb_client.web import DICOMwebClient

from monai_sr.node.config import Limits
from monai_sr.node.http import Door
from monai_sr.node.metrics import Metrics
from monai_sr.node.spool import Spool
from monai_sr.node.stow import StowStore
from tests.node.test_http import STUDIES, ask, say, serving
from tests.node.test_multipart import encoded
from tests.node_factory import file_bytes as content
from tests.node_factory import image, node_config

KIND = 'multipart/related; type="application/dicom"; boundary=b'


@pytest.fixture
def spool(tmp_path):
    made = Spool(node_config(tmp_path, limits=Limits(object_bytes=40_000, reserve_bytes=0)))
    yield made
    made.close()


@pytest.fixture
def server(spool):
    with serving(store=StowStore(spool, Metrics(), max_parts=5, max_bytes=1 << 20)) as running:
        yield running


def post(server, parts, path=STUDIES, kind=KIND):
    status, body, headers = ask(server, "POST", path, encoded(parts), {"Content-Type": kind})
    if headers["Content-Type"] != "application/dicom+json":
        return status, body
    return status, pydicom.Dataset.from_json(json.loads(body))


def objects(spool):
    return sorted(file.read_bytes() for file in spool["incoming"].rglob("*.dcm"))


def test_a_client_of_others_stores_and_understands_the_answer(server, spool):
    images = [image(n) for n in range(3)]
    client = DICOMwebClient(f"http://127.0.0.1:{server.server_port}/dicom-web", chunk_size=5000)
    answer = client.store_instances(images)
    stored = [(i.ReferencedSOPClassUID, i.ReferencedSOPInstanceUID)
              for i in answer.ReferencedSOPSequence]  # fmt: skip
    assert stored == [(i.SOPClassUID, i.SOPInstanceUID) for i in images]
    assert "FailedSOPSequence" not in answer
    kept = [pydicom.dcmread(io.BytesIO(c)) for c in objects(spool)]
    assert {k.SOPInstanceUID: k for k in kept} == {i.SOPInstanceUID: i for i in images}


def test_bytes_are_kept_as_they_came(server, spool):
    whole = content(image())
    assert post(server, [whole])[0] == 200
    assert objects(spool) == [whole]


def test_the_same_again_is_accepted_and_not_doubled(server, spool):
    whole = content(image())
    for _ in range(2):
        status, answer = post(server, [whole])
        assert (status, len(answer.ReferencedSOPSequence)) == (200, 1)
    assert len(objects(spool)) == 1


def test_a_bad_part_does_not_spoil_the_others(server, spool):
    good, large = image(), image(1)
    large.PixelData = b"\0" * 50_000
    status, answer = post(server, [content(large), b"no DICOM", content(good)])
    assert status == 202
    counted = server.store._metrics.snapshot()
    assert counted["received", ""] == counted["refused", "A700"] == counted["refused", "C000"] == 1
    assert [i.ReferencedSOPInstanceUID for i in answer.ReferencedSOPSequence] == [
        good.SOPInstanceUID
    ]
    (failed,) = answer.FailedSOPSequence
    assert failed.ReferencedSOPInstanceUID == large.SOPInstanceUID
    assert failed.ReferencedSOPClassUID == large.SOPClassUID
    assert failed.FailureReason == 0xA700
    assert [i.FailureReason for i in answer.OtherFailuresSequence] == [0xC000]
    assert objects(spool) == [content(good)]
    assert list(spool["tmp"].iterdir()) == []


def test_a_study_of_the_path_must_be_that_of_the_instances(server, spool):
    one, other = image(), image(1)
    status, answer = post(
        server, [content(one), content(other)], f"{STUDIES}/{one.StudyInstanceUID}"
    )
    assert status == 202
    (failed,) = answer.FailedSOPSequence
    assert failed.ReferencedSOPInstanceUID == other.SOPInstanceUID
    assert failed.FailureReason == 0xA900
    assert objects(spool) == [content(one)]
    assert post(server, [content(other)], f"{STUDIES}/{one.StudyInstanceUID}")[0] == 409


@pytest.mark.parametrize("study", ["1.02", "..", "%2e%2e", "a"])
def test_a_study_must_be_a_uid(server, study):
    assert post(server, [content(image())], f"{STUDIES}/{study}")[0] == 400


@pytest.mark.parametrize(
    "kind",
    [
        "application/dicom", 'multipart/related; type="application/dicom+json"; boundary=b',
        "multipart/related; boundary=b",
        'multipart/form-data; type="application/dicom"; boundary=b',
    ],
)  # fmt: skip
def test_other_kinds_are_refused(server, kind):
    assert post(server, [content(image())], kind=kind)[0] == 415


def test_a_type_without_quotes_is_understood(server):
    kind = "multipart/related; type=application/dicom; boundary=b"
    assert post(server, [content(image())], kind=kind)[0] == 200


def test_parts_of_other_kinds_are_failures(server):
    body = encoded([content(image())], kind=b"application/json")
    status, text, _ = ask(server, "POST", STUDIES, body, {"Content-Type": KIND})
    assert status == 409
    assert pydicom.Dataset.from_json(json.loads(text)).OtherFailuresSequence


def test_nothing_and_too_much_are_refused(server, spool):
    assert post(server, [])[0] == 400
    assert post(server, [content(image(n)) for n in range(6)])[0] == 413
    assert post(server, [content(image())], kind=KIND[:-1] + "other")[0] == 400


def test_a_full_spool_takes_nothing_and_says_when_to_come_again(spool):
    store = StowStore(spool, Metrics(), max_parts=5, max_bytes=1 << 20)
    spool._limits = Limits(spool_bytes=1, reserve_bytes=0)
    with serving(store=store) as server:
        status, _, headers = ask(
            server, "POST", STUDIES, encoded([content(image())]), {"Content-Type": KIND}
        )
    assert (status, headers["Retry-After"]) == (503, "30")
    assert objects(spool) == []


def test_a_body_that_the_disk_cannot_hold_is_refused_before_it_is_read(spool):
    store = StowStore(spool, Metrics(), max_parts=5, max_bytes=1 << 60)
    head = f"POST {STUDIES} HTTP/1.1\r\nContent-Type: {KIND}\r\nContent-Length: {1 << 50}\r\n\r\n"
    with serving(Door(limit=1 << 60), store=store) as server:
        assert b" 503 " in say(server, head.encode())
