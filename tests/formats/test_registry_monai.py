"""Readers and writers enter MONAI's tables when asked, once, and not before."""

from __future__ import annotations

import numpy as np
import pytest
from monai.data.image_writer import SUPPORTED_WRITERS
from monai.transforms import LoadImage
from monai.transforms.io.array import SUPPORTED_READERS

import monai_sr
from monai_sr.formats import DicomWriter, RasterWriter
from tests import dicom_factory
from tests.image_factory import write_raster


@pytest.fixture(autouse=True)
def _tables_restored():
    readers, writers = dict(SUPPORTED_READERS), dict(SUPPORTED_WRITERS)
    yield
    for table, before in ((SUPPORTED_READERS, readers), (SUPPORTED_WRITERS, writers)):
        table.clear()
        table.update(before)


def test_nothing_is_registered_without_asking():
    assert not [name for name in SUPPORTED_READERS if "monaisr" in name]
    assert DicomWriter not in SUPPORTED_WRITERS.get("dcm", ())


def test_loading_prefers_our_readers_once_registered(tmp_path):
    values = dicom_factory.stored((6, 9))
    path = dicom_factory.write(tmp_path / "a.dcm", values)
    monai_sr.register()
    image = LoadImage()(path)
    assert image.meta["sr_format"] == "dicom"
    assert np.array_equal(image.numpy()[0].T, values)


def test_a_second_call_changes_nothing():
    monai_sr.register()
    before = {k: tuple(v) for k, v in SUPPORTED_WRITERS.items()}, dict(SUPPORTED_READERS)
    monai_sr.register()
    assert ({k: tuple(v) for k, v in SUPPORTED_WRITERS.items()}, dict(SUPPORTED_READERS)) == before
    assert RasterWriter in SUPPORTED_WRITERS["tif"]


def test_loading_goes_by_content_once_registered(tmp_path):
    path = dicom_factory.write(tmp_path / "a.png", dicom_factory.stored((6, 9)))
    photo = write_raster(tmp_path / "b.bin", driver="PNG")
    monai_sr.register()
    assert LoadImage()(path).meta["sr_format"] == "dicom"
    assert LoadImage()(photo).meta["sr_format"] == "raster"
