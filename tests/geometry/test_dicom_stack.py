"""Even stacks are told from others, and finer ones cover the same extent."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_sr.geometry import Plane, StackError, even_stack, scaled_affine, stack_affine
from tests.dicom_factory import OBLIQUE, slice_positions

ACROSS, DOWN = np.reshape(OBLIQUE, (2, 3))


def planes(positions, spacing=(0.7, 0.4), across=ACROSS):
    return [Plane(np.asarray(p, dtype=float), across, DOWN, spacing) for p in positions]


@given(st.integers(2, 9), st.integers(1, 40), st.floats(0.3, 8))
def test_a_finer_stack_lies_where_scaled_affines_do(count, more, step_mm):
    source = planes(slice_positions(count, step_mm))
    thin = even_stack(source).resampled(count + more)
    expected = scaled_affine(stack_affine(source), (1, 1, (count + more) / count))
    found = stack_affine([thin.plane(i) for i in range(thin.count)])
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert thin.distance_mm * thin.count == pytest.approx(step_mm * count)


def test_rounded_positions_are_even():
    rounded = slice_positions(20, 3.333).round(2)
    stack = even_stack(planes(rounded))
    assert stack.distance_mm == pytest.approx(3.333, abs=1e-3)
    np.testing.assert_allclose(stack.plane(19).position, rounded[-1], atol=1e-12)


def test_what_is_no_even_stack_says_why():
    even = slice_positions(6)
    missing, doubled, shifted = np.delete(even, 3, 0), even.copy(), even.copy()
    doubled[3] = doubled[2]
    shifted[2:4] += 0.06 * ACROSS
    tilted = even + np.arange(6)[:, None] * 0.5 * DOWN
    for positions, words in (
        (missing, "lie evenly, got distances of 2.5 to 5 mm"),
        (doubled, "have a position each, got several at one place"),
        (shifted, "lie straight one behind the other, got shifts of 0.15 pixels"),
        (tilted, "lie straight one behind the other, got a tilt of 11 degrees"),
    ):
        with pytest.raises(StackError, match=words):
            even_stack(planes(positions))
    turned = planes(even[:1]) + planes(even[1:], across=np.array([0.0, 0.0, 1.0]))
    with pytest.raises(StackError, match="be parallel, got several orientations"):
        even_stack(turned)
    with pytest.raises(StackError, match="share their pixel spacing, got several"):
        even_stack(planes(even[:1]) + planes(even[1:], (0.7, 0.5)))
