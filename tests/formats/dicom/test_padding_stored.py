"""Padding comes back as the source has it, and nothing else becomes padding."""

from __future__ import annotations

import json

import numpy as np
import pydicom
import pytest
import torch
from monai.data import MetaTensor
from pydicom.dataset import Dataset

from monai_sr.core.errors import OutputError
from monai_sr.formats.dicom.pixel_module import check_dicom_size
from monai_sr.formats.dicom.reader import DicomReader
from monai_sr.formats.dicom.writer import DicomWriter
from monai_sr.inferers import TiledInferer
from monai_sr.transforms import Provenance, RestoreStoredd, ScaleToUnitd
from tests import dicom_factory as factory
from tests.network_factory import tiny


def _super_resolve(source, target, scale=2):
    """Take an image the whole way with an untrained network, whose rings reach everywhere."""
    array, meta = DicomReader().get_data(DicomReader().read(source))
    data = ScaleToUnitd("image")({"image": MetaTensor(torch.from_numpy(array), meta=meta)})
    data["pred"] = TiledInferer(scale, consistency=2)(data["image"][None], tiny(scale=scale))[0]
    pred = RestoreStoredd("pred", Provenance("xray_sr", "none.pt", scale, 2))(data)["pred"]
    writer = DicomWriter()
    writer.set_data_array(pred)
    writer.set_metadata(pred.meta)
    writer.write(target)


def _check_padding(old, new, low, high, scale=2):
    """Compare the padding block by block, and find no other pixel in its range."""
    blocks = old.repeat(scale, 0).repeat(scale, 1)
    is_padding = (blocks >= low) & (blocks <= high)
    assert is_padding.any()
    np.testing.assert_array_equal(new[is_padding], blocks[is_padding])
    others = new[~is_padding]
    assert not ((others >= low) & (others <= high)).any()


def test_unsigned_padding_of_signed_pixels_comes_back(tmp_path):
    pixels = factory.stored((8, 9), 11, signed=True)
    pixels[:3, 2:5] = -2000
    made = factory.dataset(pixels, bits=16)
    made.add_new("PixelPaddingValue", "US", 63536)
    made.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    _super_resolve(tmp_path / "a.dcm", tmp_path / "o.dcm")
    new = pydicom.dcmread(tmp_path / "o.dcm")
    assert new.PixelPaddingValue == 63536
    _check_padding(pixels, new.pixel_array, -2000, -2000)


@pytest.mark.parametrize(("value", "limit"), [(0, 40), (40, 0), (4000, 4095), (100, 300)])
def test_a_range_of_padding_comes_back_value_by_value(tmp_path, value, limit):
    low, high = sorted((value, limit))
    pixels = factory.stored((8, 9))
    pixels[(pixels >= low) & (pixels <= high)] = 2000
    pixels[:3, 2:5] = np.linspace(low, high, 9).reshape(3, 3)
    tags = {"PixelPaddingValue": value, "PixelPaddingRangeLimit": limit}
    _super_resolve(factory.write(tmp_path / "a.dcm", pixels, **tags), tmp_path / "o.dcm")
    _check_padding(pixels, pydicom.dcmread(tmp_path / "o.dcm").pixel_array, low, high)


def test_every_slice_keeps_its_own_padding(tmp_path):
    paddings = [-2000, -1500, -1024]
    volume = factory.stored((3, 8, 9), 10, signed=True)
    places = factory.slice_positions(3)
    paths = []
    for i, (pixels, value) in enumerate(zip(volume, paddings, strict=True)):
        pixels[2:, :3] = value
        tags = {**factory.located(places[i]), "PixelPaddingValue": value, "bits": 16}
        paths.append(factory.write(tmp_path / f"{i}", pixels, **tags))
    _super_resolve(paths, tmp_path / "out")
    for i, (pixels, value) in enumerate(zip(volume, paddings, strict=True)):
        new = pydicom.dcmread(tmp_path / "out" / f"slice_{i + 1:04d}.dcm").pixel_array
        _check_padding(pixels, new, value, value)
        tissue = pixels.repeat(2, 0).repeat(2, 1) != value
        assert new[tissue].min() > -1024  # no ring of the padding


