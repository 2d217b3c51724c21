"""Configurations of sensors: every one runs, each patch by its own seed, each stage by itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser

from monai_sr.core import find_config
from monai_sr.core.errors import OptionError
from monai_sr.training import (
    BiasField,
    CameraNoise,
    GridResampling,
    PatchLoader,
    RadiometricNoise,
    SensorBlur,
    SensorDegradation,
)

SENSORS = ["xray", "mr", "ct", "satellite", "photo"]


def configured(name):
    parser = ConfigParser()
    parser.read_config(find_config("degradations", name))
    return parser.get_parsed_content("degradation")


def patches(count=24, channels=1, side=24):
    y, x = torch.meshgrid(torch.linspace(0, 5, side), torch.linspace(0, 7, side), indexing="ij")
    image = 0.5 + 0.3 * torch.sin(x * y + x)
    return image.expand(count, channels, side, side).contiguous()


@pytest.mark.parametrize("name", SENSORS)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_sensor_changes_most_patches_and_keeps_their_range(name, channels):
    given = patches(channels=channels)
    found = configured(name).corrupt(given, torch.arange(24))
    assert found.shape == given.shape
    assert bool(torch.isfinite(found).all())
    assert 0 <= float(found.min()) <= float(found.max()) <= 1
    change = (found - given).abs().flatten(1).mean(1)
    assert int((change > 1e-4).sum()) >= 12
    assert float(change.mean()) < 0.12  # brightness stays: what is drawn is spoiled, not lost
    assert abs(float((found - given).mean())) < 0.02


@pytest.mark.parametrize("name", SENSORS)
def test_a_patch_depends_on_its_seed_alone(name):
    degradation, given, seeds = configured(name), patches(4), torch.tensor([7, 3, 7, 5])
    found = degradation.corrupt(given, seeds)
    assert torch.equal(found[0], found[2])
    assert torch.equal(degradation.corrupt(given[1:2], seeds[1:2])[0], found[1])
    assert torch.equal(degradation.corrupt(given, seeds), found)


def test_a_stage_more_leaves_the_draws_of_the_others():
    noise = RadiometricNoise(snr=[20, 20], reference=[0.2, 0.2], shot_share=[0, 0])
    alone = SensorDegradation([noise])
    both = SensorDegradation([noise, SensorBlur(at_nyquist=[1, 1])])
    given, seeds = patches(3), torch.arange(3)
    assert torch.allclose(alone.corrupt(given, seeds), both.corrupt(given, seeds), atol=1e-5)


def test_strengths_are_drawn_over_their_range_decades_alike():
    stage = RadiometricNoise(snr=[10, 1000], reference=[0.5, 0.5], shot_share=[0, 0])
    drawn = np.array([stage._drawn("snr", p) for p in np.linspace(0, 1, 201)])
    assert (drawn.min(), drawn.max()) == (10, 1000)
    assert np.median(drawn) == pytest.approx(100)


def test_a_bias_field_is_the_same_on_small_and_large_patches(tmp_path):
    stage = SensorDegradation([BiasField(strength=[0.3, 0.3])])
    small, large = torch.full((6, 1, 8, 8), 0.4), torch.full((6, 1, 32, 32), 0.4)
    one, other = stage.vary([small, large], torch.arange(6))
    mean = torch.nn.functional.avg_pool2d(other, 4)
    assert float((mean / one - 1).abs().max()) < 0.02
    assert float(one.std()) > 0.02
    assert len({round(float(p[0, 0, 0]), 5) for p in one}) == 6  # each its own
    assert torch.equal(stage.corrupt(one, torch.arange(6)), one)


def test_the_loader_varies_input_and_target_and_spoils_the_input_alone(tmp_path):
    np.save(tmp_path / "a.npy", np.full((1, 64, 64), 128, np.uint8))

    def batch(*stages):
        degradation = SensorDegradation(list(stages)) if stages else None
        loader = PatchLoader([tmp_path / "a.npy"], np.load, degradation=degradation, scales=[4],
                             patch_size=8, batch_size=4)  # fmt: skip
        return loader.batch(0)

    field = batch(BiasField(strength=[0.5, 0.5]))
    assert float(field["label"].std()) > 0.01
    noise = batch(CameraNoise(sigma=[10, 10], gray_share=[0, 0]))
    assert float(noise["label"].std()) < 1e-6
    assert float(noise["image"].std()) == pytest.approx(10 / 255, rel=0.1)
    assert torch.equal(noise["label"], batch()["label"])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SensorDegradation([]), "one or more"),
        (lambda: SensorBlur(at_nyquist=[0.5, 0.2]), "at_nyquist: needs"),
        (lambda: SensorBlur(at_nyquist=[0, 0.2]), "within 0.01"),
        (lambda: SensorBlur(at_nyquist=[0.1, 0.2], sigma=[1, 2]), "needs at_nyquist, got"),
        (lambda: SensorBlur(form="box", at_nyquist=[0.1, 0.2]), "form: must be one of"),
        (lambda: GridResampling(kernel="sinc", angle=[0, 0]), "kernel: must be one of"),
        (lambda: SensorBlur(at_nyquist=[0.1, 0.2], probability=1.5), r"must be in \[0, 1\]"),
    ],
)
def test_impossible_configurations_are_refused(make, message):
    with pytest.raises(OptionError, match=message):
        make()
