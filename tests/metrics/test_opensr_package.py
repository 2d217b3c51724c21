"""The figures of opensr-test against those of the package itself, where it is installed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from monai_sr.functional.resize import downsample, upsample
from monai_sr.metrics import OpenSR, opensr

opensr_test = pytest.importorskip(
    "opensr_test", reason="compares with the package: pip install opensr-test", exc_type=ImportError
)
_NAMES = {"hallucination": "ha_metric", "omission": "om_metric", "improvement": "im_metric"}


def _package(sr, hr, lr, **options):
    metrics = opensr_test.Metrics(**options)
    found = metrics.compute(*(image.float() for image in (lr, sr, hr)))
    return {name: found[_NAMES.get(name, name)] for name in OpenSR._fields}


@pytest.fixture(scope="module", params=[3, 4])
def scene(samples_dir, request):
    """Return reference, input and a result of that many bands, (C, H, W) in [0, 1]."""
    array = np.asarray(Image.open(samples_dir / "hr" / "photo.png").convert("RGB"))[:192, :160]
    hr = torch.from_numpy(array.astype(np.float64) / 255).permute(2, 0, 1)
    hr = torch.cat([hr, hr.flip(0)])[: request.param]
    lr = downsample(hr[None], 4)[0].clamp(0, 1)
    large = upsample(lr[None], 4)[0].clamp(0, 1)
    noise = torch.randn(hr.shape, generator=torch.Generator().manual_seed(0))
    return hr, lr, (large + 0.5 * (hr - large) + 0.01 * noise).clamp(0, 1)


def test_figures_are_those_of_the_package_that_leaves_the_result_in_its_place(scene):
    hr, lr, sr = scene
    found, package = opensr(sr, hr, lr)._asdict(), _package(sr, hr, lr, harm_apply_spatial=False)
    # Its float32 turns small angles by up to 0.02 degrees: arccos is steep at 1.
    assert found.pop("spectral") == pytest.approx(package.pop("spectral"), abs=0.02)
    # It looks for shifts in steps of 1/50 pixel, without a window.
    assert found.pop("spatial") == pytest.approx(package.pop("spatial"), abs=0.03)
    assert found == pytest.approx(package, abs=1e-4)
    assert min(found.values()) > 1e-3


def test_moving_the_result_as_the_package_does_changes_the_shares_a_little(scene):
    hr, lr, sr = scene
    found, package = opensr(sr, hr, lr), _package(sr, hr, lr)
    for name in ("hallucination", "omission", "improvement"):
        assert getattr(found, name) == pytest.approx(package[name], abs=0.05)
