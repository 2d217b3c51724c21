"""Each model of a sensor has the physics that it says: transfer, variance, spectrum."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import ndimage, stats

from monai_sr.core.errors import OptionError
from monai_sr.functional import (
    bias_field,
    bicubic_mtf,
    downsample,
    filter_image,
    gaussian_mtf,
    jpeg2000,
    lorentzian_mtf,
    quantum_noise,
    radiometric_noise,
    reconstruction_noise,
    resampled_cubic,
    resampled_nearest,
    rician_noise,
    sensor_blur,
    zero_filled,
)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def flat(value, side=256):
    return torch.full((1, side, side), float(value))


def wave(frequency, side=128):
    x = torch.arange(side, dtype=torch.float64)
    return (0.5 + 0.3 * torch.cos(2 * math.pi * frequency * (x + 0.5))).expand(1, side, side)


def contrast(image):
    return float(image.std() * math.sqrt(2))


def test_transfer_functions_have_their_value_at_nyquist():
    f = torch.tensor([0.0, 0.5], dtype=torch.float64)
    for mtf in (gaussian_mtf, lorentzian_mtf):
        assert mtf(f, 0.2).tolist() == pytest.approx([1.0, 0.2])


@pytest.mark.parametrize("scale", [4, 8])
def test_the_transfer_of_bicubic_reduction_is_what_reduction_does(scale):
    for f in (0.125, 0.25, 0.375):
        small = downsample(wave(f / scale, 128 * scale), scale, (1, 2))
        assert contrast(small) / 0.3 == pytest.approx(
            float(bicubic_mtf(torch.tensor(f, dtype=torch.float64))), abs=0.012
        )


@pytest.mark.parametrize("f", [0.125, 0.25, 0.375])
def test_a_filter_multiplies_each_frequency(f):
    found = filter_image(wave(f), lambda v, h: gaussian_mtf((v**2 + h**2).sqrt(), 0.3))
    expected = 0.3 * float(gaussian_mtf(torch.tensor(f), 0.3))
    assert contrast(found) == pytest.approx(expected, rel=1e-4)
    assert float(found.mean()) == pytest.approx(0.5)


def test_a_gaussian_is_that_of_scipy():
    image = torch.rand((1, 64, 64), generator=seeded(), dtype=torch.float64)
    sigma = 1.5
    at_nyquist = math.exp(-0.5 * (2 * math.pi * 0.5 * sigma) ** 2)
    found = filter_image(image, lambda v, h: gaussian_mtf((v**2 + h**2).sqrt(), at_nyquist))
    expected = ndimage.gaussian_filter(image[0].numpy(), sigma, mode="reflect", truncate=8)
    assert np.abs(found[0].numpy() - expected).max() < 1e-3


def test_reduction_and_sensor_together_have_the_transfer_of_the_sensor():
    f, scale = 0.25, 8
    small = downsample(wave(f / scale, 128 * scale), scale, (1, 2))
    found = sensor_blur(small, 0.15)
    assert contrast(found) / 0.3 == pytest.approx(0.15 ** (0.5**2), abs=0.012)


def test_a_sensor_sharper_than_the_reduction_changes_nothing():
    image = torch.rand((2, 32, 40), generator=seeded())
    assert torch.allclose(sensor_blur(image, 1.0), image, atol=1e-5)


def test_zero_filling_keeps_the_center_of_k_space_alone():
    assert contrast(zero_filled(wave(0.125), (1.0, 0.5))) == pytest.approx(0.3, rel=1e-4)
    assert contrast(zero_filled(wave(0.375), (1.0, 0.5))) == pytest.approx(0, abs=1e-6)
    edge = torch.zeros((1, 64, 64))
    edge[..., 32:] = 1
    ringing = zero_filled(edge, (1.0, 0.5))
    assert 1.05 < float(ringing.max()) < 1.09  # Gibbs: 9 % of the step, between samples
    assert torch.equal(zero_filled(edge, (1.0, 1.0)).round(), edge)


def test_rician_noise_has_the_distribution_of_scipy():
    sigma = 0.1
    for value in (0.0, 0.05, 0.8):
        found = rician_noise(flat(value), sigma, seeded(1)).flatten().numpy()
        law = stats.rice(value / sigma, scale=sigma)
        assert found.mean() == pytest.approx(law.mean(), abs=2e-3)
        assert found.std() == pytest.approx(law.std(), abs=2e-3)


@pytest.mark.parametrize("scatter", [0.0, 0.5])
def test_quantum_noise_is_that_of_a_poisson_count_under_the_curve(scatter):
    value, quanta, decades = 0.4, 4000.0, 1.8
    found = quantum_noise(flat(value), quanta, decades, scatter, seeded(2)).numpy()
    primary = quanta * 10 ** (-decades * value)
    counts = np.random.default_rng(0).poisson(primary / (1 - scatter), 10**6)
    counts = counts - primary * scatter / (1 - scatter)
    expected = -np.log10(np.maximum(counts, 1) / quanta) / decades
    assert found.mean() == pytest.approx(expected.mean(), abs=2e-3)
    assert found.std() == pytest.approx(expected.std(), rel=0.03)


def test_dense_parts_are_noisier():
    thin, dense = (
        float(quantum_noise(flat(v), 2000, 2.0, 0.3, seeded()).std()) for v in (0.1, 0.9)
    )
    assert dense > 3 * thin


@pytest.mark.parametrize("shape", [(128, 128), (96, 127)])
def test_reconstruction_noise_has_its_strength_and_spectrum(shape):
    image = torch.zeros((1, *shape), dtype=torch.float64)
    found = [reconstruction_noise(image, 0.02, 0.25, seeded(s))[0] for s in range(20)]
    assert float(torch.stack(found).std()) == pytest.approx(0.02, rel=0.03)
    power = sum(torch.fft.fft2(f).abs() ** 2 for f in found)
    v, h = (torch.fft.fftfreq(n, dtype=torch.float64) for n in shape)
    radius = (v[:, None] ** 2 + h[None] ** 2).sqrt()

    def ring(low, high):
        return float(power[(radius >= low) & (radius < high)].mean())

    model = [f * math.exp(-((f / 0.25) ** 2)) for f in (0.05, 0.15, 0.35)]
    seen = [ring(f - 0.02, f + 0.02) for f in (0.05, 0.15, 0.35)]
    assert seen[0] / seen[1] == pytest.approx(model[0] / model[1], rel=0.15)
    assert seen[2] / seen[1] == pytest.approx(model[2] / model[1], rel=0.15)


def test_radiometric_noise_has_its_ratio_at_the_reference_and_grows_with_the_root():
    for value, factor in ((0.2, 1.0), (0.8, math.sqrt(0.5 * 4 + 0.5)), (0.0, math.sqrt(0.5))):
        found = radiometric_noise(flat(value), 100, 0.2, 0.5, seeded(3))
        assert float(found.std()) == pytest.approx(0.002 * factor, rel=0.02)


def test_a_bias_field_is_one_function_at_two_sizes():
    given = torch.tensor([0.1, 0.3, -0.2, 0.1, 0.05, 0.2, 0.1, -0.1, 0.2, 0.1])
    large, small = bias_field((64, 48), given), bias_field((16, 12), given)
    mean = torch.nn.functional.avg_pool2d(large[None], 4)[0]
    assert float((mean / small - 1).abs().max()) < 0.01
    assert float(large.min()) > 0
    y, x = 2 * 10.5 / 64 - 1, 2 * 5.5 / 48 - 1
    terms = [1, y, x, y * y, y * x, x * x, y**3, y * y * x, y * x * x, x**3]
    expected = math.exp(sum(c * t for c, t in zip(given.tolist(), terms, strict=True)))
    assert float(large[0, 10, 5]) == pytest.approx(expected)


def test_cubic_resampling_keeps_place_and_costs_sharpness():
    image = wave(0.25)
    assert torch.allclose(resampled_cubic(image, (0.0, 0.0)), image)
    found = resampled_cubic(image, (0.0, 0.5))
    # Keys at half a pixel: taps -1/16, 9/16, 9/16, -1/16.
    gain = 2 * (9 / 16 * math.cos(math.pi * 0.25) - 1 / 16 * math.cos(3 * math.pi * 0.25))
    assert contrast(found) == pytest.approx(0.3 * gain, rel=1e-4)
    assert torch.allclose(resampled_cubic(image, (0.0, -0.5)), found)


def test_nearest_resampling_moves_nothing_by_more_than_half_a_pixel():
    ramp = torch.arange(64.0).expand(1, 64, 64)
    found = resampled_nearest(ramp, 12.0, (0.2, -0.3))[..., 4:-4, 4:-4]
    off = (found - ramp[..., 4:-4, 4:-4]).abs()
    assert 0.5 < float(off.max()) < 0.5 * math.sqrt(2) + 0.02
    assert torch.allclose(resampled_nearest(ramp, 0.0, (0.0, 0.0))[..., 4:-4, 4:-4],
                          ramp[..., 4:-4, 4:-4], atol=1e-4)  # fmt: skip


def test_jpeg2000_loses_more_at_higher_ratios_and_keeps_16_bits():
    y, x = torch.meshgrid(torch.linspace(0, 6, 64), torch.linspace(0, 9, 64), indexing="ij")
    image = (0.5 + 0.4 * torch.sin(x * y)).expand(2, 64, 64)
    errors = [float((jpeg2000(image, ratio) - image).abs().mean()) for ratio in (2, 10, 40)]
    assert errors[0] < errors[1] < errors[2]
    assert errors[0] < 1 / 255 / 4


@pytest.mark.parametrize(
    "call",
    [
        lambda x: sensor_blur(x, 0.0),
        lambda x: zero_filled(x, (1.1, 1.0)),
        lambda x: quantum_noise(x, 100, 1.5, 1.0, seeded()),
    ],
)
def test_impossible_strengths_are_refused(call):
    with pytest.raises(OptionError, match=r"must (lie|be)"):
        call(flat(0.5, 8))
