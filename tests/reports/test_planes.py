"""Planes of input and result show the same place, and crops go where something is to be seen."""

from __future__ import annotations

import numpy as np
import pytest

from monai_sr.reports.planes import choose_crops, plane_pairs, planes_of


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("factor", [1, 2, 3])
def test_slices_of_a_result_lie_where_those_of_the_input_do(axis, factor):
    lr = np.moveaxis(np.broadcast_to(np.arange(9.0)[:, None, None], (9, 4, 5)), 0, axis)[None]
    sr = lr.repeat(factor, axis=axis + 1)
    meta = {"sr_slice_axis": axis, "sr_format": "nifti", "affine": np.eye(4)}
    pairs = plane_pairs(lr, sr, None, meta, 3)
    assert len(pairs) == 3
    for pair in pairs:
        assert pair.lr.shape == (1, *[n for i, n in enumerate(lr.shape[1:]) if i != axis])
        assert np.unique(pair.sr).tolist() == np.unique(pair.lr).tolist()
    assert pairs[0].title == "Slice 5 of 9"  # the middle


def test_few_slices_are_each_shown_once():
    volume = np.arange(2.0).reshape(1, 1, 1, 2)
    shown = [plane.item() for plane in planes_of(volume, 2, 3)]
    assert sorted(shown) == [0, 1]


def test_pixels_are_as_wide_as_they_are_in_the_patient():
    lr = np.zeros((1, 4, 5, 3))
    meta = {"sr_slice_axis": 0, "sr_format": "nifti", "affine": np.diag([1, 2.0, 6.0, 1])}
    assert plane_pairs(lr, lr, None, meta, 1)[0].pixel_aspect == pytest.approx(2 / 6)
    flat = {"sr_format": "dicom", "affine": np.diag([3.0, 2.0, 1])}
    assert plane_pairs(lr[..., 0], lr[..., 0], None, flat, 1)[0].pixel_aspect == 1.5


def test_crops_lie_on_detail_and_on_uncertainty_and_nowhere_twice():
    lr = np.zeros((60, 40))
    lr[10:18:2, 5:13] = 1  # stripes
    width = np.zeros((240, 160))
    width[200:220, 120:140] = 1
    crops = choose_crops(lr, width, 16, 2)
    (x, y, why), (u, v, other) = crops
    assert (why, other) == ("most detail", "largest uncertainty")
    assert x <= 10
    assert x + 16 >= 17
    assert y <= 5
    assert y + 16 >= 13
    assert u <= 50
    assert u + 16 >= 55
    assert v <= 30
    assert v + 16 >= 35


@pytest.mark.parametrize("shape", [(16, 16), (5, 9), (33, 16)])
def test_crops_stay_inside_small_images(shape):
    for x, y, _ in choose_crops(np.random.default_rng(0).random(shape), None, 16, 4):
        assert 0 <= x <= max(shape[0] - 16, 0)
        assert 0 <= y <= max(shape[1] - 16, 0)
