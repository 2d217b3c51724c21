"""Receiving: who may, how much, in which encoding; a full spool turns nobody away half-way."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.uid import (
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)
from pynetdicom import AE
from pynetdicom.sop_class import Verification

from monai_sr.core import OptionError, OutputError
from monai_sr.node.config import ClientTls, DestinationConfig, Limits, Peer, ServerTls
from monai_sr.node.dimse import DimseDestination
from monai_sr.node.metrics import Metrics
from monai_sr.node.quarantine import list_quarantine
from monai_sr.node.scp import StoreScp
from monai_sr.node.spool import Spool
from tests.node.certificates import Certificates, make_certificates
from tests.node_factory import image, node_config, send, wait_for

# pynetdicom leaves a socket that it could not connect to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


class Side:
    """A spool with the side that receives."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        self.config = node_config(folder, **changes)
        self.spool, self.metrics = Spool(self.config), Metrics()
        self.scp = StoreScp(self.config, self.spool, self.metrics)
        self.scp.start()

    def send(self, *objects: pydicom.Dataset, **names: str) -> list[int | None]:
        return send(self.scp.port, objects, **names)

    def objects(self) -> list[Path]:
        return sorted(self.spool["incoming"].glob("*/*/*.dcm"))

    def counted(self, name: str, label: str = "") -> float:
        return self.metrics.snapshot().get((name, label), 0)

    def close(self) -> None:
        self.scp.stop(0.0)
        self.spool.close()


@pytest.fixture
def side(tmp_path) -> Iterator[Any]:
    made: list[Side] = []

    def make(**changes: Any) -> Side:
        made.append(Side(tmp_path, **changes))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_pixels_are_kept_as_they_came(side) -> None:
    made = side()
    sent = image(1)
    assert made.send(sent) == [0]
    (file,) = made.objects()
    kept = pydicom.dcmread(file)
    assert kept == sent
    assert kept.file_meta.TransferSyntaxUID == sent.file_meta.TransferSyntaxUID
    assert kept.file_meta.MediaStorageSOPInstanceUID == sent.SOPInstanceUID


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_compressed_objects_stay_compressed(side, syntax) -> None:
    made, sent = side(), image(1, shape=(64, 64))
    sent.compress(syntax, generate_instance_uid=False)
    assert made.send(sent) == [0]
    kept = pydicom.dcmread(made.objects()[0])
    assert kept.file_meta.TransferSyntaxUID == syntax
    assert kept.PixelData == sent.PixelData


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_other_encodings_are_taken(side, syntax) -> None:
    made, sent = side(), image(1)
    entity = AE("MODALITY")
    entity.add_requested_context(sent.SOPClassUID, syntax)
    sent.file_meta.TransferSyntaxUID = syntax
    if syntax == ExplicitVRBigEndian:
        sent.PixelData = sent.pixel_array.astype(">u2").tobytes()
    sent._read_implicit = syntax.is_implicit_VR
    sent._read_little = syntax.is_little_endian
    association = entity.associate("127.0.0.1", made.scp.port, ae_title="MONAI_SR")
    assert association.send_c_store(sent).Status == 0
    association.release()
    assert pydicom.dcmread(made.objects()[0]).file_meta.TransferSyntaxUID == syntax


def test_an_echo_is_answered(side) -> None:
    made = side()
    where = DestinationConfig("self", ae_title="MONAI_SR", host="127.0.0.1", port=made.scp.port)
    DimseDestination(where, "MODALITY").check()
    with pytest.raises(OutputError, match=r"destination self: .* got a rejection"):
        DimseDestination(where, "STRANGER").check()


@pytest.mark.parametrize(
    ("names", "reason"), [({"title": "STRANGER"}, "caller"), ({"to": "OTHER"}, "called")]
)
def test_who_is_not_listed_is_turned_away(side, names, reason) -> None:
    made = side()
    assert made.send(image(1), **names) == []
    assert made.counted("rejected", reason) == 1
    assert made.objects() == []


def test_a_listed_title_from_another_address_is_turned_away(side) -> None:
    peers = (Peer("MODALITY", "10.0.0.1"), Peer("OTHER", "127.0.0.0/8"))
    made = side(peers=peers)
    assert made.send(image(1)) == []
    assert made.send(image(1), title="OTHER") == [0]


def test_an_address_that_is_not_listed_gets_no_byte(side) -> None:
    made = side(peers=(Peer("MODALITY", "10.0.0.1"),))
    with socket.create_connection(("127.0.0.1", made.scp.port), timeout=10) as stranger:
        assert stranger.recv(1) == b""


def test_a_full_spool_rejects_the_association_and_no_image(side) -> None:
    made = side(limits=Limits(spool_bytes=2000, reserve_bytes=0))
    sent = [image(seed) for seed in range(4)]
    assert made.send(*sent) == [0, 0, 0, 0]  # it is full after the first one
    made.spool._measured = (-1e9, 0)  # measured again at once
    entity = AE("MODALITY")
    entity.add_requested_context(Verification)
    association = entity.associate("127.0.0.1", made.scp.port, ae_title="MONAI_SR")
    assert association.is_rejected
    answer = association.acceptor.primitive
    assert (answer.result, answer.result_source, answer.diagnostic) == (2, 3, 2)
    assert made.counted("rejected", "full") == 1
    assert len(made.objects()) == 4


def test_too_many_associations_are_turned_away_for_now(side) -> None:
    made = side(limits=Limits(associations=1))
    entity = AE("MODALITY")
    entity.add_requested_context(Verification)
    first = entity.associate("127.0.0.1", made.scp.port, ae_title="MONAI_SR")
    second = entity.associate("127.0.0.1", made.scp.port, ae_title="MONAI_SR")
    assert (first.is_established, second.is_rejected) == (True, True)
    assert second.acceptor.primitive.result == 2
    first.release()
    assert made.counted("rejected", "associations") == 1


