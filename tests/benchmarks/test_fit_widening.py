"""The gains that are fitted hold their share on other images, by no more width than that needs."""

from __future__ import annotations

import dataclasses
import json

import fit_widening as script
import numpy as np
import pytest
from interval_samples import Sample

from monai_sr.transforms import Reading, Widening


def noisy(sigma, seed, bias=0.0):
    """A network passes noise on, and its views differ by less."""
    random = np.random.default_rng(seed)
    error = np.abs(sigma * random.standard_normal((1, 40, 40))) + bias
    spread = np.full_like(error, 0.002)
    return Sample(error, spread, np.zeros_like(error), Reading((sigma,), 0.2), 4)


CLEAN = [noisy(0.002, seed) for seed in range(6)]


PLAIN = Widening()
LOUD = [noisy(0.3, 1), noisy(0.4, 2)]


def test_gains_hold_their_share_on_other_images():
    degraded = [noisy(0.01 * (1 + seed % 4), 10 + seed) for seed in range(8)]
    found = script.widening_of(CLEAN, degraded, 1.645, PLAIN)
    assert found.clean_noise == pytest.approx(0.002)
    # 1.645 standard deviations hold 90 %; the next gain above is 2.
    assert (found.noise_gain, found.detail_gain) == (2.0, 0.0)
    others = [noisy(0.03, seed) for seed in range(20, 24)]
    assert min(s.covered(1.645, found).mean() for s in others) >= 0.9
    assert max(s.covered(1.645, Widening()).mean() for s in others) < 0.2


def test_detail_that_is_lost_is_held_by_the_other_gain():
    def blurred(seed):
        random = np.random.default_rng(seed)
        result = 0.05 * random.standard_normal((1, 40, 40))
        error = np.abs(0.1 * random.standard_normal((1, 40, 40)))
        return Sample(error, np.zeros_like(error), result, Reading((0.001,), 0.1), 4)

    clean = [dataclasses.replace(s, reading=Reading((0.002,), 0.2)) for s in CLEAN]
    found = script.widening_of(clean, [blurred(seed) for seed in range(4)], 1.645, PLAIN)
    assert found.noise_gain == 0.0
    assert blurred(9).covered(1.645, found).mean() >= 0.88
    # no wider than the steps between gains make it
    narrower = dataclasses.replace(found, detail_gain=found.detail_gain / 1.25)
    assert blurred(9).covered(1.645, narrower).mean() < 0.92


def test_more_images_that_may_read_as_noisier_let_less_noise_pass_as_clean():
    clean = [noisy(0.001 * (1 + seed), seed) for seed in range(9)]
    degraded = [noisy(0.02, seed) for seed in range(20, 24)]
    few, many = (script.widening_of(clean, degraded, 1.645, PLAIN, share) for share in (0.0, 0.5))
    assert few.clean_noise == pytest.approx(0.009)
    assert many.clean_noise == pytest.approx(0.005)


def test_a_floor_is_kept_and_leaves_less_to_gains():
    degraded = [noisy(0.01, 40 + seed) for seed in range(6)]
    floor = Widening(floor=0.009)
    found = script.widening_of(CLEAN, degraded, 1.645, floor)
    assert (found.floor, found.floor_share) == (0.009, 0.0)
    assert found.noise_gain < script.widening_of(CLEAN, degraded, 1.645, PLAIN).noise_gain


def test_what_halves_hold_of_each_other_is_told():
    degraded = [noisy(0.02, 30 + seed) for seed in range(8)]
    found = script.fit(CLEAN, degraded, 1.645, PLAIN)
    assert 0.9 <= found.holds <= 0.99
    assert found.held < 0.3


def test_images_that_read_as_clean_decide_nothing():
    quiet = [dataclasses.replace(noisy(0.05, s), reading=Reading((0.001,), 0.2)) for s in range(4)]
    assert script.widening_of(CLEAN, quiet, 1.645, PLAIN).noise_gain == 0.0


def test_the_fit_is_kept_beside_the_factors(shared_data, tmp_path, monkeypatch):
    source = script.find_bundle("xray_sr") / "configs" / "metadata.json"
    copy = tmp_path / "configs" / "metadata.json"
    copy.parent.mkdir()
    copy.write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(script, "find_bundle", lambda name: tmp_path)
    monkeypatch.setattr(script, "samples_of", lambda *_: (CLEAN, LOUD))
    arguments = ["--bundle", "xray_sr", "--data", str(shared_data), "--count", "1"]
    assert script.main(arguments) == 0
    before, after = (
        json.loads(f.read_text(encoding="utf-8"))["uncertainty"] for f in (source, copy)
    )
    assert after["factors"] == before["factors"]
    for name in ("power", "floor", "floor_share"):
        assert after["widening"]["4"][name] == before["widening"]["4"][name]
    assert set(after["widening"]) == {"2", "4"}
    assert Widening(**after["widening"]["4"]).noise_gain > 0
