"""Fourier ring correlation of patches: against numpy, and on structure that was invented."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter

from monai_sr.core.errors import OptionError
from monai_sr.functional.resize import downsample, upsample
from monai_sr.metrics import SFRCMetric, sfrc
from monai_sr.metrics.sfrc import agreement, ring_correlation, scan


def test_rings_equal_numpy():
    rng = np.random.default_rng(0)
    a = rng.random((16, 16))
    b = a + 0.5 * rng.random((16, 16))
    fa, fb = (np.fft.fftshift(np.fft.fft2(x)) for x in (a, b))
    y, x = np.mgrid[-8:8, -8:8]
    radius = np.hypot(y, x)
    expected = []
    for ring in range(8):
        weight = ((np.floor(radius) == ring) + 0.0 + (np.ceil(radius) == ring)) / 2
        cross = abs((weight * (fa * fb.conj()).real).sum())
        expected.append(
            cross / np.sqrt((weight * abs(fa) ** 2).sum() * (weight * abs(fb) ** 2).sum())
        )
    found = ring_correlation(torch.from_numpy(a)[None], torch.from_numpy(b)[None])[0]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9)


@pytest.fixture(scope="module")
def photo(samples_dir):
    array = np.asarray(Image.open(samples_dir / "hr" / "photo.png").convert("L"))
    side = [length // 64 * 64 for length in array.shape]
    return torch.from_numpy(array[: side[0], : side[1]].astype(np.float64) / 255)[None, None]


def test_equal_images_agree_up_to_nyquist(photo):
    found = scan(photo, photo, cutoff=0.25)
    assert found.crossing.shape[1:] == tuple(side // 64 for side in photo.shape[2:])
    known = found.crossing[~torch.isnan(found.crossing)]
    assert known.numel()
    assert bool((known == 1).all())
    assert sfrc(photo, photo, cutoff=0.25).item() == 0


def test_enlargement_agrees_up_to_about_the_nyquist_frequency_of_its_input(photo):
    large = upsample(downsample(photo, 2), 2)
    crossing = scan(large, photo, cutoff=0.5).crossing
    assert 0.4 < crossing[~torch.isnan(crossing)].median() <= 1


def test_structure_of_another_place_is_flagged_there_alone(photo):
    sr = photo.clone()
    sr[..., :64, :64] = photo[..., :64, :64].flip(-1)
    before, after = (scan(image, photo, cutoff=0.25) for image in (photo, sr))
    assert not bool(before.flagged.any())
    assert after.flagged.nonzero().tolist() == [[0, 0, 0]]


def test_flat_patches_are_not_judged():
    flat = torch.full((1, 1, 64, 64), 0.5, dtype=torch.float64)
    noisy = flat + 0.001 * torch.randn(1, 1, 64, 64, dtype=torch.float64)
    assert torch.isnan(sfrc(noisy, flat, cutoff=0.25)).item()


@pytest.mark.parametrize(("deviation", "is_judged"), [(0.0099, False), (0.0101, True)])
def test_structure_begins_at_a_hundredth_of_the_range(deviation, is_judged):
    pattern = torch.randn(1, 1, 64, 64, dtype=torch.float64)
    reference = 0.5 + deviation * pattern / pattern.std()
    share = sfrc(reference, reference, cutoff=0.25).item()
    assert share == 0 if is_judged else np.isnan(share)


def test_images_smaller_than_a_patch_are_refused():
    with pytest.raises(OptionError, match="at least 64 pixels"):
        sfrc(torch.zeros(1, 1, 63, 90), torch.zeros(1, 1, 63, 90), cutoff=0.25)


def test_metric_judges_inside_the_border_with_the_nyquist_of_the_input(photo):
    sr = upsample(downsample(photo, 4), 4)
    metric = SFRCMetric(4, "native")
    inner = [image[..., 4:-4, 4:-4].clamp(0, 1) for image in (sr, photo)]
    expected = sfrc(*inner, cutoff=0.25)
    torch.testing.assert_close(metric(y_pred=sr, y=photo)[:, 0], expected)


def test_curves_cross_the_threshold_between_two_rings():
    rng = np.random.default_rng(3)
    hr = rng.random((12, 1, 16, 16))
    sr = hr + gaussian_filter(rng.standard_normal(hr.shape), (0, 0, 0.4, 0.4))
    taper = torch.from_numpy(np.outer(np.hanning(16), np.hanning(16)))
    pair = [torch.from_numpy(image) for image in (sr, hr)]
    curves = ring_correlation(*(image[:, 0] * taper for image in pair)).numpy()
    expected = []
    for curve in curves:
        first = next(r for r, value in enumerate(curve) if value < 0.5)
        assert first > 0
        expected.append(np.interp(0.5, curve[[first, first - 1]], [first, first - 1]) / 8)
    found = scan(*pair, patch_px=16, cutoff=0.5).crossing.flatten()
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9)
    assert np.ptp(found.numpy() * 8 % 1) > 0.5


def test_agreement_is_the_median_of_the_patches_that_have_structure(photo):
    sr = upsample(downsample(photo, 4), 4)
    sr[..., :64, :64] = photo[..., :64, :64]
    crossing = scan(sr, photo, cutoff=0.25).crossing
    known = np.sort(crossing[~torch.isnan(crossing)].numpy())
    found = agreement(sr, photo, cutoff=0.25)
    assert found.item() == pytest.approx(100 * known[(len(known) - 1) // 2])
    assert 20 < found.item() < 60
    assert agreement(photo, photo, cutoff=0.25).item() == 100
    assert torch.isnan(agreement(sr, torch.full_like(sr, 0.5), cutoff=0.25)).item()


@pytest.mark.parametrize("figure", ["flagged", "agreement"])
def test_a_flat_image_is_left_out_of_the_mean_and_told(photo, figure, caplog):
    metric = SFRCMetric(4, "native", figure=figure)
    sr = upsample(downsample(photo, 4), 4)
    expected = metric(y_pred=sr, y=photo).mean()
    flat = torch.full_like(photo, 0.5)
    metric(y_pred=flat, y=flat)
    assert metric.aggregate().item() == expected.item()
    assert "SFRCMetric: 1 of 2 images have no value" in caplog.text


def test_metric_gives_the_figure_that_it_is_asked_for(photo):
    sr = upsample(downsample(photo, 4), 4)
    inner = [image[..., 4:-4, 4:-4].clamp(0, 1) for image in (sr, photo)]
    metric = SFRCMetric(4, "native", figure="agreement")
    expected = agreement(*inner, cutoff=0.25)
    torch.testing.assert_close(metric(y_pred=sr, y=photo)[:, 0], expected)
    with pytest.raises(OptionError, match="figure: must be one of flagged, agreement, got 'flags'"):
        SFRCMetric(4, "native", figure="flags")
