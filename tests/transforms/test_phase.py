"""Phases lie on a circle, and mosaics are cut and joined without loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_sr.transforms.phase import circle_points, joined, tiles_of, turns_of


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
