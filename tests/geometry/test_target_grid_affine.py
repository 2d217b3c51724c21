"""Laws of enlarged affines: edges stay, points stay, nothing is changed in place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_sr.geometry.target_grid import axis_places, grid_change, is_turned, scaled_affine

terms = st.floats(-100, 100, allow_nan=False)
matrices = st.lists(terms, min_size=12, max_size=12).map(
    lambda values: np.vstack([np.reshape(values, (3, 4)), [0, 0, 0, 1]])
)
scales = st.lists(st.sampled_from([1.0, 2.0, 3.0, 4.0, 1.5]), min_size=3, max_size=3)


def edges(affine, shape):
    """World coordinates of the eight outer corners of the grid."""
    corners = np.stack(np.meshgrid(*[(-0.5, n - 0.5) for n in shape], indexing="ij"), -1)
    return corners.reshape(-1, 3) @ affine[:3, :3].T + affine[:3, 3]


@given(matrices, scales)
def test_outer_edges_coincide(affine, scale):
    shape = np.array([6, 4, 10])
    new = scaled_affine(affine, scale)
    np.testing.assert_allclose(edges(new, shape * scale), edges(affine, shape), atol=1e-9)


@given(matrices)
def test_block_of_new_centers_averages_to_old_center(affine):
    new = scaled_affine(affine, (4, 2, 1))
    old_index = np.array([3, 1, 2])
    block = np.stack(
        np.meshgrid(
            *[np.arange(i * s, (i + 1) * s) for i, s in zip(old_index, (4, 2, 1), strict=False)]
        ),
        -1,
    ).reshape(-1, 3)
    mean = (block @ new[:3, :3].T + new[:3, 3]).mean(axis=0)
    np.testing.assert_allclose(mean, affine[:3, :3] @ old_index + affine[:3, 3], atol=1e-9)


def test_first_pixel_center_moves_by_half_a_pixel_difference():
    new = scaled_affine(np.diag([2.0, 2.0, 5.0, 1.0]), (4, 4))
    assert new[:3, 3].tolist() == [-0.75, -0.75, 0.0]


def test_input_matrix_is_not_written_to():
    affine = np.eye(4)
    scaled_affine(affine, (2, 2))
    assert (affine == np.eye(4)).all()


@given(scales)
def test_grid_change_finds_the_scale(scale):
    affine = np.array([[2.0, 0.5, 0, 9e6], [0.3, -3, 0.2, 4e6], [0, 0.1, 5, -7], [0, 0, 0, 1]])
    matrix, found = grid_change(affine, scaled_affine(affine, scale))
    np.testing.assert_allclose(found, scale, rtol=1e-9)
    np.testing.assert_allclose(matrix, scaled_affine(np.eye(4), scale), atol=1e-6)


@pytest.mark.parametrize("scale", [(), (0, 1), (2, float("nan")), (1, 1, 1, 1)])
def test_impossible_scales_are_refused(scale):
    with pytest.raises(ValueError, match="positive numbers"):
        scaled_affine(np.eye(4), scale)


def test_singular_source_is_refused():
    with pytest.raises(ValueError, match="inverted"):
        grid_change(np.zeros((4, 4)), np.eye(4))


@given(st.permutations([0, 1, 2]), st.tuples(*[st.sampled_from([-1, 1])] * 3), scales)
def test_turns_and_the_places_of_axes_are_found(order, signs, scale):
    old = np.array([[2.0, 0.5, 0, 9e6], [0.3, -3, 0.2, 4e6], [0, 0.1, 5, -7], [0, 0, 0, 1]])
    new = scaled_affine(old, scale)
    new[:, :3] = new[:, order] * signs
    matrix, _ = grid_change(old, new)
    is_same = list(order) == [0, 1, 2] and min(signs) > 0
    assert is_turned(matrix) != is_same
    assert [order[place] for place in axis_places(old, new)] == [0, 1, 2]


def test_axes_beyond_the_rank_do_not_count():
    flipped = np.diag([0.5, 0.5, -1.0, 1.0])
    assert is_turned(flipped)
    assert not is_turned(flipped, 2)
