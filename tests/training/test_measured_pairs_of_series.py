"""Measured pairs of DICOM series: two matrices slice by slice, thick and thin slices as volumes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_sr.core.errors import BadImageError
from monai_sr.functional.resize import downsample
from monai_sr.training import ReadTrainingImage, ReadTrainingVolume, training_split
from tests.dicom_factory import slice_positions, write_series
from tests.training.test_measured_pairs import scene, shifted, small

AXIAL = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]


def write(folder, values, spacing, step_mm):
    """Write (Z, H, W) in [0, 1] as a 12-bit series."""
    write_series(
        folder / "sub-01",
        np.rint(values.clip(0, 1) * 4000).astype(np.uint16),
        slice_positions(len(values), step_mm, AXIAL),
        AXIAL,
        PixelSpacing=[spacing, spacing],
        SliceThickness=step_mm,
    )
    return folder


def series(folder):
    """Return the one series as training finds it."""
    ((found,), _) = training_split(str(folder), str(folder), 0.0, None)
    return found


@pytest.fixture
def matrices(tmp_path):
    """Return a function that writes a fine series, and a coarse one, moved by some fine pixels."""

    def make(shift):
        fine = scene((3, 64, 80), 5)
        coarse = np.stack([small(shifted(plane, shift), 2) for plane in fine]) * 0.8
        write(tmp_path / "fine", fine, 0.5, 3.0)
        write(tmp_path / "coarse", coarse, 1.0, 3.0)
        return fine, coarse, ReadTrainingImage(1, tmp_path / "coarse", [2]), tmp_path / "fine"

    return make


def test_series_are_paired_by_folder_slice_by_slice(matrices):
    fine, coarse, read, folder = matrices((0, 0))
    pairs = read(series(folder))
    assert [(p.hr.shape, p.lr.shape) for p in pairs] == [((1, 64, 80), (1, 32, 40))] * 3
    for pair, large, little in zip(pairs, fine, coarse, strict=True):
        # On one range for both: 12 bits hold each to a part of 4000.
        rate, start = np.polyfit(little.ravel(), pair.lr.ravel(), 1)
        np.testing.assert_allclose(pair.lr[0], rate * little + start, atol=1e-3)
        np.testing.assert_allclose(pair.hr[0], rate * large + start, atol=1e-3)


def test_a_shift_of_whole_pixels_between_series_is_mended(matrices):
    _, _, read, folder = matrices((2, -3))
    pair = read(series(folder))[1]
    reduced = small(pair.hr[0].astype(np.float64), 2)[3:-3, 3:-3]
    factor = np.polyfit(reduced.ravel(), pair.lr[0][3:-3, 3:-3].ravel(), 1)[0]
    assert factor == pytest.approx(0.8, abs=0.02)


def test_a_shift_between_pixels_is_refused_with_what_was_found(matrices):
    _, _, read, folder = matrices((0.5, -2))
    with pytest.raises(BadImageError, match=r"got a shift of \+0\.\d\d rows, -[12]\.\d\d columns"):
        read(series(folder))


@pytest.fixture
def thick_and_thin(tmp_path):
    """Return a function that writes thin slices, and thick ones of the same rows and columns."""

    def make(shift=(0, 0, 0)):
        thin = scene((40, 48, 36), 6)
        moved = shifted(thin, shift)
        write(tmp_path / "thin", thin, 0.8, 1.0)
        write(tmp_path / "thick", (moved[::2] + moved[1::2]) / 2, 0.8, 2.0)
        return ReadTrainingVolume(8, tmp_path / "thick", [2]), tmp_path / "thin"

    return make


def test_thick_slices_are_paired_with_thin_ones_along_their_normal(thick_and_thin):
    read, folder = thick_and_thin()
    pair = read(series(folder))
    assert (pair.hr.shape, pair.lr.shape) == ((1, 36, 48, 40), (1, 18, 24, 20))
    # The slice profile is that of the scan, a box; rows and columns were shrunk by bicubic.
    boxes = pair.hr.reshape(1, 36, 48, 20, 2).mean(-1)
    expected = downsample(torch.from_numpy(boxes), 2, (1, 2)).numpy()
    np.testing.assert_allclose(pair.lr, expected, atol=2e-3)


def test_thick_slices_of_another_place_are_refused_with_the_shift(thick_and_thin):
    read, folder = thick_and_thin((0.5, 0, 0))
    with pytest.raises(BadImageError, match=r"sub-01.*got a shift of .*[+-]0\.\d\d"):
        read(series(folder))
