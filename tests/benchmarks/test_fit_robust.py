"""The limit gains most within the false alarms; images are degraded as the weights were trained."""

from __future__ import annotations

import json
import math

import fit_robust
import numpy as np
import pytest
import torch
from fit_robust import Judged, fit, gain, held_out_gain
from skimage.metrics import peak_signal_noise_ratio

from monai_sr.core import weights_sha256
from monai_sr.core.bundles import write_weights_sums
from monai_sr.core.errors import OptionError
from monai_sr.upscaling.degraded import read_limits
from tests.image_factory import pixels, write_raster
from tests.network_factory import tiny, tiny_bundle

CLEAN = np.linspace(0.1, 0.3, 100)


def judged(corrections, gains):
    return Judged(np.array(corrections, float), np.array(gains, float))


def test_the_limit_lies_between_what_loses_and_what_gains():
    found = fit(judged([0.2, 0.35, 0.5, 0.6], [-1, -1, 2, 3]), CLEAN)
    assert 0.35 < found < 0.5
    assert gain(judged([0.2, 0.35, 0.5, 0.6], [-1, -1, 2, 3]), found) == 5 / 4


def test_no_more_than_two_percent_of_clean_images_are_called():
    found = fit(judged([0.15, 0.2, 0.25, 0.4], [5, 5, 5, 5]), CLEAN)
    assert (found < CLEAN).mean() <= 0.02
    assert 0.29 < found < 0.4


def test_where_nothing_gains_there_is_no_limit():
    limit, figures = fit_robust.figures_of(judged([0.4, 0.5, 0.6, 0.7], [-1, -1, 0, -2]), CLEAN)
    assert limit is None
    assert figures["degraded_called"] == figures["gain_db"] == figures["clean_called"] == 0
    assert figures["best_gain_db"] == 0


def test_what_a_half_gains_by_the_other_is_not_what_it_was_fitted_on():
    lucky = judged([0.4, 0.5, 0.6, 0.7], [3, -3, 3, -3])
    # The half that gains sets a limit below what the other half loses by.
    assert held_out_gain(lucky, CLEAN) < gain(judged([0.4, 0.6], [3, 3]), 0.3)
    assert held_out_gain(lucky, CLEAN) <= 0


def test_psnr_is_that_of_scikit_image():
    rng = np.random.default_rng(0)
    sr, hr = (torch.from_numpy(rng.random((3, 20, 24))).float() for _ in range(2))
    inner = (slice(None), slice(4, -4), slice(4, -4))
    expected = peak_signal_noise_ratio(hr[inner].numpy(), sr[inner].numpy(), data_range=1)
    assert fit_robust.psnr(sr, hr, 4) == pytest.approx(expected, abs=1e-4)


def test_every_bundle_is_degraded_as_its_weights_were_trained():
    trained = {"xray_sr": "xray", "ct_sr": "ct", "mri_sr": "mr", "satellite_sr": "satellite"}
    for bundle, how in trained.items():
        assert fit_robust.robust_job(bundle).degradation == how
    image = torch.from_numpy(pixels((1, 64, 64)))
    degradation = fit_robust.read_degradation("xray")
    pairs = [list(fit_robust.degraded_pairs([image], degradation, 2, 3, 5)) for _ in range(2)]
    clean = fit_robust.small(image, 2)[0]
    assert all(torch.equal(a, b) for (a, _), (b, _) in zip(*pairs, strict=True))
    assert not any(torch.equal(lr, clean) for lr, _ in pairs[0])
    with pytest.raises(OptionError, match=r"campaign.yaml, got pet_sr"):
        fit_robust.robust_job("pet_sr")


def test_the_script_writes_what_auto_reads(tmp_path, monkeypatch, capsys):
    bundle = tiny_bundle(tmp_path)
    models = bundle / "models"
    torch.save(tiny(3).state_dict(), models / "model_robust.pt")
    write_weights_sums(bundle)
    (tmp_path / "images").mkdir()
    for number in range(3):
        write_raster(tmp_path / "images" / f"{number}.png", pixels((3, 72, 80)))
    sources = sorted((tmp_path / "images").iterdir())
    monkeypatch.setattr(fit_robust, "sources_of", lambda job, data: sources)
    words = ["--bundle", str(bundle), "--data", str(tmp_path), "--count", "2", "--draws", "2"]
    assert fit_robust.main([*words, "--side", "16", "--clean", "3", "--clean_side", "18"]) == 0
    content = json.loads((models / "robust.json").read_text())
    (entry,) = content.values()
    assert set(content) == {weights_sha256(models / "model_robust.pt")}
    assert entry["degradation"] == "photo"
    assert entry["figures"]["4"]["degraded_images"] == 4
    assert set(read_limits(models)) == {"2", "4"}
    assert all(math.isinf(v) or v > 0 for v in read_limits(models).values())
    assert json.loads(capsys.readouterr().out) == entry
