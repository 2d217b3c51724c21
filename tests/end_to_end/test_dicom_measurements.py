"""Measurements survive the shipped X-ray weights: means in HU or stored units, and lengths."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
import tifffile
from PIL import Image
from pydicom.data import get_testdata_file

from monai_sr import SuperResolver
from monai_sr.cli.main import main

MAX_HU, MAX_STORED = 0.5, 0.1
REGION = 16  # side of a region of interest in source pixels


def _cropped(source, target, size=160):
    """Cut a real radiograph of 3 million pixels down to its middle, pixels as they are."""
    dataset = pydicom.dcmread(source)
    pixels = dataset.pixel_array
    top, left = ((side - size) // 2 for side in pixels.shape)
    part = np.ascontiguousarray(pixels[top : top + size, left : left + size])
    dataset.Rows = dataset.Columns = size
    dataset.PixelData = part.tobytes()
    dataset["PixelData"].VR = "OW"
    dataset["PixelData"].is_undefined_length = False
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.save_as(target)
    return target


@pytest.fixture(params=["CT_small.dcm", "MR_small.dcm", "CR_RG2_JPEGLS_MONO2.dcm",
                        "CR_RG3_J2K_MONO1.dcm"])  # fmt: skip
def source(request, tmp_path):
    if not request.param.startswith("CR"):
        return get_testdata_file(request.param)
    shared = request.getfixturevalue("shared_data") / "dicom" / request.param
    return _cropped(shared, tmp_path / request.param)


@pytest.mark.parametrize("scale", [2, 4])
def test_means_and_lengths_stay(source, tmp_path, scale):
    out = tmp_path / "out"
    arguments = ["upscale", str(source), "-o", str(out), "--bundle", "xray_sr"]
    assert main([*arguments, "--scale", str(scale)]) == 0
    (result,) = out.glob("*.dcm")
    old, new = pydicom.dcmread(source), pydicom.dcmread(result)
    before, after = old.pixel_array.astype(float), new.pixel_array.astype(float)
    is_ct = old.Modality == "CT"
    slope = float(old.RescaleSlope) if is_ct else 1.0
    shift = slope * (after.mean() - before.mean())
    assert abs(shift) <= (MAX_HU if is_ct else MAX_STORED)
    for keyword in ("RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth"):
        assert new.get(keyword) == old.get(keyword)
    keyword = "PixelSpacing" if "PixelSpacing" in old else "ImagerPixelSpacing"
    if keyword in old:
        sizes = [
            np.array([d.Rows, d.Columns]) * np.array([float(v) for v in d[keyword].value])
            for d in (old, new)
        ]
        np.testing.assert_allclose(sizes[1], sizes[0], rtol=0, atol=1e-6)


def test_means_of_regions_of_a_ct_stay_within_half_a_hounsfield_unit(tmp_path):
    source = get_testdata_file("CT_small.dcm")
    assert main(["upscale", source, "-o", str(tmp_path), "--bundle", "xray_sr"]) == 0
    before = pydicom.dcmread(source).pixel_array.astype(float)
    after = pydicom.dcmread(next(tmp_path.glob("*.dcm"))).pixel_array.astype(float)
    assert np.abs(_regions(after, 4 * REGION) - _regions(before, REGION)).max() <= MAX_HU


def _regions(image, side):
    rows, columns = (length // side for length in image.shape)
    cut = image[: rows * side, : columns * side]
    return cut.reshape(rows, side, columns, side).mean(axis=(1, 3))


def test_the_interval_of_uncertainty_holds_most_of_the_truth(tmp_path, shared_data):
    """A radiograph that no training saw, reduced by Pillow's bicubic and enlarged again."""
    source = sorted((shared_data / "xray" / "test" / "normal").glob("*.png"))[0]
    with Image.open(source) as image:
        truth = image.convert("L").crop((300, 400, 556, 656))
    truth.resize((64, 64), Image.Resampling.BICUBIC).save(tmp_path / "a.png")
    arguments = ["upscale", str(tmp_path / "a.png"), "-o", str(tmp_path / "out")]
    assert main([*arguments, "--bundle", "xray_sr", "--uncertainty"]) == 0
    with Image.open(tmp_path / "out" / "a_x4.png") as image:
        error = np.abs(np.asarray(image, float) - np.asarray(truth, float))
    half_width = tifffile.imread(tmp_path / "out" / "a_x4_uncertainty.tif")
    # 90 % over all pixels of many images; single ones lie around it.
    assert 0.8 <= float((error <= half_width).mean()) <= 0.99


def test_a_path_gives_its_uncertainty_in_stored_units(tmp_path):
    source = get_testdata_file("MR_small.dcm")
    arguments = ["upscale", source, "-o", str(tmp_path), "--bundle", "xray_sr", "--scale", "2"]
    assert main([*arguments, "--uncertainty"]) == 0
    resolver = SuperResolver.from_bundle("xray_sr", scale=2, uncertainty=True)
    image = resolver(source)
    written = pydicom.dcmread(tmp_path / "MR_small_x2_uncertainty.dcm").pixel_array
    np.testing.assert_allclose(image.meta["sr_uncertainty"][0].T, written, rtol=1e-5)
    result = pydicom.dcmread(tmp_path / "MR_small_x2.dcm").pixel_array
    np.testing.assert_array_equal(image.numpy()[0].T, result)
    # Views agree in flat parts and differ at edges: the map is no constant.
    assert written.max() > 3 * np.median(written) > 0


def test_an_uncertainty_that_nobody_fitted_is_refused_before_any_work(tmp_path, capsys):
    source = get_testdata_file("MR_small.dcm")
    arguments = ["upscale", source, "-o", str(tmp_path / "out"), "--bundle", "xray_sr"]
    assert main([*arguments, "--uncertainty", "--consistency", "0"]) == 2
    assert "leave --uncertainty out" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
