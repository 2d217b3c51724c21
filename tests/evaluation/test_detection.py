"""Observers against what theory says of them, and against scikit-image and SciPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import mannwhitneyu, norm
from skimage.data import camera
from skimage.feature import blob_log

from monai_sr.core.errors import OptionError
from monai_sr.evaluation.detection import (
    are_marked,
    auc,
    blob_response,
    eye_filter,
    find_marks,
    observe,
    observer_template,
)
from monai_sr.functional import disc

_REACH = 12


def test_the_eye_sees_best_at_four_cycles_a_degree_and_no_constant():
    frequency = torch.tensor([0.0, 1.0, 3.9, 4.0, 4.1, 40.0], dtype=torch.float64)
    seen = eye_filter(frequency)
    assert seen[0] == 0
    assert seen[3] == 1
    assert seen[2] < 1 > seen[4]
    assert seen[5] < 1e-6
    # f^1.3 exp(-c f^2), scaled
    assert float(seen[1]) == pytest.approx(4**-1.3 * math.exp(0.65 * 15 / 16), rel=1e-9)


@pytest.mark.parametrize("pixel_deg", [None, 0.0286])
def test_in_white_noise_the_observer_is_as_good_as_the_formula_says(pixel_deg):
    sigma, contrast = 1.0, 0.15
    signal = disc(4, 1.0, _REACH)
    template = observer_template(signal, pixel_deg)
    side = 2 * _REACH + 1
    noise = torch.randn(2 * 50 * side, 50 * side, generator=torch.Generator().manual_seed(0))
    places = np.array([(r, c) for r in range(100) for c in range(50)]) * side + _REACH
    scores = observe(sigma * noise.double(), places, template)
    absent, present = scores[:2500], scores[2500:]
    present = present + contrast * float((template * signal).sum())
    # d' = contrast * sum(t s) / (sigma * |t|), which is contrast * |s| / sigma for t = s
    expected = contrast * float((template * signal).sum() / template.norm()) / sigma
    if pixel_deg is None:
        assert expected == pytest.approx(contrast * float(signal.norm()) / sigma)
    found = auc(present, absent)
    assert found == pytest.approx(norm.cdf(expected / math.sqrt(2)), abs=0.02)  # 3 standard errors


def test_the_observer_sees_patches_and_no_brightness():
    template = observer_template(disc(4, 1.0, _REACH), 0.0286)
    image = torch.zeros(60, 60, dtype=torch.float64)
    image[18:43, 23:48] = disc(4, 1.0, _REACH)
    (score,) = observe(image, np.array([(30, 35)]), template)
    assert score == pytest.approx(float((template * disc(4, 1.0, _REACH)).sum()))
    (brighter,) = observe(image + 0.5, np.array([(30, 35)]), template)
    assert brighter == pytest.approx(score)
    with pytest.raises(OptionError, match=r"12 pixels or more from the edge"):
        observe(image, np.array([(11, 30)]), template)
    with pytest.raises(OptionError, match=r"12 pixels or more from the edge"):
        observe(image, np.array([(30, 48)]), template)


def test_the_area_is_that_of_mann_and_whitney_and_equal_scores_count_half():
    rng = np.random.default_rng(0)
    present, absent = rng.integers(3, 12, 40) / 2.0, rng.integers(0, 9, 70) / 2.0
    expected = mannwhitneyu(present, absent).statistic / (40 * 70)
    assert auc(present, absent) == pytest.approx(expected)
    assert math.isnan(auc(present, absent[:0]))


@pytest.mark.parametrize("radius", [4, 8])
def test_the_response_to_a_disc_of_its_radius_is_two_over_e(radius):
    image = torch.zeros(120, 121, dtype=torch.float64)
    reach = 2 * radius
    profile = disc(radius, 0.3, reach)
    image[60 - reach : 61 + reach, 50 - reach : 51 + reach] = 0.3 * profile
    responses = blob_response(image, [radius / 2, radius, 2 * radius])
    assert float(responses[1, 60, 50]) == pytest.approx(0.3 * 2 / math.e, rel=0.02)
    assert responses[1, 60, 50] == responses[:, 60, 50].max()


@pytest.mark.parametrize("radius", [4, 8])
def test_marks_are_those_of_scikit_image(radius):
    image = camera()[100:356, 100:356] / 255.0
    margin, threshold = 4 * radius, 0.1
    body = torch.zeros(image.shape, dtype=torch.bool)
    body[margin:-margin, margin:-margin] = True
    where, height = find_marks(blob_response(torch.from_numpy(image), [radius])[0], body)
    sigma = radius / math.sqrt(2)
    options = {"min_sigma": sigma, "max_sigma": sigma, "num_sigma": 1, "overlap": 1}
    # Its filter is sampled, ours exact: marks at the threshold may be of one alone.
    for own, theirs in ((0.95, 1.0), (1.0, 0.95)):
        blobs = blob_log(image, threshold=theirs * threshold, **options)[:, :2].astype(np.int64)
        blobs = blobs[(blobs >= margin).all(1) & (blobs < 256 - margin).all(1)]
        marks = where[height > own * threshold]
        few, many = (blobs, marks) if own < theirs else (marks, blobs)
        assert len(few) > 10
        assert are_marked(few, many, 1.0).all()


def test_places_are_marked_within_reach():
    places = np.array([(10, 10), (10, 20), (50, 50)])
    marks = np.array([(13, 14), (49, 50)])
    assert are_marked(places, marks, 5.0).tolist() == [True, False, True]
    assert are_marked(places, marks, 4.9).tolist() == [False, False, True]
    assert are_marked(places, marks[:0], 5.0).tolist() == [False] * 3
    assert are_marked(places[:0], marks, 5.0).tolist() == []
