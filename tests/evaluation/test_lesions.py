"""Lesions in whole images: what a system keeps, loses and invents, and curves with intervals."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from monai_sr.core.errors import OptionError
from monai_sr.evaluation.benchmark import BICUBIC, System
from monai_sr.evaluation.detection import auc
from monai_sr.evaluation.lesion_figures import figures
from monai_sr.evaluation.lesions import LesionTest, calibrate, look, make_case
from monai_sr.functional import gaussian_blur, upsample
from monai_sr.metrics.protocol import native

_SIDE = 224
_PLAN = LesionTest(
    scale=2,
    diameters=[2, 4],
    contrasts=[0.02, 0.08, 0.32],
    kind="additive",
    body=[0.2, 0.7],
    passes=4,
    spacing_px=20,
    edge_px=0.7,
    pixel_deg=0.0286,
    template_px=12,
    marks_per_megapixel=500,
)


def _texture(seed):
    random = torch.Generator().manual_seed(seed)
    rough = gaussian_blur(torch.randn(1, _SIDE, _SIDE, generator=random), 3)[0]
    return (0.45 + 0.04 * rough / rough.std()).clamp(0, 1).double()


@pytest.fixture(scope="module")
def cases():
    return [
        make_case(_PLAN, _texture(n), native(255), name=f"texture {n}", seed=n) for n in range(3)
    ]


@pytest.fixture(scope="module")
def thresholds(cases):
    return calibrate(_PLAN, cases)


@pytest.fixture(scope="module")
def reference(cases, thresholds):
    return [look(_PLAN, case, thresholds, None) for case in cases]


@pytest.fixture(scope="module")
def bicubic(cases, thresholds):
    return [look(_PLAN, case, thresholds, BICUBIC) for case in cases]


@pytest.fixture(scope="module")
def judge(cases, thresholds, reference, bicubic):
    """Return a function that gives the figures of a system, by name, diameter and contrast."""

    def judged(system, corrupt=None):
        seen = bicubic
        if system is not BICUBIC or corrupt:
            seen = [look(_PLAN, case, thresholds, system, corrupt) for case in cases]
        found = figures(
            _PLAN, cases, seen, thresholds=thresholds, reference=reference, base=bicubic
        )
        return {
            (f.figure, f.diameter, None if math.isnan(f.contrast) else f.contrast): f for f in found
        }

    return judged


def _of_reference(cases, thresholds, reference):
    seen = {"reference": reference, "base": reference}
    return figures(_PLAN, cases, reference, thresholds=thresholds, **seen)


def test_bicubic_sees_more_of_more_contrast_and_no_more_than_the_reference(
    cases, thresholds, reference, judge
):
    found = judge(BICUBIC)
    most = _of_reference(cases, thresholds, reference)
    known = {(f.figure, f.diameter, f.contrast): f for f in most}
    for diameter in _PLAN.diameters:
        curve = [found["auc", diameter, contrast] for contrast in _PLAN.contrasts]
        assert curve[0].value < curve[1].value < curve[2].value
        assert curve[2].value > 0.95
        assert all(each.low <= each.value <= each.high for each in curve)
        assert all(
            each.value <= known["auc", diameter, each.contrast].value + 0.02 for each in curve
        )
        assert 0.02 < found["threshold", diameter, None].value < 0.32
        assert found["gain", diameter, None].value == 0


def test_an_area_is_that_of_all_scores_together(cases, bicubic, judge):
    found = judge(BICUBIC)["auc", 4, 0.08]
    wanted = 1 * 3 + 1
    pairs = zip(bicubic, cases, strict=True)
    present = np.concatenate([s.present[case.condition == wanted] for s, case in pairs])
    absent = np.concatenate([s.absent[1] for s in bicubic])
    assert found.value == pytest.approx(auc(present, absent))
    assert found.count == len(present) > 20


def test_the_reference_loses_nothing_and_invents_nothing(cases, thresholds, reference):
    for figure in _of_reference(cases, thresholds, reference):
        if figure.figure in ("lost", "invented") and figure.count:
            assert figure.value == 0


def test_marks_of_references_have_the_rate_asked_for(cases, thresholds, reference):
    area = sum(int(case.body.sum()) for case in cases) / 1e6
    for number in range(2):
        marks = sum(int((seen.heights[number] > thresholds[number]).sum()) for seen in reference)
        assert marks == pytest.approx(500 * area, abs=1)


def test_a_system_that_blurs_everything_away_loses_all(judge):
    flat = System("flat", lambda lr, scale: upsample(lr, scale) * 0 + 0.5)
    found = judge(flat)
    for diameter in _PLAN.diameters:
        assert found["lost", diameter, 0.32].value == 1
        assert found["lost", diameter, 0.32].count > 10
        assert found["auc", diameter, 0.32].value == 0.5
        assert found["threshold", diameter, None].value == math.inf
        assert found["gain", diameter, None].value < -0.1
        assert found["invented", diameter, None].value == 0


def test_discs_that_a_system_paints_are_counted_as_invented(cases, judge):
    places = [(60, 60), (60, 160), (150, 90)]

    def paint(lr, scale):
        sr = upsample(lr, scale)
        y, x = torch.meshgrid(*(torch.arange(float(_SIDE)),) * 2, indexing="ij")
        for row, column in places:
            sr[..., torch.hypot(y - row, x - column) <= 4] = 0.7
        return sr

    plain, found = judge(BICUBIC), judge(System("painter", paint))
    area = sum(int(case.body.sum()) for case in cases) / 1e6
    for contrast in (0.32, None):
        # A painted disc is of a contrast of 0.5 or more; no texture is of half of 0.32.
        figure, before = found["invented", 4, contrast], plain["invented", 4, contrast]
        assert figure.count >= 3 * len(cases) > before.count
        assert figure.value == pytest.approx(figure.count / area)
    assert found["invented", 4, 0.32].count == 3 * len(cases)
    assert plain["invented", 4, 0.32].count == 0


def test_the_same_seed_gives_the_same_figures_and_another_other_lesions(cases, thresholds, bicubic):
    again = make_case(_PLAN, _texture(0), native(255), name="texture 0", seed=0)
    np.testing.assert_array_equal(again.places, cases[0].places)
    np.testing.assert_array_equal(again.condition, cases[0].condition)
    seen = look(_PLAN, again, thresholds, BICUBIC)
    np.testing.assert_array_equal(seen.present, bicubic[0].present)
    np.testing.assert_array_equal(seen.is_found, bicubic[0].is_found)
    other = make_case(_PLAN, _texture(0), native(255), name="texture 0", seed=9)
    assert not np.array_equal(other.places, cases[0].places)


def test_each_place_meets_another_lesion_in_each_pass(cases):
    for case in cases:
        assert case.condition.shape == (4, len(case.places))
        for lesions in case.condition.T:
            assert len(set(lesions)) == 4
            assert set(lesions) <= set(range(6))


def test_degraded_input_is_degraded_before_it_is_enlarged(judge):
    seeds = []

    def noisy(lr, seed):
        seeds.append(seed)
        grain = torch.randn(lr.shape, generator=torch.Generator().manual_seed(seed))
        return lr + 0.05 * grain

    clean = judge(BICUBIC)
    found = judge(BICUBIC, noisy)
    assert found["auc", 2, 0.08].value < clean["auc", 2, 0.08].value
    assert len(set(seeds[:5])) == 5  # no two images of a case have the same noise


def test_plans_and_images_that_cannot_be_are_refused():
    with pytest.raises(OptionError, match=r"passes: must be 1 \.\.\. 6, .* got 7"):
        dataclasses.replace(_PLAN, passes=7)
    with pytest.raises(OptionError, match=r"contrasts: must be positive and rise"):
        dataclasses.replace(_PLAN, contrasts=[0.1, 0.05, 0.2])
    black = torch.zeros(_SIDE, _SIDE, dtype=torch.float64)
    with pytest.raises(OptionError, match=r"black: must have a place .* leave it out"):
        make_case(_PLAN, black, native(255), name="black", seed=0)
    case = make_case(_PLAN, _texture(0), native(255), name="texture", seed=0)
    plan = dataclasses.replace(_PLAN, marks_per_megapixel=1e6)
    with pytest.raises(OptionError, match=r"marks_per_megapixel: must be possible"):
        calibrate(plan, [case])
