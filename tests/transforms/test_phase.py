"""Phases lie on a circle, and mosaics are cut and joined without loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_sr.transforms.phase import begin_anew, circle_points, joined, tiles_of, turns_of


def test_quarters_of_a_turn_are_the_ends_of_both_axes():
    turns = torch.tensor([0, 0.25, 0.5, 0.75], dtype=torch.float64).reshape(1, 1, 2, 2)
    cosine, sine = circle_points(turns)[0]
    assert cosine.flatten().tolist() == pytest.approx([1, 0.5, 0, 0.5])
    assert sine.flatten().tolist() == pytest.approx([0.5, 1, 0.5, 0])


def test_phases_come_back_from_the_circle():
    turns = torch.rand(2, 3, 4, 5, dtype=torch.float64)
    assert circle_points(turns).shape == (2, 6, 4, 5)
    torch.testing.assert_close(turns_of(circle_points(turns)), turns)


@pytest.mark.parametrize("depth", [(), (4,)])
def test_tiles_are_the_images_of_a_mosaic(depth):
    mosaic = np.random.default_rng(0).random((1, 2, 6, 9, *depth))
    tiles = tiles_of(torch.from_numpy(mosaic), 3)
    for index in range(9):
        column, row = divmod(index, 3)
        part = mosaic[:, :, 2 * column : 2 * column + 2, 3 * row : 3 * row + 3]
        assert np.array_equal(tiles[index : index + 1].numpy(), part)
    assert np.array_equal(joined(tiles, 3).numpy(), mosaic)


@pytest.mark.parametrize("dtype", ["uint16", "int16", "float32"])
def test_no_result_lies_at_the_end_of_a_turn(dtype):
    """359.7 degrees are not 360 when rounded, which no source has."""
    stored = np.array([[[0, 90, 359, 360]], [[0, 2, 4, 6]]], dtype)
    begin_anew(stored, np.array([[0, 360], [0, 2 * np.pi]]))
    assert stored.tolist() == [[[0, 90, 359, 0]], [[0, 2, 4, 6]]]


def test_turns_of_thousandths_of_radians_end_between_integers():
    stored = np.array([[[-3142, 0, 3141, 3142]]], np.int16)
    begin_anew(stored, np.array([-1000 * np.pi, 1000 * np.pi]))
    assert stored.tolist() == [[[-3142, 0, 3141, -3142]]]
