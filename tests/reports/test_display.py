"""What is shown is what pydicom shows through the window of a file, and plain ranges elsewhere."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from monai_sr.formats import is_dicom
from monai_sr.formats.dicom.files import open_dicom
from monai_sr.reports.display import display_of, uncertainty_levels
from monai_sr.transforms import load_image
from tests import dicom_factory as factory
from tests.image_factory import pixels, write_nifti, write_raster

LARGEST_BYTES = 600_000  # of the real files that are looked at


def shown(path):
    image = load_image(path)
    display = display_of(image.numpy(), image.meta)
    return display, display(image.numpy())


def test_a_ct_is_shown_through_its_window(tmp_path):
    values = factory.stored((30, 40), 12)
    path = factory.write(
        tmp_path / "a.dcm", values, WindowCenter=40, WindowWidth=400, RescaleSlope=2,
        RescaleIntercept=-1024,
    )  # fmt: skip
    display, levels = shown(path)
    # PS3.3 C.11.2.1.2.1
    units = values * 2.0 - 1024
    expected = np.clip((units - (40 - 0.5)) / (400 - 1) + 0.5, 0, 1) * 255
    assert np.abs(levels - expected).max() <= 0.5 + 1e-6
    assert "center 40, width 400" in display.caption


def test_real_windows_are_those_of_pydicom(shared_data):
    seen = 0
    files = [f for f in sorted((shared_data / "dicom").rglob("*.dcm")) if is_dicom(f)]
    for path in [f for f in files if f.stat().st_size < LARGEST_BYTES]:
        header = open_dicom(path, stop_before_pixels=True)
        if header.get("NumberOfFrames", 1) > 1 or not {"WindowCenter", "VOILUTSequence"} & set(
            header.dir()
        ):
            continue
        image = load_image(path)
        if image.shape[0] > 1:
            continue
        display, levels = shown(path)
        data = open_dicom(path)
        reference = apply_voi_lut(apply_modality_lut(data.pixel_array, data), data)
        # Both rise together: equal values of the one are equal levels of the other.
        reference = reference.astype(np.float64)
        if display.is_inverted:
            reference = -reference
        order = np.argsort(reference, axis=None, kind="stable")
        assert (np.diff(levels.ravel()[order].astype(int)) >= 0).all(), path.name
        assert "window" in display.caption or "VOI LUT" in display.caption
        seen += 1
    assert seen


def test_floats_have_no_table_of_a_window(tmp_path):
    """Parametric maps and other float objects have windows, but no least and greatest value."""
    values = np.linspace(-3, 7, 54, dtype=np.float32).reshape(6, 9)
    made = factory.dataset(WindowCenter=2, WindowWidth=10)
    del made.PixelData, made.BitsStored, made.HighBit, made.PixelRepresentation
    made.BitsAllocated, made.FloatPixelData = 32, values.tobytes()
    made.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    display, levels = shown(tmp_path / "a.dcm")
    assert "stored values" in display.caption
    assert levels[0, 0] == 0 < levels[3, 4] < 255 == levels[-1, -1]


@pytest.mark.parametrize("representation", ["US", "OW"])
def test_a_voi_table_is_applied(tmp_path, representation):
    item = pydicom.Dataset()
    item.LUTDescriptor = [16, 100, 16]
    item["LUTDescriptor"].VR = "US"
    table = np.arange(0, 256, 17, dtype="<u2") * 257
    data = table.tobytes() if representation == "OW" else table.tolist()
    item.add_new("LUTData", representation, data)
    values = np.array([[0, 100, 105, 115, 4000]], dtype=np.uint16)
    path = factory.write(tmp_path / "a.dcm", values, VOILUTSequence=[item])
    assert shown(path)[1].tolist() == [[0, 0, 85, 255, 255]]


def test_monochrome1_is_dark_where_values_are_high(tmp_path):
    values = np.array([[0, 2000, 4095]], dtype=np.uint16)
    path = factory.write(
        tmp_path / "a.dcm", values, photometric="MONOCHROME1", WindowCenter=2048, WindowWidth=4096
    )
    levels = shown(path)[1]
    assert levels[0, 0] == 255
    assert levels[0, 2] == 0


@pytest.mark.parametrize("width", [0, -5])
def test_an_impossible_window_is_as_good_as_none(tmp_path, width):
    values = np.array([[0, 4095]], dtype=np.uint16)
    path = factory.write(tmp_path / "a.dcm", values, WindowCenter=40, WindowWidth=width)
    display, levels = shown(path)
    assert display.caption == "Shown from 0 (black) to 4095 (white), stored values."
    assert levels.tolist() == [[0, 255]]


def test_an_enhanced_image_has_its_window_by_frame(tmp_path):
    volume = factory.stored((3, 6, 9), 12)
    path = factory.write_enhanced(tmp_path / "a.dcm", volume, factory.slice_positions(3))
    data = pydicom.dcmread(path)
    for number, group in enumerate(data.PerFrameFunctionalGroupsSequence):
        window = pydicom.Dataset()
        window.WindowCenter, window.WindowWidth = 1000 + number, 800
        group.FrameVOILUTSequence = [window]
    data.save_as(path)
    image = load_image(path)
    display = display_of(image.numpy(), image.meta)
    assert "center 1001, width 800" in display.caption  # of the middle frame
    plane = image.numpy()[..., 1]
    expected = np.clip((plane[0].T - 1000.5) / 799 + 0.5, 0, 1) * 255
    assert np.abs(display(plane) - expected).max() <= 0.5 + 1e-6


def test_a_photo_is_shown_as_it_is(tmp_path):
    array = pixels((3, 6, 5))
    _, levels = shown(write_raster(tmp_path / "a.png", array))
    assert (levels == array.transpose(1, 2, 0)).all()


def test_floats_are_shown_between_quantiles_and_nan_is_dark(tmp_path):
    array = np.linspace(-3, 7, 1000, dtype=np.float32).reshape(1, 20, 50)
    display, levels = shown(write_raster(tmp_path / "a.tif", array))
    low, high = np.quantile(array, [0.005, 0.995])
    assert display.low == pytest.approx(low, abs=0.02)
    expected = np.clip((array[0] - display.low) / (display.high - display.low), 0, 1) * 255
    assert np.abs(levels - expected).max() <= 0.5 + 1e-4
    assert display.high == pytest.approx(high, abs=0.02)
    assert display(np.full((1, 2, 2), np.nan)).tolist() == [[0, 0], [0, 0]]


def test_of_many_bands_three_are_shown_and_named(tmp_path):
    display, levels = shown(write_raster(tmp_path / "a.tif", pixels((5, 6, 5), "uint16")))
    assert levels.shape == (6, 5, 3)
    assert "bands 1, 2, 3" in display.caption


def test_time_points_are_no_colors(tmp_path):
    display, _ = shown(write_nifti(tmp_path / "a.nii", pixels((7, 5, 1, 4), "int16")))
    assert display.bands == (0,)
    assert "of band 1" in display.caption


def test_uncertainty_goes_from_dark_to_light():
    levels = uncertainty_levels(np.array([[0.0, 1.0, 2.0, np.nan]]), 2.0)
    light = levels.sum(axis=-1)[:, 0]
    assert light[0] < light[1] < light[2]
    assert light[3] == light[0]
