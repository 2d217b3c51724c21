"""Shares are means of the images, rows are replaced by bundle and scale, and pages show both."""

from __future__ import annotations

import dataclasses
import json

import coverage_rows as script
import numpy as np
import pytest
from interval_samples import Sample

from monai_sr.core.fingerprint import weights_sha256
from monai_sr.core.registry import find_bundle
from monai_sr.transforms import Reading, Widening

NAMED = {
    "bundle": "xray_sr", "scale": 4, "set": "xray", "is_foreign": False, "strength": "weak",
    "weights_sha256": weights_sha256(find_bundle("xray_sr") / "models" / "model.pt"),
}  # fmt: skip


def sample(noise):
    """Half of the result is flat, and every error 0.049."""
    result = np.zeros((1, 40, 40))
    result[:, 20:] = np.random.default_rng(0).random((1, 20, 40))
    spread = np.where(result > 0, 0.05, 0.01)
    error = np.full_like(result, 0.049)
    return Sample(error, spread, result, Reading((noise,), 0.3), 1)


def row():
    widening = Widening(noise_gain=1.0, clean_noise=0.0)
    return script.row_of([sample(0.0), sample(0.1)], [False, True], 1.0, widening, **NAMED)


def test_shares_are_means_of_the_images():
    found = row()
    assert (found.images, found.told, found.low) == (2, 1, 1)
    assert found.plain == pytest.approx(50, abs=1)
    assert found.widened == pytest.approx(75, abs=1)  # 50 % of one, all of the other
    # The window reaches over the edge between them.
    assert found.flat == pytest.approx(50, abs=6)
    assert found.edges == pytest.approx(100, abs=6)
    assert found.plain_width == pytest.approx(3, abs=0.1)  # percent of the range
    assert found.width > found.plain_width


def test_rows_of_a_bundle_and_scale_are_replaced(tmp_path):
    path = tmp_path / script.FILE
    strong = dataclasses.replace(row(), strength="strong")
    other = dataclasses.replace(row(), bundle="mri_sr", set="mr")
    script.COVERAGE_TABLE.write(path, [strong, other])
    script.COVERAGE_TABLE.write(path, [row()])
    kept = script.COVERAGE_TABLE.read(path)
    assert [(r.bundle, r.strength) for r in kept] == [("mri_sr", "weak"), ("xray_sr", "weak")]
    assert kept[1].widened == pytest.approx(row().widened, abs=1e-3)
    assert kept[1].is_foreign is False


def test_the_page_shows_both_shares_and_leaves_out_other_weights():
    lines = script.coverage_section([row(), dataclasses.replace(row(), weights_sha256="old")])
    shown = [line for line in lines if line.startswith("| Chest X-rays, weak | x4 |")]
    assert len(shown) == 1
    assert " → " in shown[0]
    assert script.coverage_section([]) == []


def test_what_was_measured_is_kept_beside_the_factors(tmp_path):
    path = tmp_path / "metadata.json"
    path.write_text(json.dumps({"name": "a", "uncertainty": {"factors": {"4": 1.0}}}))
    clean = dataclasses.replace(row(), strength="clean", widened=90.61)
    foreign = dataclasses.replace(clean, is_foreign=True, set="ct")
    shares = [dataclasses.replace(foreign, widened=share) for share in (84.0, 99.2, 88.0)]
    script.keep_measured(path, [row(), clean, *shares])
    kept = json.loads(path.read_text())
    assert kept["name"] == "a"
    assert kept["uncertainty"]["factors"] == {"4": 1.0}
    assert kept["uncertainty"]["measured"] == {"4": {"like": 0.906, "unlike": [0.84, 0.992]}}
    script.keep_measured(path, [dataclasses.replace(clean, scale=2)])
    measured = json.loads(path.read_text())["uncertainty"]["measured"]
    assert measured["2"] == {"like": 0.906}
    assert "4" in measured
