"""The figures of opensr-test: against numpy where they are simple, by their laws elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.exposure import match_histograms

from monai_sr.core.errors import OptionError
from monai_sr.functional.resize import downsample, upsample
from monai_sr.metrics import OpenSRMetric, opensr


@pytest.fixture(scope="module")
def scene(samples_dir):
    """Return reference, input and bicubic enlargement of a photograph, (C, H, W) in [0, 1]."""
    array = np.asarray(Image.open(samples_dir / "hr" / "photo.png").convert("RGB"))[:128, :144]
    hr = torch.from_numpy(array.astype(np.float64) / 255).permute(2, 0, 1)
    lr = downsample(hr[None], 4)[0].clamp(0, 1)
    return hr, lr, upsample(lr[None], 4)[0].clamp(0, 1)


def _reduced(image):
    """Make small by 4 with an antialiased triangle, as matrices of numpy."""
    matrices = []
    for length in image.shape[1:]:
        center, source = (np.arange(length // 4) + 0.5) * 4, np.arange(length) + 0.5
        weights = np.clip(1 - abs(source[None] - center[:, None]) / 4, 0, None)
        matrices.append(weights / weights.sum(1, keepdims=True))
    return np.einsum("ij,cjk,lk->cil", matrices[0], image, matrices[1])


def test_reflectance_and_spectrum_equal_numpy(scene):
    hr, lr, sr = scene
    tint = torch.tensor([0.05, 0.0, 0.02], dtype=torch.float64)[:, None, None]
    sr = (0.9 * sr + tint).clamp(0, 1)
    found = opensr(sr, hr, lr)
    inner, back = lr[:, 4:-4, 4:-4].numpy(), _reduced(sr[:, 16:-16, 16:-16].numpy())
    assert found.reflectance == pytest.approx(abs(inner - back).mean(), rel=1e-6)
    cosine = (inner * back).sum(0) / np.linalg.norm(inner, axis=0) / np.linalg.norm(back, axis=0)
    assert found.spectral == pytest.approx(np.degrees(np.arccos(cosine)).mean(), rel=1e-6)


def test_shares_sum_to_one(scene):
    hr, lr, sr = scene
    found = opensr(sr, hr, lr)
    assert found.hallucination + found.omission + found.improvement == pytest.approx(1)


def _shares_of_numpy(large, sr, hr):
    """Compute hallucination, omission, improvement by the formulas of the paper's package."""
    reference, improving, omitting = (
        (abs(a - b) / (a + b + 1e-8)).mean(0) for a, b in ((large, hr), (sr, hr), (sr, large))
    )
    third_quartile = np.sort(reference.ravel())[int(0.75 * reference.size) - 1]
    judged = np.maximum.reduce([reference, improving, omitting]) > third_quartile
    d_im = improving[judged] / np.maximum(reference[judged], 1e-8)
    d_om = omitting[judged] / np.maximum(reference[judged], 1e-8)
    excess = 1 - np.exp(-0.05 * (d_im + d_om - 1))
    distances = [np.exp(-0.05 * d_im * d_om), d_om + d_im * excess, d_im + d_om * excess]
    exponent = -np.array(distances) / 0.25
    weights = np.exp(exponent - exponent.max(0))
    return (weights / weights.sum(0)).mean(1)


def test_shares_equal_numpy(scene):
    hr, lr, sr = scene
    sharper = (sr + 0.6 * (hr - sr) + 0.004 * torch.randn_like(sr)).clamp(0, 1)
    found = opensr(sharper, hr, lr)
    inner = [image[:, 16:-16, 16:-16].numpy() for image in (sharper, hr)]
    matched = match_histograms(*inner, channel_axis=0)
    large = torch.nn.functional.interpolate(
        lr[None, :, 4:-4, 4:-4], scale_factor=4, mode="bilinear", align_corners=False
    )[0].numpy()
    expected = _shares_of_numpy(large, matched, inner[1])
    shares = (found.hallucination, found.omission, found.improvement)
    assert shares == pytest.approx(expected, rel=1e-6)
    assert min(shares) > 0.02  # each of the three terms counts
    assert found.synthesis == pytest.approx(abs(large - matched).mean(), rel=1e-6)


def test_the_reference_itself_improves_and_the_enlarged_input_omits(scene):
    hr, lr, _ = scene
    large = torch.nn.functional.interpolate(lr[None], scale_factor=4, mode="bilinear")[0]
    best, none = opensr(hr, hr, lr), opensr(large, hr, lr)
    assert best.improvement > 0.9
    assert none.omission > best.omission
    assert none.synthesis < best.synthesis


def test_foreign_detail_is_hallucination(scene):
    hr, lr, sr = scene
    foreign = (sr + 0.3 * torch.sign(torch.randn_like(sr))).clamp(0, 1)
    assert opensr(foreign, hr, lr).hallucination > opensr(hr, hr, lr).hallucination + 0.2


def test_a_shift_is_found_in_pixels_of_the_input(scene):
    hr, lr, _ = scene
    moved = torch.roll(hr, 4, dims=2)
    assert opensr(moved, hr, lr).spatial == pytest.approx(1.0, abs=0.15)
    assert opensr(hr, hr, lr).spatial < 0.05


def test_images_that_do_not_belong_together_or_are_small_are_refused(scene):
    hr, lr, _ = scene
    with pytest.raises(OptionError, match="whole multiple"):
        opensr(hr, hr, lr[:, 1:])
    with pytest.raises(OptionError, match="at least 64 pixels"):
        opensr(hr[:, :60, :64], hr[:, :60, :64], lr[:, :15, :16])


def test_metric_makes_the_input_by_the_protocol(scene):
    hr, _, sr = scene
    metric = OpenSRMetric(4, "native", figure="improvement")
    value = metric(y_pred=sr[None], y=hr[None])[0, 0].item()
    assert 0 < value < 1
    with pytest.raises(OptionError, match="figure: must be one of reflectance"):
        OpenSRMetric(4, "native", figure="hallu")
