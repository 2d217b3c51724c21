"""What a program has made torch's defaults changes no result."""

import numpy as np
import pytest
import rasterio
import torch

from monai_sr import FileUpscaler, SuperResolver
from tests.image_factory import NORTH_UP, pixels, write_raster
from tests.network_factory import tiny_bundle


@pytest.fixture(params=["float64", "float16", "bfloat16", "meta"])
def set_default(request):
    """Set another default type or device when called."""

    def set_it():
        if request.param == "meta":
            torch.set_default_device("meta")
        else:
            torch.set_default_dtype(getattr(torch, request.param))

    yield set_it
    torch.set_default_dtype(torch.float32)
    torch.set_default_device(None)


def test_arrays_are_enlarged_alike(tmp_path, set_default):
    bundle = tiny_bundle(tmp_path)
    before = SuperResolver.from_bundle(bundle, device="cpu")
    image = np.random.default_rng(0).random((1, 9, 11), dtype=np.float32)
    expected = before(image)
    set_default()
    for resolver in (before, SuperResolver.from_bundle(bundle, device="cpu")):
        result = resolver(image)
        assert result.dtype == np.float32
        assert (result == expected).all()


def test_files_and_scenes_are_enlarged_alike(tmp_path, set_default):
    bundle = tiny_bundle(tmp_path / "bundle")
    source = write_raster(
        tmp_path / "a.tif", pixels((1, 9, 11), "uint16"), transform=NORTH_UP, nodata=0
    )
    expected = FileUpscaler(bundle, device="cpu")(source, tmp_path / "before")
    set_default()
    result = FileUpscaler(bundle, device="cpu")(source, tmp_path / "after")
    scene = SuperResolver.from_bundle(bundle, device="cpu").upscale_scene(
        source, tmp_path / "scene.tif"
    )
    stored = _stored(expected)
    assert (_stored(result) == stored).all()
    assert (_stored(scene) == stored).all()


def _stored(result):
    with rasterio.open(result.output) as dataset:
        return dataset.read()


def test_random_numbers_of_the_program_stay_as_they_are(tmp_path):
    bundle = tiny_bundle(tmp_path)
    source = write_raster(tmp_path / "a.tif", pixels((1, 9, 11), "uint16"))
    torch.manual_seed(7)
    before = torch.get_rng_state()
    SuperResolver.from_bundle(bundle, device="cpu")(np.zeros((1, 9, 11), np.float32))
    assert torch.equal(torch.get_rng_state(), before)
    FileUpscaler(bundle, device="cpu")(source, tmp_path / "out")
    assert torch.equal(torch.get_rng_state(), before)