def test_an_object_above_the_limit_is_refused_and_takes_no_memory(side) -> None:
    made = side(limits=Limits(object_bytes=100_000, pdu=4096))
    large, small = image(1), image(2)
    large.PixelData = b"\0" * 10_000_000
    assert made.send(large, small) == [0xA700, 0]
    assert made.counted("refused", "A700") == 1
    assert len(made.objects()) == 1
    assert list(made.spool["tmp"].iterdir()) == []


def test_uids_are_checked_before_they_become_names(side) -> None:
    made = side()
    bad = image(1, StudyInstanceUID="../../../etc", SOPInstanceUID="1.2.3.4")
    with pydicom.config.disable_value_validation():
        assert made.send(bad, image(2)) == [0xC000, 0]
    assert made.counted("refused", "C000") == 1


def test_the_data_set_must_be_what_the_request_says(side) -> None:
    made, sent = side(), image(1)
    entity = AE("MODALITY")
    entity.add_requested_context(sent.SOPClassUID, sent.file_meta.TransferSyntaxUID)
    association = entity.associate("127.0.0.1", made.scp.port, ae_title="MONAI_SR")
    request_of = association.dimse.send_msg

    def renamed(primitive: Any, context: int) -> None:
        primitive.AffectedSOPInstanceUID = "1.2.3"
        request_of(primitive, context)

    association.dimse.send_msg = renamed
    assert association.send_c_store(sent).Status == 0xA900
    association.release()
    assert made.objects() == []


def test_two_objects_of_one_uid_are_both_kept(side) -> None:
    made = side()
    assert made.send(image(1), image(1), image(1, PatientComments="another")) == [0, 0, 0]
    assert len(made.objects()) == len(list_quarantine(made.spool.folder)) == 1
    assert (made.counted("received"), made.counted("again")) == (2, 1)


def test_an_open_association_holds_its_study_back(side) -> None:
    made, sent = side(), image(1)
    entity = AE("MODALITY")
    entity.add_requested_context(sent.SOPClassUID, sent.file_meta.TransferSyntaxUID)
    association = entity.associate("127.0.0.1", made.scp.port, ae_title="MONAI_SR")
    assert association.send_c_store(sent).Status == 0
    assert made.spool.complete_studies() == []
    assert made.scp.open_associations() == 1
    association.abort()  # a cable that is pulled
    wait_for(made.spool.complete_studies)
    assert made.scp.open_associations() == 0


def test_stopping_lets_an_open_association_finish(side) -> None:
    made, sent = side(), image(1)
    entity = AE("MODALITY")
    entity.add_requested_context(sent.SOPClassUID, sent.file_meta.TransferSyntaxUID)
    association = entity.associate("127.0.0.1", made.scp.port, ae_title="MONAI_SR")
    stopping = threading.Thread(target=made.scp.stop, args=(30.0,))
    stopping.start()
    wait_for(lambda: not made.scp._thread.is_alive())
    assert association.send_c_store(sent).Status == 0
    association.release()
    stopping.join()
    assert len(made.objects()) == 1
    assert made.send(image(2)) == []


def test_a_port_that_is_taken_is_said(side, tmp_path) -> None:
    made = side()
    config = replace(made.config, port=made.scp.port)
    with pytest.raises(OutputError, match="cannot be listened on"):
        StoreScp(config, made.spool, made.metrics)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("tls"))


def over_tls(made: Side, tls: ClientTls | None) -> DimseDestination:
    return DimseDestination(
        DestinationConfig(
            "self", ae_title="MONAI_SR", host="127.0.0.1", port=made.scp.port, tls=tls,
            timeout_seconds=5.0,
        ),
        "MODALITY",
    )  # fmt: skip


def test_tls_wants_a_certificate_of_the_client(side, certificates, tmp_path) -> None:
    authority, certificate, key = certificates
    made = side(tls=ServerTls(certificate, key, client_ca=authority))
    whole = over_tls(made, ClientTls(authority, certificate, key))
    whole.check()
    sent = tmp_path / "sent.dcm"
    pydicom.dcmwrite(sent, image(1), enforce_file_format=True)
    whole.send([sent])
    assert len(made.objects()) == 1
    for lacking in (ClientTls(authority), None):
        with pytest.raises(OutputError, match="destination self"):
            over_tls(made, lacking).check()
    with pytest.raises(OutputError, match="destination self"):
        over_tls(made, ClientTls(None, certificate, key)).check()  # the server is unknown


def test_tls_older_than_1_2_is_refused(side, certificates) -> None:
    authority, certificate, key = certificates
    made = side(tls=ServerTls(certificate, key, client_ca=authority))
    context = ssl.create_default_context(cafile=authority)
    context.load_cert_chain(certificate, key)
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning, match="TLSVersion"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection(("127.0.0.1", made.scp.port), timeout=10) as plain,
        pytest.raises((ssl.SSLError, OSError)),
    ):
        context.wrap_socket(plain, server_hostname="localhost")


def test_a_silent_caller_holds_nobody_up(side, certificates) -> None:
    authority, certificate, key = certificates
    made = side(tls=ServerTls(certificate, key, client_ca=authority))
    with socket.create_connection(("127.0.0.1", made.scp.port)):  # and no handshake
        over_tls(made, ClientTls(authority, certificate, key)).check()


def test_certificates_that_are_none_are_named(side, tmp_path) -> None:
    nothing = tmp_path / "none.pem"
    with pytest.raises(OptionError, match="node: tls: must name certificates"):
        side(tls=ServerTls(nothing, nothing, nothing))
