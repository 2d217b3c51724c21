"""Frames of several quantities are enlarged on ranges of their own, and stay where they were."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from scipy.ndimage import gaussian_filter

from monai_sr import SuperResolver
from monai_sr.formats import Facts
from monai_sr.formats.dicom.map import write_parametric_map
from monai_sr.formats.dicom.writer import DicomWriter
from monai_sr.transforms import load_image
from tests import dicom_factory as factory
from tests.network_factory import tiny_bundle

PICTURE = gaussian_filter(np.random.default_rng(0).normal(size=(20, 24)), 2)
UNITS = (("ms", 1000.0), ("mm2/s", 1e-3))


def _frame(unit, position):
    group, plane, mapping = Dataset(), Dataset(), Dataset()
    plane.ImagePositionPatient = [0, 0, position]
    group.PlanePositionSequence = [plane]
    mapping.LUTLabel = unit
    mapping.MeasurementUnitsCodeSequence = [factory.code(unit, "UCUM", unit)]
    group.RealWorldValueMappingSequence = [mapping]
    return group


def _write(path, values, units, positions):
    made = factory.dataset(factory.stored((len(values), 20, 24)), modality="MR enhanced")
    del made.PixelData
    made.BitsAllocated, made.FloatPixelData = 32, values.astype(np.float32).tobytes()
    measures, orientation, shared = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [1, 1], 3
    orientation.ImageOrientationPatient = list(factory.AXIAL)
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    made.SharedFunctionalGroupsSequence = [shared]
    pairs = zip(units, positions, strict=True)
    made.PerFrameFunctionalGroupsSequence = [_frame(*pair) for pair in pairs]
    made.FrameOfReferenceUID = "1.2.3"
    made.save_as(path, enforce_file_format=True)
    return path


def _frames(path):
    made = pydicom.dcmread(path)
    return np.frombuffer(made.FloatPixelData, "f4").reshape(-1, made.Rows, made.Columns)


@pytest.fixture(scope="module")
def resolver(tmp_path_factory):
    bundle = tiny_bundle(tmp_path_factory.mktemp("bundle"), "mri_sr")
    return SuperResolver.from_bundle(bundle, scale=2, device="cpu", runtime="torch")


def test_each_quantity_is_enlarged_as_if_it_were_alone(resolver, tmp_path):
    units = [unit for _ in range(2) for unit, _ in UNITS]
    values = np.stack([PICTURE * factor for _ in range(2) for _, factor in UNITS])
    both = _write(tmp_path / "both.dcm", values, units, [0, 0, 3, 3])
    result = resolver(both)
    assert result.shape == (2, 48, 40, 2)
    assert not Facts(result.meta).is_rgb
    writer = DicomWriter()
    writer.set_data_array(result)
    writer.set_metadata(result.meta)
    writer.write(tmp_path / "both_x2.dcm")
    frames = _frames(tmp_path / "both_x2.dcm")
    assert frames.shape == (4, 40, 48)
    for number, (unit, factor) in enumerate(UNITS):
        alone = _write(tmp_path / "one.dcm", values[number::2], [unit] * 2, [0, 3])
        expected = resolver(alone)[0].numpy().transpose(2, 1, 0)
        np.testing.assert_allclose(frames[number::2], expected, atol=1e-5 * factor)


def test_frames_of_one_range_stay_one_volume(tmp_path):
    units, values = ["a", "b"] * 2, np.stack([PICTURE, PICTURE * 2] * 2)
    image = load_image(_write(tmp_path / "a.dcm", values, units, [0, 0, 3, 3]), "auto")
    assert image.shape == (1, 24, 20, 4)


def test_quantities_of_unequal_numbers_of_frames_are_announced(tmp_path, caplog):
    values = np.stack([PICTURE, PICTURE * 1000, PICTURE * 1000])
    path = _write(tmp_path / "a.dcm", values, ["a", "b", "b"], [0, 0, 3])
    assert load_image(path, "auto").shape == (1, 24, 20, 3)
    assert "hold 2 quantities, unequal in number" in caplog.text


def test_energy_windows_of_unlike_counts_are_channels(tmp_path):
    counts = np.stack([PICTURE - PICTURE.min(), (PICTURE - PICTURE.min()) * 900] * 2)
    tags = {"EnergyWindowVector": [1, 2, 1, 2], "Modality": "NM"}
    path = factory.write(
        tmp_path / "a.dcm", counts.astype(np.uint16), modality="XA", bits=16, **tags
    )
    image = load_image(path, "auto")
    assert image.shape == (2, 24, 20, 2)
    np.testing.assert_array_equal(Facts(image.meta).frames, [[0, 2], [1, 3]])


def test_a_map_of_uncertainty_has_the_order_of_the_frames(resolver, tmp_path):
    pytest.importorskip("highdicom")
    values = np.stack([PICTURE * 1000, PICTURE, PICTURE * 2000, PICTURE * 2])
    source = _write(tmp_path / "a.dcm", values, ["a", "b", "a", "b"], [0, 0, 3, 3])
    result = resolver(source)
    writer = DicomWriter()
    writer.set_data_array(result)
    writer.set_metadata(result.meta)
    writer.write(tmp_path / "a_x2.dcm")
    width = np.arange(4, dtype=np.float32).reshape(2, 1, 1, 2) + np.zeros(result.shape, "f4")
    write_parametric_map(tmp_path / "a_x2.dcm", tmp_path / "map.dcm", width, result.meta)
    assert _frames(tmp_path / "map.dcm")[:, 0, 0].tolist() == [0, 2, 1, 3]
