"""Makes nodes for tests: configurations on free ports, studies to send, and what may not leak."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
from pydicom.uid import generate_uid
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import Verification

from monai_sr.formats.dicom.derived import mark_derived
from monai_sr.node.config import DestinationConfig, NodeConfig, Peer
from monai_sr.upscaling import FileResult
from tests.dicom_factory import dataset, stored

SECRETS = ("Doe^Jane", "Doe", "Jane", "ID-4711", "ACC-0815", "1.2.826.0.1.3680043.8.498.")
"""What no log, error, record or name may hold; all UIDs of the studies begin like the last one."""


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def node_config(folder: Path, **changes: Any) -> NodeConfig:
    """Return a configuration that waits for nothing."""
    values: dict[str, Any] = {
        "ae_title": "MONAI_SR",
        "port": free_port(),
        "spool": folder / "spool",
        "peers": (Peer("MODALITY", "127.0.0.1"),),
        "destinations": (
            DestinationConfig("pacs", ae_title="PACS", host="127.0.0.1", port=free_port()),
        ),
        "quiet_seconds": 0.0,
        "model": "xray_sr",
        "options": {"scale": 2, "device": "cpu"},
    }
    return NodeConfig(**{**values, **changes})


def image(seed: int = 0, shape: tuple[int, int] = (16, 24), **tags: Any) -> pydicom.FileDataset:
    """Return a small radiograph with all that identifies; a study of its own."""
    given = {
        "PatientName": "Doe^Jane",
        "PatientID": "ID-4711",
        "AccessionNumber": "ACC-0815",
        "StudyInstanceUID": generate_uid(entropy_srcs=["study", str(seed)]),
        "SeriesInstanceUID": generate_uid(entropy_srcs=["series", str(seed)]),
        "SOPInstanceUID": generate_uid(entropy_srcs=["instance", str(seed)]),
        **tags,
    }
    with pydicom.config.disable_value_validation():  # bad UIDs are sent, too
        made = dataset(stored(shape, seed=seed), modality="CR", **given)
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    return made


def file_bytes(made: pydicom.Dataset) -> bytes:
    """Return a dataset as a DICOM file."""
    stream = BytesIO()
    with pydicom.config.disable_value_validation():
        pydicom.dcmwrite(stream, made, enforce_file_format=True)
    return stream.getvalue()


class Enlarger:
    """Stands in for the network where it is not the subject: writes each file with new UIDs.

    Args:
        fails: what to raise, by the number of the call.
    """

    def __init__(self, fails: dict[int, BaseException] | None = None) -> None:
        self.calls: list[list[str]] = []
        self._fails = fails or {}

    def __call__(self, source: Any, output_dir: Path) -> FileResult:
        self.calls.append([Path(file).name for file in source])
        failure = self._fails.get(len(self.calls))
        if failure is not None:
            raise failure
        files = []
        for file in source:
            made = pydicom.dcmread(file)
            provenance = {"software": "monai-sr", "version": "0", "bundle": "xray_sr"}
            mark_derived(made, provenance, (2.0, 2.0), volume="" if len(source) == 1 else "all")
            target = Path(output_dir) / f"{Path(file).stem}_x2.dcm"
            pydicom.dcmwrite(target, made, enforce_file_format=True)
            files.append(str(target))
        return FileResult(
            str(source[0]), str(source[0]), output=files[0], files=tuple(files), bundle="xray_sr",
            size_in="24 x 16", size_out="48 x 32",
        )  # fmt: skip


class Pacs:
    """A Storage SCP that keeps what it gets in memory, in a thread; it can be down."""

    def __init__(self, port: int = 0, status: int = 0x0000) -> None:
        self.received: list[str] = []
        self.status = status
        entity = AE("PACS")
        entity.supported_contexts = AllStoragePresentationContexts
        entity.add_supported_context(Verification)
        handlers = [(evt.EVT_C_STORE, self._store)]
        self._server: Any = entity.start_server(
            ("127.0.0.1", port), block=False, evt_handlers=handlers
        )
        self.port = self._server.server_address[1]

    def _store(self, event: Any) -> int:
        if self.status == 0:
            self.received.append(str(event.request.AffectedSOPInstanceUID))
        return self.status

    def close(self) -> None:
        self._server.shutdown()


def send(
    port: int, objects: Sequence[pydicom.Dataset], *, title: str = "MODALITY", to: str = "MONAI_SR"
) -> list[int | None]:
    """Send objects over one association; return their status, [] where there was none."""
    entity = AE(title)
    for made in objects:
        syntax = made.file_meta.TransferSyntaxUID
        entity.add_requested_context(made.SOPClassUID, syntax)
    association = entity.associate("127.0.0.1", port, ae_title=to)
    if not association.is_established:
        return []
    # As files: pynetdicom takes the encoding from how a dataset was read.
    files = [pydicom.dcmread(BytesIO(file_bytes(made))) for made in objects]
    answers = [association.send_c_store(file).get("Status") for file in files]
    association.release()
    return answers


def wait_for(what: Callable[[], Any], seconds: float = 60.0) -> Any:
    """Return what is true at last."""
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.02)
    return found
