"""An image in memory gets the weights that it needs, and exactly what these alone would make."""

from __future__ import annotations

import json
import logging
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.data.utils import list_data_collate
from PIL import Image

from monai_sr import SuperResolver
from monai_sr.core.errors import BadImageError, OptionError
from monai_sr.formats import Facts
from monai_sr.integrations.array_tiles import Model
from monai_sr.upscaling.degraded import image_sample, scene_sample
from tests.image_factory import NORTH_UP, write_raster
from tests.network_factory import tiny_bundle
from tests.robust_factory import with_robust
from tests.scene_factory import smooth


def resolver(bundle, robust="auto", **options):
    return SuperResolver(bundle, robust=robust, scale=2, device="cpu", **options)


def grain(seed, amount=0.2):
    random = np.random.default_rng(seed)
    return (smooth((3, 40, 36)) / 255 + random.normal(0, amount, (3, 40, 36))).clip(0, 1)


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """A bundle whose limit lies between a smooth and a noisy image, and what each set makes."""
    bundle = with_robust(tmp_path_factory.mktemp("both"), {"2": 0, "4": 0})
    auto = resolver(bundle)
    found = [auto.either.find(image_sample(torch.from_numpy(each))) for each in images()]
    corrections = [finding.correction for finding in found]
    assert corrections[0] != corrections[1]
    with_robust(bundle.parent, {"2": float(np.mean(corrections)), "4": 0})
    auto, needed = resolver(bundle), int(np.argmax(corrections))
    return auto, [resolver(bundle, number == needed) for number in range(2)]


def images():
    return [smooth((3, 40, 36)).astype(np.float32) / 255, grain(1).astype(np.float32)]


@pytest.mark.parametrize("number", [0, 1])
def test_an_array_gets_what_its_weights_alone_make(both, number, caplog):
    auto, alone = both
    with caplog.at_level(logging.INFO, "monai_sr"):
        found = auto(images()[number])
    assert np.array_equal(found, alone[number](images()[number]))
    assert not np.array_equal(found, alone[1 - number](images()[number]))
    assert "image: noise " in caplog.text


@pytest.mark.parametrize("kind", ["array", "tensor", "meta"])
def test_each_image_of_a_batch_gets_its_own(both, kind):
    auto, alone = both
    batch = {
        "array": lambda: np.stack(images()),
        "tensor": lambda: torch.from_numpy(np.stack(images())),
        "meta": lambda: list_data_collate([MetaTensor(torch.from_numpy(i)) for i in images()]),
    }[kind]()
    found = auto(batch)
    assert type(found) is type(batch)
    for number, each in enumerate(images()):
        assert np.allclose(np.asarray(found[number]), alone[number](each), atol=1e-6)
    if kind == "meta":
        assert found.is_batch
        assert np.array_equal(found.affine, alone[0](batch).affine)


def test_threads_share_nothing(both):
    auto, alone = both
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(auto, images() * 4))
    for number, found in enumerate(together):
        assert np.array_equal(found, alone[number % 2](images()[number % 2]))


def test_a_file_gets_them_too_and_its_result_says_so(both, tmp_path):
    auto, alone = both
    for number, image in enumerate(images()):
        file = tmp_path / f"{number}.png"
        Image.fromarray((image * 255).astype("u1").transpose(1, 2, 0)).save(file)
        found, expected = auto(file), alone[number](file)
        said, alone_said = (json.loads(Facts(r.meta).provenance) for r in (found, expected))
        assert torch.equal(found.as_tensor(), expected.as_tensor())
        assert said["weights_sha256"] == alone_said["weights_sha256"]
        assert "input: noise" in said["found"]
        assert said["weights"] == alone_said.get("weights", "faithful")


def test_a_scene_is_measured_as_a_whole(both, tmp_path):
    auto, alone = both
    file = write_raster(tmp_path / "s.tif", smooth((3, 90, 80)), transform=NORTH_UP, crs=32614)
    finding = auto.either.find(scene_sample(file, auto.scenes))
    result = auto.upscale_scene(file, tmp_path / "auto.tif")
    chosen = next(
        r for r in alone if auto.either.pick(finding, auto).weights_sha256 == r.weights_sha256
    )
    expected = chosen.upscale_scene(file, tmp_path / "alone.tif")
    found, other = (np.asarray(Image.open(str(r.output))) for r in (result, expected))
    assert np.array_equal(found, other)


def test_labels_are_enlarged_as_ever_and_bad_images_refused(both):
    auto, alone = both
    codes = MetaTensor(torch.from_numpy(np.tile(np.arange(2.0), (1, 20, 12))))
    Facts(codes.meta).kind = np.array("label")
    assert torch.equal(auto(codes).as_tensor(), alone[0](codes).as_tensor())
    with pytest.raises(BadImageError, match="fill them first"):
        auto(np.full((1, 30, 30), np.nan, np.float32))


def test_without_robust_weights_all_get_the_faithful_ones(tmp_path, caplog):
    bundle = tiny_bundle(tmp_path)
    image = images()[1]
    with caplog.at_level(logging.INFO, "monai_sr"):
        found = resolver(bundle)(image)
    assert np.array_equal(found, resolver(bundle, False)(image))
    assert "natural_sr has none for degraded input" in caplog.text


def test_what_leaves_no_choice_and_what_works_in_tiles_refuse_it(both, tmp_path):
    bundle = with_robust(tmp_path, {"2": 0, "4": 0})
    shutil.copy(bundle / "models" / "model.pt", tmp_path / "w.pt")
    with pytest.raises(OptionError, match="leave --ckpt_path out"):
        SuperResolver.from_bundle(bundle, robust="auto", weights=tmp_path / "w.pt")
    with pytest.raises(OptionError, match="leave --size or --robust out"):
        SuperResolver(f"{bundle}", robust="auto", size="fast")
    with pytest.raises(OptionError, match=r"array in tiles, got 'auto'; measure it by"):
        Model.of("natural_sr", {"robust": "auto"})