def test_valid_values_leave_the_padding_range_on_the_nearer_side(tmp_path):
    tags = {"PixelPaddingValue": 100, "PixelPaddingRangeLimit": 110}
    source = factory.write(tmp_path / "a.dcm", np.full((1, 4), 500, np.uint16), **tags)
    values = np.array([99, 100, 104.4, 105.6, 110, 111, 0, 9]).reshape(1, 8, 1).repeat(2, 2)
    factory.enlarge(source, tmp_path / "o.dcm", 2, values=values)
    written = pydicom.dcmread(tmp_path / "o.dcm").pixel_array
    np.testing.assert_array_equal(written[0], [99, 99, 99, 111, 111, 111, 0, 9])


def test_padding_of_compressed_frames_comes_back(tmp_path):
    volume = factory.stored((3, 8, 9)) + 100
    volume[1] = 50  # a frame of nothing but padding
    volume[2, 2:5] = 70
    tags = {"PixelPaddingValue": 40, "PixelPaddingRangeLimit": 90, "modality": "XA"}
    made = factory.dataset(volume, bits=13, **tags)
    made.compress(pydicom.uid.RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    made.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    _super_resolve(tmp_path / "a.dcm", tmp_path / "o.dcm")
    frames = pydicom.dcmread(tmp_path / "o.dcm").pixel_array
    assert (frames[1] == 50).all()
    _check_padding(volume[2], frames[2], 40, 90)


def _meta(files, dtype="uint16"):
    return {"sr_files": json.dumps([f"{i}.dcm" for i in range(files)]), "sr_dtype": dtype}


def test_sizes_are_refused_before_inference_file_by_file():
    with pytest.raises(OutputError, match=r"70000.*use a smaller scale"):
        check_dicom_size("s", _meta(3), (1, 70000, 8, 3))
    with pytest.raises(OutputError, match="smaller scale or fewer frames"):
        check_dicom_size("a.dcm", _meta(1), (1, 60000, 40000))
    with pytest.raises(OutputError, match="smaller scale or fewer frames"):
        check_dicom_size("a.dcm", _meta(1), (1, 8192, 8192, 40))
    check_dicom_size("s", _meta(40), (1, 8192, 8192, 40))
    check_dicom_size("a.dcm", _meta(1, "uint8"), (1, 60000, 40000))


def _codes(*values):
    items = [Dataset() for _ in values]
    for item, value in zip(items, values, strict=True):
        item.add_new("MappedPixelValue", "US", value)
    return {"PixelValueMappingToCodedConceptSequence": items}


def _mapping(first, last):
    item = Dataset()
    item.add_new("RealWorldValueFirstValueMapped", "US", first)
    item.add_new("RealWorldValueLastValueMapped", "US", last)
    return item


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (_codes(4094, 4095), [4094, 4095]),
        (_codes(4094) | {"PixelPaddingValue": 0}, [0, 4094]),
        ({"RealWorldValueMappingSequence": [_mapping(0, 4000), _mapping(4095, 4095)]}, [4095]),
        ({"RealWorldValueMappingSequence": [_mapping(0, 4095), _mapping(4095, 4095)]}, []),
        ({"RealWorldValueMappingSequence": [_mapping(4095, 4095)]}, []),
    ],
)
def test_values_that_stand_for_something_else_are_no_measurements(tmp_path, tags, expected):
    pixels = factory.stored((8, 9)) // 2 + 1000
    pixels[2, 2:5] = 0, 4094, 4095
    source = factory.write(tmp_path / "a.dcm", pixels, **tags)
    _, meta = DicomReader().get_data(DicomReader().read(source))
    valid = meta["sr_valid"][0].T == 1 if meta["sr_valid"].size else pixels != meta["sr_nodata"]
    np.testing.assert_array_equal(valid, ~np.isin(pixels, expected))
    _super_resolve(source, tmp_path / "o.dcm")
    new = pydicom.dcmread(tmp_path / "o.dcm").pixel_array
    for code in expected:
        is_code = np.kron(pixels == code, np.ones((2, 2), bool))
        np.testing.assert_array_equal(new == code, is_code)
    if {4094, 4095} <= {*expected}:
        assert new[~np.isin(new, expected)].max() < 4000  # no ring of a code
