"""Pyramid attention against plain loops over patches."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from monai_sr.networks.generators.igan_srcp import PyramidAttention


def patch(x, row, column):
    return F.pad(x, [1, 1, 1, 1])[:, row : row + 3, column : column + 3].flatten()


def expected(attention, x):
    """Work it off patch by patch, as the definition says."""
    query = attention.query(x)[0]
    levels = [x, F.interpolate(x, size=[2, 3], mode="bicubic", align_corners=False)]
    keys, values = [], []
    for level in levels:
        key, value = attention.key(level)[0], attention.value(level)[0]
        for row in range(level.shape[2]):
            for column in range(level.shape[3]):
                found = patch(key, row, column)
                keys.append(found / found.norm())
                values.append(patch(value, row, column))
    height, width = x.shape[2:]
    total, count = (
        torch.zeros(x.shape[1], height + 2, width + 2),
        torch.zeros(height + 2, width + 2),
    )
    for row in range(height):
        for column in range(width):
            matches = torch.stack([key @ patch(query, row, column) for key in keys])
            weights = torch.softmax(10 * matches, dim=0)
            mixed = sum(w * v for w, v in zip(weights, values, strict=True))
            total[:, row : row + 3, column : column + 3] += mixed.reshape(-1, 3, 3)
            count[row : row + 3, column : column + 3] += 1
    return x + (total / count)[None, :, 1:-1, 1:-1]


@torch.no_grad()
def test_attention_equals_loops_over_all_patches():
    torch.manual_seed(0)
    attention, x = PyramidAttention(4, scales=(1.0, 0.7)), torch.rand(1, 4, 3, 5)
    torch.testing.assert_close(attention(x), expected(attention, x))


@torch.no_grad()
def test_portions_of_queries_equal_all_at_once():
    attention, x = PyramidAttention(4), torch.rand(2, 4, 6, 7)
    whole = attention(x)
    attention.max_pairs = 5 * sum(int(6 * s) * int(7 * s) for s in attention.scales)
    torch.testing.assert_close(attention(x), whole)


@pytest.mark.parametrize("sides", [(1, 1), (1, 4), (2, 3)])
def test_image_smaller_than_a_patch_is_attended_to(sides):
    assert PyramidAttention(3)(torch.rand(1, 3, *sides)).isfinite().all()
