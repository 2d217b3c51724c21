"""Strengths of sensors: within what weights are trained over, rising, and noise told apart."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from degraded_input import CLEAN, STRENGTHS, load_domains
from skimage.data import camera

from monai_sr.core.errors import OptionError
from monai_sr.functional.resize import downsample
from monai_sr.metrics.protocol import NATURAL, native
from monai_sr.training import GridResampling

DOMAINS = load_domains()
NAMES = list(DOMAINS)


@pytest.fixture(scope="module")
def photo():
    return torch.from_numpy(camera()[:256, 128:384] / 255.0)[None, None]


@pytest.fixture(scope="module")
def small(photo):
    return downsample(photo, 4).clamp(0, 1)


@pytest.mark.parametrize("name", NAMES)
def test_every_stage_acts_at_every_strength_but_for_the_other_kernel(name):
    for sensor in DOMAINS[name].sensors.values():
        idle = [stage for stage in sensor.stages if stage.probability == 0]
        assert {stage.probability for stage in sensor.stages} <= {0, 1}
        assert all(isinstance(stage, GridResampling) for stage in idle)
        assert len(idle) == (name == "satellite")
        for stage in sensor.stages:
            assert stage in idle or all(low == high for low, high in stage.ranges.values())


@pytest.mark.parametrize("name", NAMES)
def test_stronger_is_further_from_clean_and_noisier(name, small):
    domain = DOMAINS[name]
    errors, noises = [], []
    for strength in STRENGTHS:
        noisy, quiet = domain.spoil(small, strength, 7, native())
        errors.append(float((noisy - small).square().mean()))
        noises.append(float((noisy - quiet).square().mean()))
    assert 0 < errors[0] < errors[1] < errors[2] < 0.05
    assert 0 < noises[0] < noises[1] < noises[2]


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_input_and_another_seed_another(name, small):
    first, again, other = (DOMAINS[name].spoil(small, "medium", s, NATURAL) for s in (1, 1, 2))
    assert torch.equal(first.noisy, again.noisy)
    assert torch.equal(first.quiet, again.quiet)
    assert not torch.equal(first.noisy, other.noisy)
    assert torch.equal(first.noisy * 255, (first.noisy * 255).round())  # stored in 8 bits


def test_clean_stays_as_it_is(photo, small):
    for domain in DOMAINS.values():
        assert all(each is small for each in domain.spoil(small, CLEAN, 1, NATURAL))
        assert domain.vary(small, photo, CLEAN, 1)[1] is photo


def test_noise_has_the_strength_that_the_file_states():
    flat = torch.full((1, 1, 200, 200), 0.6, dtype=torch.float64)
    domain = dataclasses.replace(
        DOMAINS["mr"], stages=[{"strength": [0] * 3}, {"share": [1] * 3}, {"sigma": [0.01] * 3}]
    )
    noisy, quiet = domain.spoil(flat, "weak", 3, native())
    torch.testing.assert_close(quiet, flat, atol=1e-6, rtol=0)
    assert float((noisy - quiet).std()) == pytest.approx(0.01, rel=0.02)
    assert float((noisy - quiet).mean()) == pytest.approx(0, abs=3e-4)


def test_what_is_no_noise_is_the_same_without_it(small):
    noisy, quiet = DOMAINS["satellite"].spoil(small, "strong", 5, native())
    _, moved = DOMAINS["satellite"].spoil(small, "strong", 6, native())  # another offset of grids
    assert float((noisy - quiet).square().mean()) < float((noisy - moved).square().mean())


def test_fields_vary_the_reference_too(photo, small):
    lr, hr = DOMAINS["mr"].vary(small.float(), photo, "strong", 11)
    changed = float((hr - photo).abs().mean())
    assert changed > 0.02
    assert float((downsample(hr, 4) - lr).abs().mean()) < 0.1 * changed
    lr, hr = DOMAINS["xray"].vary(small, photo, "strong", 11)
    assert torch.equal(hr, photo)


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ([{"strength": [0, 0, 0]}], "stages must be the 3 of mr, got 1"),
        ([{"strength": [0, 0, 9]}, {"share": [1] * 3}, {"sigma": [0] * 3}], "got 9"),
        ([{"strength": [0] * 3}, {"share": [1] * 3}, {"sgma": [0] * 3}], "needs sigma, got sgma"),
    ],
)
def test_stages_that_no_weights_are_trained_over_are_refused(stages, message):
    with pytest.raises(OptionError, match=message):
        _ = dataclasses.replace(DOMAINS["mr"], stages=stages).sensors


def test_faces_are_those_that_have_weights(tmp_path):
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "metadata.json").write_text("{}")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "model_robust.pt").write_bytes(b"")
    domain = dataclasses.replace(DOMAINS["mr"], bundle=str(tmp_path))
    assert domain.faces == {"robust": tmp_path / "models" / "model_robust.pt"}
    assert next(iter(DOMAINS["photo"].faces)) == "faithful"
