"""Samples speak for the whole input; corrections are what a network changes; limits go by scale."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_sr.core import weights_sha256
from monai_sr.formats import Facts
from monai_sr.functional import InputQuality, upsample
from monai_sr.inferers import SelfEnsembleInferer, TiledInferer
from monai_sr.networks.registry import Generator, GeneratorInfo
from monai_sr.transforms import PlanGrid, ScaleToUnit, load_image
from monai_sr.upscaling.degraded import (
    Finding,
    correction,
    image_sample,
    limit_at,
    read_limits,
    sample_of,
    scene_sample,
)
from tests.image_factory import NORTH_UP, write_raster
from tests.scene_factory import scenes, smooth


class Softener(Generator):
    """Enlarges bicubically what is left after so much of the fine detail is taken away."""

    info = GeneratorInfo(paper="none", scales=(2,))

    def __init__(self, share=0.0):
        super().__init__()
        self._declare(scale=2, halo=8, in_channels=1, spatial_dims=2)
        self.share = share

    def forward(self, image, scale=None):
        """Enlarge."""
        mean = torch.nn.functional.avg_pool2d(image, 3, 1, 1, count_include_pad=False)
        return upsample(image + self.share * (mean - image), 2)


def grain(shape, seed=0):
    random = torch.Generator().manual_seed(seed)
    return (0.5 + 0.05 * torch.randn(shape, generator=random)).clamp(0, 1)


def test_a_correction_is_the_share_of_fine_detail_that_is_changed():
    sample = image_sample(grain((1, 64, 64)))
    inferer = TiledInferer(2)
    found = [correction(sample, Softener(share), inferer) for share in (0.0, 0.3, 0.6)]
    # Enlarging and shrinking again takes some of white noise, too.
    assert found[0] < found[1] < found[2]
    assert found[2] > 0.45


def test_neither_back_projection_nor_views_hide_it():
    sample, network = image_sample(grain((1, 64, 64))), Softener(0.5)
    plain = correction(sample, network, TiledInferer(2, consistency=0))
    inferer = SelfEnsembleInferer(2, consistency=3, spread=True)
    assert correction(sample, network, inferer) == pytest.approx(plain)
    assert (inferer.consistency, inferer.spread) == (3, True)


def test_constant_areas_tell_nothing():
    image = grain((1, 64, 64))
    half = image.clone()
    half[:, :32] = 0.5
    network, inferer = Softener(0.5), TiledInferer(2)
    found = [correction(image_sample(each), network, inferer) for each in (image, half)]
    assert found[1] == pytest.approx(found[0], rel=0.1)
    assert math.isnan(correction(image_sample(torch.full((1, 20, 20), 0.4)), network, inferer))


def test_slices_of_a_volume_speak_for_it():
    volume = MetaTensor(grain((1, 40, 9, 48)))
    Facts(volume.meta).slice_axis = 1
    sample = image_sample(volume)
    assert sample.blocks.shape == (3, 1, 40, 48)
    assert torch.equal(sample.blocks[0], volume.as_tensor()[:, :, 1])


def test_codes_and_phases_and_specks_are_not_measured():
    for kind in ("label", "bits", "phase"):
        image = MetaTensor(grain((1, 40, 40)))
        Facts(image.meta).kind = np.array(kind)
        assert image_sample(image) is None
    assert image_sample(grain((1, 15, 40))) is None
    assert image_sample(grain((1, 40, 40)), torch.zeros(1, 40, 40, dtype=torch.bool)) is None


def test_bands_that_are_codes_are_left_out_and_many_bands_are_drawn():
    image = MetaTensor(grain((3, 40, 40)))
    Facts(image.meta).code_bands = np.array([1])
    assert image_sample(image).blocks.shape[1] == 2
    assert image_sample(grain((13, 40, 40))).blocks.shape[1] == 4


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_a_scene_gives_the_sample_of_the_image_in_memory(tmp_path, dtype):
    array = smooth((2, 200, 150)).astype(dtype)
    array[:, :70, :40] = 0
    file = write_raster(tmp_path / "s.tif", array, transform=NORTH_UP, crs="EPSG:32614", nodata=0)
    image, valid = ScaleToUnit()(PlanGrid(2)(load_image(file)))
    whole, found = image_sample(image, valid), scene_sample(file, scenes(2))
    assert np.array_equal(found.valid, whole.valid)
    told = whole.valid
    # Of floats the range is that of the blocks: these leave out the last rows and columns.
    near = 1e-6 if dtype == "uint8" else 0.02
    assert found.blocks.numpy()[told] == pytest.approx(whole.blocks.numpy()[told], abs=near)
    assert found.quality.noise == pytest.approx(whole.quality.noise, rel=1e-3)


def test_limits_go_by_the_weights_and_by_the_next_trained_scale(tmp_path):
    assert read_limits(tmp_path) is None
    (tmp_path / "model_robust.pt").write_bytes(b"weights")
    key = weights_sha256(tmp_path / "model_robust.pt")
    (tmp_path / "robust.json").write_text(json.dumps({key: {"limits": {"2": 0.1, "4": None}}}))
    limits = read_limits(tmp_path)
    assert [limit_at(limits, s) for s in (1.5, 2, 3, 4)] == [0.1, 0.1, math.inf, math.inf]
    (tmp_path / "robust.json").write_text(json.dumps({"others": {"limits": {"2": 0.1}}}))
    assert read_limits(tmp_path) is None
    assert math.isnan(limit_at(None, 4))


def test_a_finding_says_what_it_knows_alone():
    quality = InputQuality(0.0213, math.nan, 0.0)
    assert str(Finding(quality)) == "noise 2.13%, blur unknown, blocking 0.00%"
    found = Finding(quality, 0.4, 0.3)
    assert str(found).endswith("correction 40.00% (limit: 30.00%)")
    assert found.is_degraded
    assert not Finding(quality, 0.4).is_degraded
    assert not Finding(quality, 0.4, math.inf).is_degraded
    assert str(Finding(quality, 0.4, math.inf)).endswith("(limit: none)")
    assert found.facts() == {
        "noise": 0.0213, "blocking": 0.0, "correction": 0.4, "correction_limit": 0.3,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("sizes", "is_measured"),
    [((40, 36, 12), False), ((40, 36, 6), True), ((80, 72, 12), True), ((80, 72, 6), True)],
)
def test_slices_that_grow_across_alone_are_not_measured(sizes, is_measured):
    volume = MetaTensor(grain((1, 40, 36, 6)))
    facts = Facts(volume.meta)
    facts.slice_axis, facts.sizes = 2, np.array(sizes)
    assert (sample_of({"image": volume}, None) is not None) == is_measured
