"""Thick slices as benchmarks judge them: every figure against what it says it is."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import thick
import torch
from scipy.ndimage import gaussian_filter
from thick_rows import (
    THICK_TABLE,
    ThickRow,
    judge_volume,
    mean_length,
    thick_section,
)

from monai_sr.functional import SliceProfile, reduce_slices
from monai_sr.networks import SliceRefiner, save_weights
from tests.image_factory import write_nifti

PROFILE = SliceProfile()


@pytest.fixture
def volume():
    noise = np.random.default_rng(0).random((40, 38, 48))
    smooth = gaussian_filter(noise, 2)
    return torch.from_numpy((smooth - smooth.min()) / np.ptp(smooth)).float()


def row(**changes):
    figures = dict.fromkeys([f.name for f in dataclasses.fields(ThickRow)], 1.0)
    words = {"volume": "V", "factor": 2, "profile": "slr", "weights_sha256": ""}
    return ThickRow(**{**figures, **words, "method": "cubic spline", **changes})


def test_the_reference_itself_is_perfect(volume):
    thick_slices = reduce_slices(volume, 12, 2, PROFILE)
    found = judge_volume(volume, volume, thick_slices, PROFILE)
    assert found["psnr"] == float("inf")
    assert found["lr_psnr"] > 130
    assert found["ssim"] == pytest.approx(1)
    assert found["lpips"] == pytest.approx(0, abs=1e-6)
    assert (found["dice"], found["volume_error"], found["length_error"]) == (1, 0, 0)
    assert abs(found["mean_change"]) < 0.1


def test_figures_tell_what_is_off(volume):
    thick_slices = reduce_slices(volume, 12, 2, PROFILE)
    brighter = judge_volume(volume + 0.05, volume, thick_slices, PROFILE)
    exact = judge_volume(volume, volume, thick_slices, PROFILE)
    assert brighter["mean_change"] - exact["mean_change"] == pytest.approx(5, abs=1e-3)
    assert brighter["psnr"] == pytest.approx(-20 * np.log10(0.05), abs=1e-3)
    assert brighter["volume_error"] > 5
    assert brighter["dice"] < 1
    repeated = judge_volume(thick.as_they_are(thick_slices, 48), volume, thick_slices, PROFILE)
    assert repeated["length_error"] > 5  # nothing is shorter than a slice


def test_lengths_are_those_of_runs():
    mask = np.array([[0, 1, 1, 0, 1], [1, 1, 1, 1, 0], [0, 0, 0, 0, 0]], bool)
    assert mean_length(mask) == pytest.approx((2 + 1 + 4) / 3)
    assert np.isnan(mean_length(mask[2:]))


def test_interpolation_is_exact_where_it_must_be():
    ramp = torch.arange(12.0).expand(3, 3, 12)
    middle = slice(6, -6)
    expected = (torch.arange(36) + 0.5) / 3 - 0.5
    for method in (thick.linear, thick.cubic_spline):
        found = method(ramp, 36)[0, 0]
        torch.testing.assert_close(found[middle], expected[middle], atol=0.02, rtol=0)
    assert thick.as_they_are(ramp, 36)[0, 0, 3:6].tolist() == [1, 1, 1]


def test_the_splines_that_agree_are_nearer_than_plain_ones(volume):
    thick_slices = reduce_slices(volume, 12, 2, PROFILE)
    plain, agreeing = (
        judge_volume(method(thick_slices, 48), volume, thick_slices, PROFILE)
        for method in (thick.cubic_spline, thick.agreeing_spline)
    )
    assert agreeing["psnr"] > plain["psnr"]
    assert agreeing["lr_psnr"] > 100 > plain["lr_psnr"]


def test_rows_go_round(tmp_path):
    rows = [row(), row(method="mri_sr, slices", psnr=2.5, weights_sha256="ab")]
    THICK_TABLE.write(tmp_path / "t.csv", rows)
    assert THICK_TABLE.read(tmp_path / "t.csv") == rows
    assert THICK_TABLE.read(tmp_path / "none.csv") == []


def test_the_section_names_gains_over_splines():
    rows = [row(psnr=30.0), row(method="mri_sr, slices", psnr=31.5)]
    text = "\n".join(thick_section(rows))
    assert "### Thick slices, V" in text
    assert "| mri_sr, slices | **31.50** |" in text
    assert "- ×2, mean over 1 volumes: cubic spline +0.00, mri_sr, slices +1.50" in text


def test_a_mean_is_of_all_volumes_or_none():
    rows = [row(psnr=30.0), row(psnr=31.0, volume="W"), row(method="tuned", psnr=33.0)]
    (line,) = (line for line in thick_section(rows) if line.startswith("- ×2"))
    assert line == "- ×2, mean over 2 volumes: cubic spline +0.00"


def test_the_command_writes_every_row(tmp_path, monkeypatch, volume):
    (tmp_path / "mr").mkdir()
    values = np.rint(volume.numpy() * 4000).astype(np.int16)
    write_nifti(tmp_path / "mr" / "a.nii.gz", values, affine=np.eye(4))
    save_weights(SliceRefiner(48, 3), tmp_path / "w.pt")
    monkeypatch.setattr(thick, "VOLUMES", {"A": ("mr/a.nii.gz", [(3, "gaussian"), (3, "slr")])})
    monkeypatch.setattr(thick, "TUNED", [("A", 3)])
    monkeypatch.setattr(thick, "write_table", lambda *_: None)
    arguments = [
        "--data",
        tmp_path,
        "--weights",
        tmp_path / "w.pt",
        "--results",
        tmp_path,
        "--tune",
        1e-4,
    ]
    assert thick.main(list(map(str, arguments))) == 0
    rows = THICK_TABLE.read(tmp_path / thick.FILE)
    every = ["as they are", "linear", "cubic spline", "agreeing spline", "mri_sr, slices"]
    assert [r.method for r in rows] == [*every, *every, "mri_sr, slices, tuned"]
    assert [(r.volume, r.factor, r.profile) for r in rows] == (
        [("A", 3, "gaussian")] * 5 + [("A", 3, "slr")] * 6
    )
    # A network that adds nothing is the splines, within limits.
    assert rows[4].psnr == pytest.approx(rows[3].psnr, abs=0.2)
