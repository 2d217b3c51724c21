"""Volumes of thick slices become as fine across as asked for, from file to file."""

from __future__ import annotations

import itertools
import json

import nibabel as nib
import numpy as np
import pytest
import torch

from monai_sr.cli.main import main
from monai_sr.core.bundles import write_weights_sums
from monai_sr.formats import DicomReader
from monai_sr.functional import SliceProfile, reduce_slices
from monai_sr.networks import SliceRefiner, save_weights
from monai_sr.upscaling.manifest import Manifest
from tests import dicom_factory
from tests.image_factory import write_nifti
from tests.network_factory import tiny_bundle

AFFINE = np.array([[0, 0, 4.0, -30], [0.9, 0, 0, 5], [0, 0.8, 0, 7], [0, 0, 0, 1]])


@pytest.fixture
def bundle(tmp_path):
    """Make a bundle with tiny weights, of slices too."""
    folder = tiny_bundle(tmp_path / "bundles", "mri_sr")
    network = SliceRefiner(channels=48, num_blocks=3)
    with torch.no_grad():
        network.tail.weight.normal_(0, 0.05)
    save_weights(network, folder / "models" / "model_slices.pt")
    write_weights_sums(folder)
    return folder


def upscale(bundle, source, out, spacing, *more):
    arguments = ["upscale", source, "-o", out, "--bundle", bundle, "--device", "cpu"]
    return main([*map(str, arguments), "--spacing", spacing, *more])


def only(folder):
    (path,) = (p for p in folder.iterdir() if p.name != Manifest.name)
    return path


def smooth(shape):
    """Draw a volume that varies slowly, as anatomy does."""
    axes = np.meshgrid(*(np.linspace(0, 3, n) for n in shape), indexing="ij")
    values = sum(np.cos(axis * (k + 1)) for k, axis in enumerate(axes))
    return np.rint(values * 300 + 1000).astype(np.int16)


def corners(image):
    ends = np.array(list(itertools.product(*[(-0.5, n - 0.5) for n in image.shape])))
    return ends @ image.affine[:3, :3].T + image.affine[:3, 3]


@pytest.mark.parametrize(
    ("spacing", "shape"),
    [
        ("None,None,1.0", (8, 7, 20)),
        ("0.45,0.4,1.0", (16, 14, 20)),
        ("1.0,1.0,1.0", (7, 6, 20)),
        ("0.9,0.8,1.6", (8, 7, 13)),
    ],
)
def test_slices_become_thinner_where_they_lie(bundle, tmp_path, spacing, shape):
    values = smooth((8, 7, 5)) + np.int16(300)  # zero, which no result passes, is far
    source = write_nifti(tmp_path / "v.nii", values, affine=AFFINE)
    assert upscale(bundle, source, tmp_path / "out", spacing) == 0
    result = nib.load(only(tmp_path / "out"))
    assert result.shape == shape
    assert result.get_data_dtype() == np.int16
    np.testing.assert_allclose(corners(result), corners(nib.load(source)), atol=1e-4)
    found = np.asarray(result.dataobj)
    assert abs(found.mean() - values.mean()) < 10
    if shape[:2] == (8, 7):
        thin = torch.from_numpy(found.astype(np.float64))
        thick = reduce_slices(thin, 5, 2, SliceProfile()).numpy()
        assert np.abs(thick - values).max() < 20  # of 1800: limits near the ends of the range
        assert np.median(np.abs(thick - values)) < 1  # and rounding


def test_the_result_says_what_made_its_slices(bundle, tmp_path):
    source = write_nifti(tmp_path / "v.nii", smooth((8, 7, 5)), affine=AFFINE)
    upscale(bundle, source, tmp_path / "out", "None,None,1.0")
    text = json.dumps([json.loads(line) for line in _records(tmp_path / "out")])
    assert '\\"restored_by\\": \\"network\\"' in text or '"restored_by": "network"' in text


def _records(folder):
    header = nib.load(only(folder)).header
    return [e.get_content().decode() for e in header.extensions if e.get_content()[:1] == b"{"]


def test_labels_stay_labels(bundle, tmp_path):
    values = (smooth((8, 7, 5)) > 1000).astype(np.int16) * 3
    source = write_nifti(tmp_path / "v_seg.nii", values, affine=AFFINE)
    assert upscale(bundle, source, tmp_path / "out", "None,None,1.0", "--kind", "label") == 0
    found = np.asarray(nib.load(only(tmp_path / "out")).dataobj)
    assert np.array_equal(found, values.repeat(4, 2))


def read_series(folder):
    reader = DicomReader()
    return reader.get_data(reader.read(folder))


@pytest.mark.parametrize("spacing", ["None,None,0.5", "0.2,0.35,0.75", "1.0,1.0,1.0"])
def test_a_series_becomes_what_the_same_volume_does_as_nifti(bundle, tmp_path, spacing):
    volume = smooth((5, 7, 8)).astype(np.uint16)
    folder = dicom_factory.write_series(tmp_path / "series", volume, bits=16, SliceThickness=2.5)
    values, meta = read_series(folder)
    source = write_nifti(tmp_path / "v.nii", values[0].astype(np.uint16), affine=meta["affine"])
    assert upscale(bundle, folder, tmp_path / "out", spacing) == 0
    assert upscale(bundle, source, tmp_path / "same", spacing) == 0
    found, meta = read_series(only(tmp_path / "out"))
    wanted = nib.load(only(tmp_path / "same"))
    assert found.shape[3] > 5
    assert np.array_equal(found[0], np.asarray(wanted.dataobj))
    np.testing.assert_allclose(meta["affine"], wanted.affine, atol=1e-5)  # of float32


def test_codes_and_bicubic_slices_of_a_series_are_written_too(bundle, tmp_path):
    volume = (smooth((5, 7, 8)) > 1000).astype(np.uint16) * 3
    folder = dicom_factory.write_series(tmp_path / "series", volume, SliceThickness=2.5)
    assert upscale(bundle, folder, tmp_path / "out", "None,None,0.5", "--kind", "label") == 0
    found, _ = read_series(only(tmp_path / "out"))
    assert np.array_equal(found[0], read_series(folder)[0][0].repeat(5, 2))
    (bundle / "models" / "model_slices.pt").unlink()
    write_weights_sums(bundle)
    assert upscale(bundle, folder, tmp_path / "other", "0.2,0.35,0.625") == 0
    assert read_series(only(tmp_path / "other"))[0].shape == (1, 16, 14, 20)


def test_a_series_with_a_gap_is_refused_before_it_runs(bundle, tmp_path, capsys):
    places = np.delete(dicom_factory.slice_positions(5), 2, 0)
    folder = dicom_factory.write_series(tmp_path / "series", None, places)
    assert upscale(bundle, folder, tmp_path / "out", "0.2,0.2,0.5") == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert "slices must lie evenly, got distances of 2.5 to 5 mm" in line
    assert "write None for the slice axis, or convert it to NIfTI" in line
    assert not any(p.name != Manifest.name for p in (tmp_path / "out").iterdir())


def test_without_weights_slices_are_interpolated_as_before(bundle, tmp_path, caplog):
    (bundle / "models" / "model_slices.pt").unlink()
    write_weights_sums(bundle)
    source = write_nifti(tmp_path / "v.nii", smooth((8, 7, 5)), affine=AFFINE)
    assert upscale(bundle, source, tmp_path / "out", "0.45,0.4,1.0") == 0
    assert nib.load(only(tmp_path / "out")).shape == (16, 14, 20)
    assert upscale(bundle, source, tmp_path / "other", "None,None,1.0") == 2
