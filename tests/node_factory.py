"""Makes nodes for tests: configurations on free ports, studies to send, and what may not leak."""

from __future__ import annotations

import socket
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
from pydicom.uid import generate_uid

from monai_sr.node.config import DestinationConfig, NodeConfig, Peer
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


def image(seed: int = 0, **tags: Any) -> pydicom.FileDataset:
    """Return a radiograph of 16 x 24 pixels with all that identifies; a study of its own."""
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
        made = dataset(stored((16, 24), seed=seed), modality="CR", **given)
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    return made


def file_bytes(made: pydicom.Dataset) -> bytes:
    """Return a dataset as a DICOM file."""
    stream = BytesIO()
    with pydicom.config.disable_value_validation():
        pydicom.dcmwrite(stream, made, enforce_file_format=True)
    return stream.getvalue()
