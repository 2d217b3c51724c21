"""Three products of errors tell the PSNR of every mixture; ramps are judged on other images."""

from __future__ import annotations

import csv

import fit_robust
import mix_robust
import numpy as np
import pytest
import torch
from mix_robust import Judged, fit_ramp, held_out, ramp

from monai_sr import SuperResolver
from tests.image_factory import pixels, write_raster
from tests.robust_factory import with_robust


def judged(corrections, faithful, robust, both=0.0):
    count = len(corrections)
    products = np.stack([np.full(count, e) for e in (faithful, both, robust)], -1)
    weights = np.tile(np.linspace(faithful, robust, 5), (count, 1))
    return Judged(np.array(corrections, float), products, weights)


def test_a_ramp_rises_from_none_to_all():
    found = ramp(np.array([0.1, 0.2, 0.3, 0.4, 0.5]), (0.2, 0.4))
    assert found == pytest.approx([0, 0, 0.5, 1, 1])
    assert list(ramp(np.array([0.2, 0.3]), (0.2, 0.2))) == [0, 1]
    assert list(ramp(np.array([0.2]), (np.inf, np.inf))) == [0]


def test_independent_errors_are_best_mixed_and_weights_are_of_the_nearest_share():
    each = judged([0.5], 1e-2, 1e-2)
    halves = np.array([0.5])
    assert each.results(halves) == pytest.approx([-10 * np.log10(5e-3)])
    assert judged([0.5], 1e-2, 2e-2).mixed_weights(np.array([0.9])) == pytest.approx(
        [-10 * np.log10(2e-2)]
    )


def test_what_costs_clean_images_is_not_taken():
    clean = judged([0.1, 0.2, 0.3, 0.4], 1e-4, 1e-2, 1e-4)
    dirty = judged([0.3, 0.5, 0.6, 0.7], 1e-2, 1e-3, 1e-3)
    low, high = fit_ramp([clean, dirty], Judged.results, is_choice=True)
    assert low == high >= 0.4
    assert low < 0.5
    far = judged([0.3, 0.3, 0.3, 0.3], 1e-2, 1e-3, 1e-3)
    assert fit_ramp([clean, far], Judged.results, is_choice=True)[0] >= 0.4


def test_each_half_is_judged_by_the_other():
    clean = judged([0.1, 0.1, 0.1, 0.9], 1e-4, 1e-2, 1e-4)
    dirty = judged([0.5, 0.5, 0.5, 0.5], 1e-2, 1e-3, 1e-3)
    found = held_out([clean, dirty], Judged.results, is_choice=True)
    # The half with a clean image at 0.9 allows no call at 0.5, the other one does: it pays there.
    assert found[0] == pytest.approx((3 * 40 + 20) / 4)
    assert found[1] == pytest.approx(25)


def test_products_tell_what_mixed_images_would_have(tmp_path):
    bundle = with_robust(tmp_path)
    faithful, robust = (
        SuperResolver(bundle, scale=2, robust=flag, device="cpu", runtime="torch")
        for flag in (False, True)
    )
    hr = torch.from_numpy(pixels((3, 48, 44))).float() / 255
    lr = fit_robust.small(hr, 2)[0]
    found = mix_robust.judge(iter([(lr, hr)]), faithful, robust)
    results = [r(lr) for r in (faithful, robust)]
    for share in (0.0, 0.3, 1.0):
        mixed = torch.lerp(*results, share)
        expected = fit_robust.psnr(mixed, hr, 2)
        assert found.results(np.array([share])) == pytest.approx([expected], abs=1e-4)
    ends = [mix_robust.soup(faithful, robust, s, robust.inferer)(lr) for s in (0.0, 1.0)]
    assert torch.allclose(ends[1], results[1])
    assert not torch.allclose(ends[0], results[1])


def test_the_script_writes_a_row_for_each_kind_of_images(tmp_path, monkeypatch):
    bundle = with_robust(tmp_path)
    (tmp_path / "images").mkdir()
    for number in range(4):
        write_raster(tmp_path / "images" / f"{number}.png", pixels((3, 80, 72), seed=number))
    sources = sorted((tmp_path / "images").iterdir())
    monkeypatch.setattr(fit_robust, "sources_of", lambda job, data: sources)
    table = tmp_path / "mix.csv"
    words = ["--data", str(tmp_path), "--csv", str(table), "--bundles", str(bundle), "--count", "2"]
    assert mix_robust.main([*words, "--draws", "1", "--side", "16", "--clean", "4"]) == 0
    with table.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["scale"], row["images"], row["count"]) for row in rows] == [
        (scale, kind, count) for scale in "24"
        for kind, count in (("clean", "4"), ("mild", "2"), ("degraded", "2"))
    ]  # fmt: skip
    for row in rows:
        best = float(row["best_mixed_results"])
        others = ("faithful", "robust", "choice", "mixed_results", "best_choice")
        assert all(float(row[name]) <= best + 1e-3 for name in others)
